"""Starting and waking the runs of changes, as the portal and the command line do it. Does not import Prefect."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

from deployments import nudge
from deployments.client import PrefectClient
from deployments.prefect_server import api_url
from models import clock
from models.actions import engine, starting
from models.domain.errors import Refusal
from models.settings import Settings
from models.store.database import Database

#: Every deployment a trigger or the clock needs.
DEPLOYMENTS = (("law_change", "change"), ("agency_request", "change"), ("watch", "watch"))
#: Wakes under way at once; above that the engine's pulse wakes the changes.
WAKES = 64
_log = logging.getLogger("shixiang.runs")


class Runs:
    """Starts and wakes the runs of changes; never raises where Prefect is away: the pulse does it later."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self.db, self.home = db, settings.home_path
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
        nudge.nudge(self.home, change_id)
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
                nudge.nudge(self.home, change_id)
        except Exception as error:  # the pulse wakes it in a few seconds
            _log.warning("变更 %s 未能唤醒：%s", change_id, type(error).__name__)
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
