"""Starting and waking the runs of changes, as the portal and the command line do it. Does not import Prefect."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from deployments import nudge
from deployments.client import PrefectClient, RunState
from deployments.prefect_server import api_url
from models import clock
from models.actions import engine, starting
from models.domain.errors import Refusal
from models.domain.outside import one_line
from models.settings import Settings
from models.store.database import Database
from portal.state import GONE, Alarm

#: Every deployment a trigger or the clock needs.
DEPLOYMENTS = (("law_change", "change"), ("agency_request", "change"), ("watch", "watch"))
#: The pool the engine takes its runs from, and the deployment of office time.
POOL, WATCH = "shixiang", "watch/watch"
#: Wakes under way at once; above that the engine's pulse wakes the changes.
WAKES = 64
#: A run that waits longer than this to be begun waits for something an operator must see (seconds).
LATE_SECONDS = 120.0
#: Office time was not kept when so many turns of it are missing.
MISSED_TURNS = 3
#: How long an answer about alarms is good (seconds): every page of the board asks.
ALARMS_SECONDS = 5.0
_log = logging.getLogger("shixiang.runs")


class Runs:
    """Starts and wakes the runs of changes; never raises where Prefect is away: the pulse does it later."""

    def __init__(self, db: Database, settings: Settings, *, late_seconds: float = LATE_SECONDS) -> None:
        self.db, self.settings, self.home = db, settings, settings.home_path
        self.late = timedelta(seconds=late_seconds)
        self._alarms: tuple[float, list[Alarm]] = (-ALARMS_SECONDS, [])
        self.client = PrefectClient(api_url(settings))
        self._hasty = PrefectClient(api_url(settings), timeout=2.0, patience=0.3)
        self._pool = ThreadPoolExecutor(8, thread_name_prefix="wake")
        self._room = threading.Semaphore(WAKES)

    def start(self, change_id: str) -> str | None:
        """Create the run of a registered change. Its id, or None where Prefect is away."""
        wake = engine.wake_for(self.db, change_id=change_id)
        if wake.flow_run_id is not None:
            return wake.flow_run_id
        try:
            run = self._hasty.start(wake.change_id, wake.trigger, wake.attempt)
        except Refusal as refusal:
            _log.warning("变更 %s 的运行未建立：%s", change_id, refusal.message)
            return None
        starting.started(self.db, change_id=change_id, attempt=wake.attempt, flow_run_id=run)
        nudge.nudge(self.home, nudge.RUNS)
        return run

    def wake(self, change_id: str) -> None:
        """Tell the engine at once, then wake the run if it sleeps; does not wait."""
        nudge.nudge(self.home, change_id)
        if self._room.acquire(blocking=False):
            self._pool.submit(self._wake, change_id)

    def _wake(self, change_id: str) -> None:
        try:
            wake = engine.wake_for(self.db, change_id=change_id)
            if not wake.parked:
                return

            def still() -> bool:
                now = engine.wake_for(self.db, change_id=change_id)
                return now.parked and now.flow_run_id == wake.flow_run_id

            if self.client.wake(wake, still):
                nudge.nudge(self.home, nudge.RUNS)
        except Exception as error:  # the pulse wakes it in a few seconds
            _log.warning("变更 %s 未能唤醒：%s：%s", change_id, type(error).__name__, one_line(error))
        finally:
            self._room.release()

    def missing(self) -> list[str]:
        """The parts that are not ready, by name: of `prefect`, `engine`, `deployments`."""
        found = []
        if not self.client.healthy():
            found.append("prefect")
        if not engine.engine_alive(self.db, now=clock.now()):
            found.append("engine")
        if not found:
            try:
                if self._hasty.missing_deployments(DEPLOYMENTS):
                    found.append("deployments")
            except Refusal:
                found.append("prefect")
        return found

    def alarms(self) -> list[Alarm]:
        """What an operator has switched off or must look at. Empty where Prefect is away: `missing` says so."""
        at, known = self._alarms
        if time.monotonic() - at < ALARMS_SECONDS:
            return known
        try:
            found = [Alarm(kind, {"name": name}) for kind, name in self._hasty.switched_off(POOL, WATCH)]
            waiting = self._hasty.waiting_to_start(["change"], datetime.now(UTC) - self.late)
        except Refusal:
            return []
        if waiting:
            minutes = int(self.late.total_seconds() // 60)
            found.append(Alarm("waiting", {"n": waiting, "minutes": minutes, "name": POOL}))
        last = engine.last_sweep(self.db)
        turns = timedelta(seconds=self.settings.watch_seconds) * MISSED_TURNS
        if last is not None and clock.now() - last > turns:
            minutes = int((clock.now() - last).total_seconds() // 60)
            found.append(Alarm("sweep", {"minutes": minutes, "name": WATCH}))
        self._alarms = (time.monotonic(), found)
        return found

    def run_states(self, flow_run_ids: Sequence[str]) -> dict[str, tuple[str, bool]] | None:
        """Of each run (at most 200) its state's name, and whether it is over or gone; None where Prefect is away."""
        try:
            awake = self._hasty.awake(flow_run_ids)
        except Refusal:
            return None
        asleep = RunState("PAUSED", "Suspended")
        states = {run: awake.get(run, asleep) for run in flow_run_ids}
        return {run: (GONE, True) if s is None else (s.name, s.final) for run, s in states.items()}

    def retire(self, flow_run_id: str) -> None:
        """End a run that another has taken over from, so that nobody waits for it in Prefect's pages."""
        try:
            self._hasty.cancel(flow_run_id, "已由新的运行接替。")
        except Refusal as refusal:  # it ends with a sentence when somebody resumes it
            _log.warning("运行 %s 未能结束：%s", flow_run_id, refusal.message)

    def deploy(self) -> bool:
        """Have the engine make pool, flows and deployments again now. False where no engine listens."""
        return nudge.nudge(self.home, nudge.DEPLOY)
