"""Office time: what nobody decided but the clock did, and what the runs show of it."""

from __future__ import annotations

from typing import Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed

from tasks import showing
from tasks.wiring import office

#: Pages brought up to date in one round; the others have their turn in the next ones.
PAGES_A_ROUND = 200


@flow(name="watch", retries=0, persist_result=False, validate_parameters=False)
def watch() -> State[Any]:
    """巡检：重算各变更的下次到期时间，更新运行名称、标签和状态页。"""
    desk, log = office(), get_run_logger()
    changes = list(desk.watch_changes())
    showing.guarded(lambda: desk.recompute_deadlines(), "重算时限")
    for change_id in changes:
        showing.guarded(lambda change_id=change_id: desk.refresh_due(change_id), "到期时间")  # type: ignore[misc]
    turn = _turn(changes)
    for change_id in turn:
        showing.guarded(lambda change_id=change_id: _show(change_id), "状态页")  # type: ignore[misc]
    missing = desk.compare_runs(turn)
    if missing:
        log.warning("有 %d 个变更的运行已不在或者已结束，已另开运行。", missing)
    showing.guarded(desk.swept, "日结")
    line = f"巡检完成：在办变更 {len(changes)} 个，更新状态页 {len(turn)} 个。"
    log.info(line)
    return Completed(message=line)


def _turn(changes: list[str]) -> list[str]:
    """The changes whose turn it is: all of them, or a window that moves with the clock."""
    if len(changes) <= PAGES_A_ROUND:
        return changes
    rounds = -(-len(changes) // PAGES_A_ROUND)
    number = int(office().now().timestamp() // 600) % rounds
    return sorted(changes)[number * PAGES_A_ROUND : (number + 1) * PAGES_A_ROUND]


def _show(change_id: str) -> None:
    desk = office()
    run, page = desk.current_run(change_id), desk.page(change_id)
    if run is not None and page is not None:
        desk.show_page(run, showing.page_key(change_id), page)
