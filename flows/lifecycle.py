"""The story all changes share: take up what came, move what can move, wait for people, end.

Every execution of a flow is a leg. It begins at the first line, reads everything from the tables, and either ends
the run or suspends it; nothing is held while a change waits for people.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from contextvars import copy_context
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Never

from prefect import get_run_logger, suspend_flow_run
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.exceptions import Abort
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH
from prefect.states import Completed, Failed
from pydantic import BaseModel

from models.actions.legs import PassResult
from models.domain.errors import Refusal
from models.domain.outside import unlinked
from tasks import showing
from tasks.wiring import Desk, office

#: Where Prefect would keep results by itself. Runs keep none; but where this is not said, each leg asks the server for it.
RESULTS = Path(PREFECT_LOCAL_STORAGE_PATH.value())
#: Nobody decided for so long (seconds): time to show what was done.
QUIET_SECONDS = 0.5
#: A leg that waits for what is still being shown looks so often whether somebody decided (seconds).
LOOK_SECONDS = 0.05
#: Passes that found nothing though something seemed due: wait longer each time, up to this many seconds.
_IDLE_PAUSE = 10.0


def start_or_carry(
    trigger: str, change: BaseModel | Mapping[str, Any] | None, change_id: str, attempt: int
) -> State[Any]:
    """The whole of a trigger's flow: register where Prefect's own form started it, then carry the change."""
    run_id = this_run()
    if change_id:
        return carry(change_id, attempt)
    if change is None:
        return Failed(message="请填写变更内容；平时请在门户的“发起变更”页面发起。")
    params = change.model_dump(mode="json", by_alias=True) if isinstance(change, BaseModel) else dict(change)
    try:
        registered = office().register(trigger, params, run_id)
    except Refusal as refusal:
        return Failed(message=unlinked(refusal.message))
    current = office().current_run(registered.id)
    if registered.existing and current not in (None, run_id):
        return Completed(message=f"该变更已在办理：{registered.number}。本次运行未作任何改动，办理情况请看门户。")
    return carry(registered.id, attempt)


def carry(change_id: str, attempt: int) -> State[Any]:
    """One leg. Returns the final state of the run, or does not return: the run is suspended or handed over."""
    desk, run_id = office(), this_run()
    log = get_run_logger()
    try:
        leg = desk.begin_leg(change_id, attempt, run_id)
        return _passes(desk, change_id, attempt, leg, run_id)
    except Refusal as refusal:
        if refusal.code == "change_closed":
            _show(desk, change_id, run_id)
            return Completed(message=unlinked(refusal.message))
        if refusal.code != "run_stale":
            log.error(unlinked(refusal.message))
            return Failed(message=unlinked(refusal.message))
        if desk.current_run(change_id) == run_id:
            # A newer leg of this very run is at work; the state of the run is its affair.
            raise Abort("a newer leg of this run has begun") from refusal
        log.info("已由新的运行接替，本次结束。")
        return Completed(message="已由新的运行接替，本次结束。")
    finally:
        desk.end_leg(change_id)


def _passes(desk: Desk, change_id: str, attempt: int, leg: int, run_id: str) -> State[Any]:
    """Passes of one leg until the change ends or everybody's turn takes longer than the hot window.

    Decisions come in bursts: what is only for watching waits until nobody has decided for a moment.
    """
    told, idle = _Told(desk, change_id, run_id), 0
    while True:
        result = desk.run_pass(change_id, leg, attempt)
        told.note(result)
        if result.ended:
            told.show_all()
            return Completed(message="变更已办结。" if result.state == "closed" else "变更已撤回。")
        idle = idle + 1 if _nothing(result) else 0
        if idle > 1:
            # Something seems due that no pass settles: never turn in circles.
            time.sleep(min(0.5 * 2.0 ** (idle - 1), _IDLE_PAUSE))
        if idle < 3 and desk.wait_for_work(change_id, QUIET_SECONDS):
            continue
        told.show_aside()
        if idle < 3 and desk.wait_for_work(change_id):
            continue
        if not told.show_all(unless=lambda: desk.has_work(change_id)):
            continue
        if desk.run_is_worn(_legs(), _age()):
            why = f"已运行 {_legs()} 次、{_age().days} 天，续开新的运行，办理不受影响。"
            desk.continue_as_new(change_id, attempt, why)
            return Completed(message=why)
        if desk.park(change_id, leg):
            _sleep(attempt, leg)


def _sleep(attempt: int, leg: int) -> Never:
    """Suspend without input and timeout. The key is new for each leg: Prefect lets a known one pass at once."""
    suspend_flow_run(timeout=None, key=f"{attempt}:{leg}")
    raise RuntimeError("挂起未生效：该次运行不应继续。系统会另开运行，不必处理。")


def _nothing(result: PassResult) -> bool:
    return not (result.consumed or result.moved or result.opened or result.notices)


class _Told:
    """What the passes of a leg did and the run does not show yet. Shown aside, a piece at a time, by one thread at once."""

    def __init__(self, desk: Desk, change_id: str, run_id: str) -> None:
        self.desk, self.change_id, self.run_id = desk, change_id, run_id
        self.room = showing.TASK_RUNS_A_LEG
        self._noted = False
        self._lock = threading.Lock()
        self._waiting: list[PassResult] = []
        self._aside: Future[None] | None = None

    def note(self, result: PassResult) -> None:
        """One line in the run's log; the rest is shown later.

        The first pass in any case: a leg before it may have been cut before it could show anything.
        """
        log = get_run_logger()
        if not _nothing(result) or result.ended or self.all_shown:
            log.info(showing.leg_line(result))
        for stuck in result.stuck:
            log.error("调整单处理出错：%s；稍后自动重试，其他不受影响。", unlinked(stuck))
        if not _nothing(result) or result.ended or result.stuck or not self._noted:
            with self._lock:
                self._waiting.append(result)
        self._noted = True

    @property
    def all_shown(self) -> bool:
        """Whether nothing is left to show and nothing is being shown."""
        return not self._waiting and (self._aside is None or self._aside.done())

    def show_aside(self) -> None:
        """Begin to show what is left, beside the leg: whatever Prefect's server takes for it, decisions go on."""
        if self._waiting and (self._aside is None or self._aside.done()):
            # The copy of the context makes task runs and events those of this run.
            self._aside = self.desk.aside(partial(copy_context().run, self._show))

    def show_all(self, unless: Callable[[], bool] = lambda: False) -> bool:
        """Show what is left and wait for it, however slow Prefect's server is; False as soon as `unless` says so."""
        while not self.all_shown:
            self.show_aside()
            wait([self._aside] if self._aside else [], LOOK_SECONDS)
            if unless():
                return False
        return True

    def _show(self) -> None:
        """Task runs, name, tags, status page and events: everything for watching. Between the pieces decisions go first."""
        with self._lock:
            results, self._waiting = self._waiting, []
        labels = showing.labels(results, self.room)
        self.room -= len(labels)
        for label in labels:
            self.desk.calm()
            showing.show_step(label)
        self.desk.calm()
        _show(self.desk, self.change_id, self.run_id)
        showing.guarded(lambda: self._tell(results), "事件")

    def _tell(self, results: Sequence[PassResult]) -> None:
        title = self.desk.title(self.change_id)
        for result in results:
            showing.tell(self.change_id, title, result)


def _show(desk: Desk, change_id: str, run_id: str) -> None:
    def act() -> None:
        page = desk.page(change_id)
        if page is not None:
            desk.show_page(run_id, showing.page_key(change_id), page)

    showing.guarded(act, "状态页")


def this_run() -> str:
    """The id of the run this code executes in."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise RuntimeError("this runs in a flow run only")
    return str(context.flow_run.id)


def _legs() -> int:
    """How many legs this run has had, the present one included: Prefect keeps a key of each suspend."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return 1
    return len(context.flow_run.empirical_policy.pause_keys or ()) + 1


def _age() -> timedelta:
    context = FlowRunContext.get()
    if context is None or context.flow_run is None or context.flow_run.created is None:
        return timedelta(0)
    return office().now() - context.flow_run.created
