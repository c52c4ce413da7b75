"""The pulse: every half second, which changes have work nobody took up, and which runs nobody carries.

Our tables say what is due; Prefect is asked about a run only then. A wake too many is harmless: each leg has a
number, and an outdated one touches nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from deployments.client import PrefectClient
from models import clock
from models.actions import engine, starting
from models.domain.errors import Refusal, Unusable
from models.store.change import Wake
from tasks.wiring import Office

INTERVAL = 0.5
#: A change is tried again after this many seconds, doubled each time nothing came of it.
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 300.0
#: A Prefect server on two cores carries about this many starts of runs a second.
A_TICK = 2
#: A run that is RUNNING this long though its change has work is carried by nobody.
SILENT_SECONDS = 15.0
_log = logging.getLogger("shixiang.pulse")


class Pulse:
    """Wakes and heals. `poll` asks the worker to look for runs at once."""

    def __init__(self, office: Office, client: PrefectClient, poll: Callable[[], None]) -> None:
        self.office, self.db, self.hot = office, office.db, office.hot
        self.client, self.poll = client, poll
        self._tries: dict[str, tuple[float, float]] = {}
        self._running: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def beat(self) -> int:
        """One round; returns how many runs were started, woken or set to Scheduled."""
        now = clock.now()
        found = {wake.change_id: (wake, False) for wake in engine.changes_to_wake(self.db, now=now)}
        orphans = engine.orphans(self.db, now=now, engine_id=self.office.engine_id, carried=self.office.alive)
        found |= {wake.change_id: (wake, True) for wake in orphans}
        self._forget(found)
        done = 0
        for wake, orphan in found.values():
            if done >= A_TICK:
                break
            if self._wait(wake.change_id):
                continue
            try:
                done += int(self.heal(wake, orphan=orphan))
            except Unusable:
                return done  # Prefect is away: everything else would wait for it too
            except Refusal as refusal:
                _log.warning("变更 %s：%s", wake.change_id, refusal.message)
        if done:
            self.poll()
        return done

    def heal(self, wake: Wake, *, orphan: bool = False) -> bool:
        """Do what the state of the run asks for; True if something was done."""
        if wake.flow_run_id is None:
            return self._start(wake, wake.attempt)
        if self.hot.nudge(wake.change_id):
            return False
        state = self.client.state(wake.flow_run_id)
        if state is None or state.final:
            why = "原运行已不在" if state is None else f"原运行已结束（{state.name}）"
            attempt = engine.new_attempt(
                self.db, change_id=wake.change_id, attempt=wake.attempt, why=why, now=clock.now()
            )
            _log.warning("变更 %s 的%s，另开第 %d 次运行。", wake.change_id, why, attempt)
            return self._start(engine.wake_for(self.db, change_id=wake.change_id), attempt)
        if state.type == "PAUSED":
            return self.client.reschedule(wake.flow_run_id)
        if state.type in {"RUNNING", "PENDING"} and (orphan or self._silent(wake, state.type)):
            _log.warning("变更 %s 的运行无人承办，重新排队。", wake.change_id)
            return self.client.reschedule(wake.flow_run_id)
        return False

    def compare(self, change_ids: Sequence[str]) -> int:
        """For watch: give each open change whose run is gone or over a new run; how many. Others are left alone.

        Prefect is asked for their number first: mostly all of them stand, and nothing else is to be asked.
        """
        wakes = engine.wakes_for(self.db, change_ids=change_ids)
        runs = [wake.flow_run_id for wake in wakes if wake.flow_run_id is not None]
        if len(runs) == len(wakes) and self.client.unfinished(runs) == len(runs):
            return 0
        return sum(1 for wake in wakes if self._compare(wake))

    def _compare(self, wake: Wake) -> bool:
        if wake.flow_run_id is not None:
            state = self.client.state(wake.flow_run_id)
            if state is not None and not state.final:
                return False
        return self.heal(wake)

    def _start(self, wake: Wake, attempt: int) -> bool:
        if wake.flow_run_id is not None:
            return False
        run = self.client.start(wake.change_id, wake.trigger, attempt)
        starting.started(self.db, change_id=wake.change_id, attempt=attempt, flow_run_id=run)
        return True

    def _silent(self, wake: Wake, state: str) -> bool:
        """Whether this run was seen in this state, with work waiting, for longer than any pass takes."""
        known = self._running.get(wake.change_id)
        mark = f"{wake.flow_run_id}:{state}:{wake.attempt}"
        if known is None or known[0] != mark:
            self._running[wake.change_id] = (mark, time.monotonic())
            return False
        return time.monotonic() - known[1] > SILENT_SECONDS

    def _wait(self, change_id: str) -> bool:
        """Whether this change was tried a moment ago; notes the try if not."""
        now = time.monotonic()
        with self._lock:
            until, pause = self._tries.get(change_id, (0.0, FIRST_PAUSE))
            if now < until:
                return True
            self._tries[change_id] = (now + pause, min(pause * 2, LONGEST_PAUSE))
        return False

    def _forget(self, found: Iterable[str]) -> None:
        """A change that was settled starts afresh, a while after its pause is over."""
        keep, now = set(found), time.monotonic()
        with self._lock:
            for change_id, (until, _) in list(self._tries.items()):
                if change_id not in keep and now > until:
                    del self._tries[change_id]
                    self._running.pop(change_id, None)
