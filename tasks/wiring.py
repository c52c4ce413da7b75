"""What a flow reaches of the office: the verbs of a leg, the clock, the deliverer, the hot window.

The engine puts an `Office` in place before it takes runs; flows know no database and no setting.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from models import clock
from models.actions import audit, deadlines, engine, legs, starting, views
from models.actions.legs import PassResult
from models.actions.starting import Registered
from models.settings import Settings
from models.store.database import Database
from models.store.outbox import HandOver
from tasks.hot import HotRegistry

#: A leg asks the database itself at least this often, should both the nudge and the shared question be lost.
_OWN_LOOK = 5.0
#: What is only for watching waits until nothing was taken up for so long (seconds), but never longer than that.
_CALM, _LONGEST_WAIT = 0.08, 1.0


class Page(Protocol):
    """How a change stands, as the run shows it."""

    @property
    def run_name(self) -> str: ...
    @property
    def tags(self) -> list[str]: ...
    @property
    def description(self) -> str: ...
    @property
    def markdown(self) -> str: ...


class Desk(Protocol):
    """What the story of a change asks of the office; each call is one verb."""

    def register(self, trigger: str, params: dict[str, Any], key: str) -> Registered: ...
    def begin_leg(self, change_id: str, attempt: int, flow_run_id: str) -> int: ...
    def end_leg(self, change_id: str) -> None: ...
    def run_pass(self, change_id: str, leg_no: int, attempt: int) -> PassResult: ...
    def park(self, change_id: str, leg_no: int) -> bool: ...
    def run_is_worn(self, legs: int, age: timedelta) -> bool: ...
    def continue_as_new(self, change_id: str, attempt: int, why: str) -> int: ...
    def current_run(self, change_id: str) -> str | None: ...
    def title(self, change_id: str) -> str: ...
    def page(self, change_id: str) -> Page | None: ...
    def show_page(self, flow_run_id: str, key: str, page: Page) -> None: ...
    def wait_for_work(self, change_id: str, seconds: float | None = None) -> bool: ...
    def has_work(self, change_id: str) -> bool: ...
    def calm(self) -> None: ...
    def aside(self, act: Callable[[], None]) -> Future[None]: ...
    def refresh_due(self) -> None: ...
    def watch_turn(self, count: int) -> tuple[int, Sequence[str]]: ...
    def swept(self) -> None: ...
    def recompute_deadlines(self) -> None: ...
    def compare_runs(self, change_ids: Sequence[str]) -> int: ...
    def now(self) -> datetime: ...


def _nobody(handed: Sequence[Any]) -> None:
    return None


def _no_display(flow_run_id: str, key: str, name: str, tags: Sequence[str], description: str, page: str) -> None:
    return None


def _no_heal(change_ids: Sequence[str]) -> int:
    return 0


@dataclass
class Office:
    """The real office of this process: a database, the settings, and the threads of the engine."""

    db: Database
    settings: Settings
    engine_id: str
    hand_over: HandOver | None = None
    deliver: Callable[[Sequence[Any]], None] = _nobody
    hot: HotRegistry = field(default_factory=HotRegistry)
    heal: Callable[[Sequence[str]], int] = _no_heal
    display: Callable[[str, str, str, Sequence[str], str, str], None] = _no_display
    #: How many legs of each change are alive in this process.
    legs: Counter[str] = field(default_factory=Counter)
    #: When a leg last began or ended a pass here (monotonic seconds).
    at_work: float = 0.0
    #: The last change that had its turn in a round of watch.
    watched: str = ""
    _beside: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="aside"))

    def now(self) -> datetime:
        """The present moment."""
        return clock.now()

    def register(self, trigger: str, params: dict[str, Any], key: str) -> Registered:
        """Register a change from Prefect's own form; the run's id is its key."""
        return starting.register(
            self.db, trigger=trigger, params=params, by=None, via="prefect", key=key, now=self.now()
        )

    def begin_leg(self, change_id: str, attempt: int, flow_run_id: str) -> int:
        """The number of the new leg; `Conflict run_stale`, `Gone change_closed`. `end_leg` follows in any case."""
        self.legs[change_id] += 1
        self.at_work = time.monotonic()
        return legs.begin_leg(
            self.db,
            change_id=change_id,
            attempt=attempt,
            flow_run_id=flow_run_id,
            engine_id=self.engine_id,
            now=self.now(),
        )

    def end_leg(self, change_id: str) -> None:
        """A leg of this process is over, however it ended."""
        self.legs[change_id] -= 1

    def alive(self, change_id: str) -> bool:
        """Whether a leg of this change is alive in this process."""
        return self.legs[change_id] > 0

    def run_pass(self, change_id: str, leg_no: int, attempt: int) -> PassResult:
        """Everything that is due for the change; `Conflict run_stale`."""
        self.at_work = time.monotonic()
        try:
            return self._run_pass(change_id, leg_no, attempt)
        finally:
            self.at_work = time.monotonic()

    def _run_pass(self, change_id: str, leg_no: int, attempt: int) -> PassResult:
        return legs.run_pass(
            self.db,
            change_id=change_id,
            leg_no=leg_no,
            attempt=attempt,
            now=self.now(),
            collect_minutes=self.settings.collect_minutes,
            hand_over=self.hand_over,
            committed=self.deliver,
        )

    def park(self, change_id: str, leg_no: int) -> bool:
        """Mark the change parked; False where work came since."""
        return legs.park(self.db, change_id=change_id, leg_no=leg_no)

    def run_is_worn(self, legs: int, age: timedelta) -> bool:
        """Whether a run had so many legs, or is so old, that the change should go on in a new one."""
        return legs >= self.settings.legs_a_run or age > timedelta(days=self.settings.days_a_run)

    def continue_as_new(self, change_id: str, attempt: int, why: str) -> int:
        """Give the change a fresh attempt; the pulse starts its run."""
        return engine.new_attempt(self.db, change_id=change_id, attempt=attempt, why=why, now=self.now())

    def current_run(self, change_id: str) -> str | None:
        """The run that carries the change now."""
        return engine.wake_for(self.db, change_id=change_id).flow_run_id

    def title(self, change_id: str) -> str:
        """The title of the change."""
        return str(starting.find_change(self.db, change_id=change_id)["title"])

    def page(self, change_id: str) -> Page | None:
        """Name, tags and page of the change's run."""
        return views.status_page(self.db, change_id=change_id, portal_url=self.settings.portal_address, now=self.now())

    def show_page(self, flow_run_id: str, key: str, page: Page) -> None:
        """Put name, tags and page where operators look."""
        self.display(flow_run_id, key, page.run_name, page.tags[:3], page.description, page.markdown)

    def wait_for_work(self, change_id: str, seconds: float | None = None) -> bool:
        """Stay awake for so long, else for the hot window. True as soon as the change has work or has ended."""
        window = self.settings.hot_seconds
        end = time.monotonic() + (window if seconds is None else min(seconds, window))
        with self.hot.place(change_id) as place:
            while place.stays and (left := end - time.monotonic()) > 0:
                # Looked at after taking the place: a nudge between the pass and now is not missed.
                if engine.hot_work(self.db, [change_id], now=self.now()):
                    return True
                if place.wait(min(left, _OWN_LOOK)):
                    return True
        return False

    def has_work(self, change_id: str) -> bool:
        """Whether something came for the change, or it has ended."""
        return bool(engine.hot_work(self.db, [change_id], now=self.now()))

    def calm(self) -> None:
        """Let decisions be taken up first, for at most a second."""
        end = time.monotonic() + _LONGEST_WAIT
        while (now := time.monotonic()) < min(end, self.at_work + _CALM):
            time.sleep(min(end, self.at_work + _CALM) - now)

    def aside(self, act: Callable[[], None]) -> Future[None]:
        """Do something that is only for watching, beside the legs: one thing at a time, in the order it was asked for."""
        return self._beside.submit(act)

    def refresh_due(self) -> None:
        """Reckon again when the changes are next due, where it is not what stands in the tables."""
        for change_id in engine.wrongly_due(self.db, now=self.now()):
            engine.recompute_due(self.db, change_id=change_id, now=self.now())

    def watch_turn(self, count: int) -> tuple[int, Sequence[str]]:
        """How many changes are open, and the next `count` whose turn it is; after the last the first again."""
        number, turn = engine.open_after(self.db, after=self.watched, count=count)
        self.watched = turn[-1] if len(turn) == count else ""
        return number, turn

    def swept(self) -> None:
        """A round of watch is done: noted for whoever asks, and the first of a day writes the daily head."""
        audit.seal_day(self.db, now=self.now())
        engine.watched(self.db, now=self.now())

    def recompute_deadlines(self) -> None:
        """Reckon provisional deadlines again where a new arrangement was loaded."""
        deadlines.recompute_deadlines(self.db, now=self.now(), collect_minutes=self.settings.collect_minutes)

    def compare_runs(self, change_ids: Sequence[str]) -> int:
        """Give each change whose run is gone or over a new one; returns how many."""
        return self.heal(change_ids)


_office: Desk | None = None


def open_office(desk: Desk) -> None:
    """Put the office in place; once a process, before the first run."""
    global _office
    _office = desk


def office() -> Desk:
    """The office of this process. Raises `RuntimeError` where the engine has not opened it."""
    if _office is None:
        raise RuntimeError("no office here: this flow runs in the engine process only")
    return _office
