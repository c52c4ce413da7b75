"""The pulse: every half second, which changes have work nobody took up, and which runs nobody carries.

Our tables say what is due; Prefect is asked about a run only then. A wake too many is harmless: each leg has a
number, and an outdated one touches nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Container, Sequence
from datetime import UTC, datetime

from deployments.client import PrefectClient, RunState
from models import clock
from models.actions import engine, starting
from models.domain.errors import Refusal, Unusable
from models.store.change import Wake
from tasks.wiring import Office

INTERVAL = 0.5
#: A change is tried again after this many seconds, doubled each time nothing came of it; one that has work never waits long.
FIRST_PAUSE, LONGEST_TRY = 2.0, 10.0
#: The longest pause before another new attempt.
LONGEST_PAUSE = 300.0
#: A Prefect server on two cores carries about this many starts of runs a second.
A_TICK = 2
#: And is asked about so many runs a beat: with a paused pool, hundreds may have work that nobody can take up.
ASKED_A_BEAT = 20
#: A run that is PENDING or RUNNING this long though its change has work is carried by nobody.
SILENT_SECONDS = 12.0
#: So long where whoever was at it is dead, or is this engine and knows no such leg.
DEAD_SECONDS = 1.5
#: So often, and so many changes at a time, their runs are compared: what is pressed in Prefect's pages is seen.
ROUND_SECONDS, A_ROUND = 20.0, 100
_ASLEEP = RunState("PAUSED", "Suspended")
_log = logging.getLogger("shixiang.pulse")


class Pulse:
    """Wakes and heals. `poll` asks the worker to look for runs at once."""

    def __init__(
        self,
        office: Office,
        client: PrefectClient,
        poll: Callable[[], None],
        deploy: Callable[[], None] = lambda: None,
    ) -> None:
        self.office, self.db, self.hot = office, office.db, office.hot
        self.client, self.poll, self.deploy = client, poll, deploy
        self._place = ""
        #: By the clock of the machine, as Prefect's server has it.
        self._began = datetime.now(UTC)
        self._tries = _Pauses(LONGEST_TRY)
        #: The same for new attempts: a flow that fails at once must not make hundreds of runs.
        self._attempts = _Pauses(LONGEST_PAUSE)
        self._running: dict[str, tuple[str, float]] = {}

    def beat(self) -> int:
        """One round; returns how many runs were started, woken or set to Scheduled."""
        now = clock.now()
        found = {wake.change_id: (wake, False) for wake in engine.changes_to_wake(self.db, now=now)}
        orphans = engine.orphans(self.db, now=now, engine_id=self.office.engine_id, carried=self.office.alive)
        found |= {wake.change_id: (wake, True) for wake in orphans}
        for change_id in self._tries.settled(found):
            self._running.pop(change_id, None)
        done = asked = 0
        for wake, orphan in found.values():
            if done >= A_TICK or asked >= ASKED_A_BEAT:
                break
            if self._tries.lasts(wake.change_id):
                continue
            asked += 1
            try:
                done += int(self.heal(wake, orphan=orphan))
            except Unusable as refusal:
                if refusal.details.get("deployment"):
                    self.deploy()  # somebody has deleted it
                elif not self.client.healthy():
                    # Everything else would wait for it too; and nobody waits longer because it was away.
                    self._tries.forget(wake.change_id)
                    return done
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
        over = self._over(wake, state, orphan)
        if state is None or over:
            if self._attempts.lasts(wake.change_id):
                return False
            attempt = engine.new_attempt(
                self.db, change_id=wake.change_id, attempt=wake.attempt, why=over, now=clock.now()
            )
            _log.warning("变更 %s 的%s，另开第 %d 次运行。", wake.change_id, over, attempt)
            return self._start(engine.wake_for(self.db, change_id=wake.change_id), attempt)
        if state.type == "PAUSED":
            return self.client.reschedule(wake.flow_run_id)
        if state.type in {"RUNNING", "PENDING"} and (orphan or self._silent(wake, state)):
            _log.warning("变更 %s 的运行无人承办，重新排队。", wake.change_id)
            self._running.pop(wake.change_id, None)
            return self.client.reschedule(wake.flow_run_id)
        if state.type == "RUNNING":
            # Its leg is at work, or is being suspended: a moment later it can be woken.
            self._tries.soon(wake.change_id)
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

    def look_round(self) -> int:
        """Compare the runs of the next open changes: those that are gone or over get a new one. Returns how many."""
        turn = engine.open_changes(self.db, after=self._place, limit=A_ROUND)
        self._place = turn[-1].change_id if len(turn) == A_ROUND else ""
        awake = self.client.awake([wake.flow_run_id for wake in turn if wake.flow_run_id is not None])
        done = 0
        for wake in turn:
            state = awake.get(wake.flow_run_id or "", _ASLEEP)
            if _is_lost(state):
                done += int(self._compare(wake))
        if done:
            self.poll()
        return done

    def _compare(self, wake: Wake) -> bool:
        if wake.flow_run_id is not None and not _is_lost(self.client.state(wake.flow_run_id)):
            return False
        return self.heal(wake)

    def _start(self, wake: Wake, attempt: int) -> bool:
        if wake.flow_run_id is not None:
            return False
        run = self.client.start(wake.change_id, wake.trigger, attempt)
        starting.started(self.db, change_id=wake.change_id, attempt=attempt, flow_run_id=run)
        return True

    def _over(self, wake: Wake, state: RunState | None, orphan: bool) -> str:
        """Why a run will come to nothing more; "" where it may. One that waits for an end that nobody brings is ended:
        Cancel was pressed on a leg that is over by now, or the deployment was deleted under a run that is to begin."""
        if state is None:
            return "原运行已不在"
        if state.final:
            return f"原运行已结束（{state.name}）"
        if state.type not in {"CANCELLING", "SCHEDULED"} or not (orphan or self._silent(wake, state)):
            return ""
        if state.type == "SCHEDULED" and not self.client.deployment_is_gone(state):
            return ""
        self.client.cancel(str(wake.flow_run_id), "本次运行不会再有结果；案件仍在办理，另开一次运行。")
        return "原运行在取消中无人收尾" if state.type == "CANCELLING" else "原运行所属的部署已被删除"

    def _silent(self, wake: Wake, state: RunState) -> bool:
        """Whether this run was seen in this state, with work waiting, for longer than any pass takes."""
        limit = DEAD_SECONDS if self._left_behind(wake, state) else SILENT_SECONDS
        known = self._running.get(wake.change_id)
        mark = f"{wake.flow_run_id}:{state.type}:{wake.attempt}"
        if known is None or known[0] != mark:
            self._running[wake.change_id] = (mark, time.monotonic())
            return False
        return time.monotonic() - known[1] > limit

    def _left_behind(self, wake: Wake, state: RunState) -> bool:
        """Whether whoever was at a run is dead. One that is PENDING was taken up by some worker, and no leg of it says
        by whose: by a dead one where this engine is the only one and began later."""
        if state.type != "PENDING":
            return not self._carried(wake)
        since = state.since
        if since is None or since >= self._began:
            return False
        return engine.is_alone(self.db, engine_id=self.office.engine_id, now=clock.now())

    def _carried(self, wake: Wake) -> bool:
        """Whether the engine of the last leg may still be at it."""
        if wake.leg_engine == self.office.engine_id:
            return self.office.alive(wake.change_id)
        return wake.leg_engine is not None and engine.engine_alive(self.db, now=clock.now(), engine_id=wake.leg_engine)


def _is_lost(state: RunState | None) -> bool:
    """Whether a run will come to nothing more; one that is being cancelled ends when no leg of it is at work."""
    return state is None or state.final or state.type == "CANCELLING"


class _Pauses:
    """Pauses between the tries for a change, doubled each time up to `longest` (seconds). For several threads."""

    def __init__(self, longest: float) -> None:
        self.longest = longest
        self._until: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def lasts(self, change_id: str) -> bool:
        """Whether the pause of this change still lasts; where it does not, this is its next try."""
        now = time.monotonic()
        with self._lock:
            until, pause = self._until.get(change_id, (0.0, FIRST_PAUSE))
            if now < until:
                return True
            if now > until + self.longest:
                pause = FIRST_PAUSE
            self._until[change_id] = (now + pause, min(pause * 2, self.longest))
        return False

    def soon(self, change_id: str) -> None:
        """Begin anew with the shortest pause."""
        with self._lock:
            self._until[change_id] = (time.monotonic() + FIRST_PAUSE, FIRST_PAUSE)

    def forget(self, change_id: str) -> None:
        """That was no try."""
        with self._lock:
            self._until.pop(change_id, None)

    def settled(self, waiting: Container[str]) -> list[str]:
        """Forget, and return, the changes that wait no longer and whose pause is over: they start afresh."""
        now = time.monotonic()
        with self._lock:
            over = [key for key, (until, _) in self._until.items() if key not in waiting and now > until]
            for key in over:
                del self._until[key]
        return over
