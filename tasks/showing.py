"""What the Prefect UI shows of a change: task runs, name and tags of the run, one status page, events.

All of it is for watching and comes after the notices are on their way; a failure here is logged and stops nothing.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event

from models.actions.legs import Moved, PassResult
from models.domain.outside import one_line
from models.domain.vocabulary import STAGE_SHORT

#: More task runs than this in one leg make the run unreadable in the UI.
TASK_RUNS_A_LEG = 12
_log = logging.getLogger("shixiang.showing")


@task(
    name="step",
    task_run_name="{label}",
    persist_result=False,
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=1,
    log_prints=False,
)
def shown(label: str) -> str:
    """One dot of the run's timeline; the label says it all."""
    return label


def labels(results: Sequence[PassResult], room: int = TASK_RUNS_A_LEG) -> list[str]:
    """`审核 · 市公安局 · 42 项` per stage and sheet that passes moved, in their order, then `打开审核 · 12 份` per stage
    they opened that still waits; above `room` one per stage with the number of sheets.
    """
    moved: list[Moved] = []
    waiting: list[tuple[str, str]] = []
    for result in results:
        for one in result.moved:
            if (one.stage, one.department) in waiting:
                waiting.remove((one.stage, one.department))
        moved += result.moved
        waiting += [(one.stage, one.department) for one in result.opened]
    stages_open = [stage for stage, _ in waiting]
    last = [
        f"打开{STAGE_SHORT.get(stage, stage)} · {stages_open.count(stage)} 份" for stage in dict.fromkeys(stages_open)
    ]
    each = [
        f"{STAGE_SHORT.get(m.stage, m.stage)} · {one_line(m.department) or '无主管部门'} · {m.count} 项" for m in moved
    ]
    if len(each) + len(last) <= room:
        return each + last
    stages: dict[str, list[int]] = {}
    for one in moved:
        stages.setdefault(one.stage, []).append(one.count)
    every = [
        f"{STAGE_SHORT.get(stage, stage)} · {len(counts)} 份 · {sum(counts)} 项" for stage, counts in stages.items()
    ]
    return (every + last)[: max(0, room)]


def leg_line(result: PassResult) -> str:
    """The one line a pass leaves in the run's log (wording table 5)."""
    if result.ended:
        return "变更已办结。" if result.state == "closed" else "变更已撤回。"
    if not (result.consumed or result.moved or result.opened or result.notices):
        return "没有新的意见，继续等待。"
    return (
        f"收到意见 {result.said} 份，移动调整单 {len(result.moved)} 份，打开步骤 {len(result.opened)} 个，"
        f"拟发通知 {result.notices} 件；现等待 {result.waiting} 人。"
    )


def guarded(act: Callable[[], None], what: str) -> None:
    """Do something that is only for watching; what goes wrong is logged."""
    try:
        act()
    except Exception as error:
        _log.warning("%s未更新：%s: %s", what, type(error).__name__, error)


def show_step(label: str) -> None:
    """One task run."""
    guarded(lambda: _run(label), "任务记录")


def _run(label: str) -> None:
    shown(label)


def page_key(change_id: str) -> str:
    """The key of a change's status page."""
    return f"change-{re.sub('[^a-z0-9]+', '-', change_id.lower()).strip('-')}-status"


def tell(change_id: str, title: str, result: PassResult) -> None:
    """Events for watching: steps that opened, a change that ended. Never for integration: they may be lost."""
    resource = {"prefect.resource.id": f"shixiang.change.{change_id}", "prefect.resource.name": one_line(title)}
    if result.opened:
        opened = [{"stage": m.stage, "department": m.department, "count": m.count} for m in result.opened[:50]]
        emit_event("shixiang.step.opened", resource=resource, payload={"opened": opened, "waiting": result.waiting})
    if result.ended:
        emit_event("shixiang.change.ended", resource=resource, payload={"state": result.state})
