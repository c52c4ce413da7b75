"""Office time: what nobody decided but the clock did, and what the runs show of it."""

from __future__ import annotations

import time
from typing import Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed

from tasks import showing
from tasks.wiring import office

#: Changes whose runs are compared in one round; the others have their turn in the next ones.
RUNS_A_ROUND = 200
#: How long pages are brought up to date in one round (seconds): legs show what they did themselves, this mends the rest.
PAGES_SECONDS = 0.4


@flow(name="watch", retries=0, persist_result=False, validate_parameters=False)
def watch() -> State[Any]:
    """巡检：重算各变更的下次到期时间，更新运行名称、标签和状态页。"""
    desk, log = office(), get_run_logger()
    showing.guarded(desk.recompute_deadlines, "重算时限")
    showing.guarded(desk.refresh_due, "到期时间")
    number, turn = desk.watch_turn(RUNS_A_ROUND)
    shown, end = 0, time.monotonic() + PAGES_SECONDS
    for change_id in turn:
        if time.monotonic() > end:
            break
        showing.guarded(lambda change_id=change_id: _show(change_id), "状态页")  # type: ignore[misc]
        shown += 1
    missing = desk.compare_runs(turn)
    if missing:
        log.warning("有 %d 个变更的运行已不在或者已结束，已另开运行。", missing)
    showing.guarded(desk.swept, "日结")
    line = f"巡检完成：在办变更 {number} 个，核对运行 {len(turn)} 个，更新状态页 {shown} 个。"
    log.info(line)
    return Completed(message=line)


def _show(change_id: str) -> None:
    desk = office()
    run, page = desk.current_run(change_id), desk.page(change_id)
    if run is not None and page is not None:
        desk.show_page(run, showing.page_key(change_id), page)
