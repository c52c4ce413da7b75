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
#: So long after a round began (seconds) the last page is brought up to date: legs show what they did, this mends the rest.
PAGES_UNTIL = 0.6


@flow(name="watch", retries=0, persist_result=False, validate_parameters=False)
def watch() -> State[Any]:
    """巡检：重算各变更的下次到期时间，更新运行名称、标签和状态页。"""
    desk, log, began = office(), get_run_logger(), time.monotonic()
    showing.guarded(desk.recompute_deadlines, "重算时限")
    showing.guarded(desk.refresh_due, "到期时间")
    number, turn = desk.watch_turn(RUNS_A_ROUND)
    missing = desk.compare_runs(turn)
    if missing:
        log.warning("有 %d 个变更的运行已不在或者已结束，已另开运行。", missing)
    showing.guarded(desk.swept, "日结")
    shown = 0
    for change_id in turn:
        if shown and time.monotonic() - began > PAGES_UNTIL:
            break
        showing.guarded(lambda change_id=change_id: _show(change_id), "状态页")  # type: ignore[misc]
        shown += 1
    line = f"巡检完成：在办变更 {number} 个，核对运行 {len(turn)} 个，更新状态页 {shown} 个。"
    log.info(line)
    return Completed(message=line)


def _show(change_id: str) -> None:
    desk = office()
    run, page = desk.current_run(change_id), desk.page(change_id)
    if run is not None and page is not None:
        desk.show_page(run, showing.page_key(change_id), page)
