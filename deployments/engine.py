"""The engine process: warm worker, deliverer, pulse and heartbeat; what moves changes while nobody looks.

Several may run; each takes what Prefect hands it, and a dead one's work is taken up by the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from deployments import collector, lifeline, nudge
from deployments.client import PrefectClient
from deployments.logs import open_log
from deployments.prefect_server import api_url, environment
from models import clock
from models.actions import engine as verbs
from models.actions.proving import code_row
from models.actions.signing import load_link
from models.domain.errors import Refusal
from models.domain.outside import one_line
from models.settings import Settings
from models.store.database import Database
from models.store.outbox import HandOver, SqlOutbox
from notifications.channel import MailChannel
from notifications.deliverer import LEASE_SECONDS, Claimed, Deliverer
from notifications.links import load_secrets, make_code, make_token

if TYPE_CHECKING:
    from deployments.worker import WarmWorker
    from tasks.wiring import Office

HEARTBEAT_SECONDS = 2.0
HOT_LOOK_SECONDS = 0.05
DEPLOY_SECONDS = 60.0
#: Legs that may be at work or wait hot at once; each costs a thread.
THREADS = 64
#: How long the legs have to go to sleep when the engine is told to end, and when it ends by itself.
FAREWELL_SECONDS, LONG_FAREWELL_SECONDS = 6.0, 60.0
MEMORY_LOOK_SECONDS = 2.0
_log = logging.getLogger("shixiang.engine")


def memory_mb() -> float:
    """What this process holds in memory, in MB; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def link_url(db: Database, portal: str, secrets: Mapping[str, bytes]) -> Callable[[Claimed], str | None]:
    """How the deliverer makes the address or the code in a notice: it exists only while the mail is written."""

    def url(notice: Claimed) -> str | None:
        if notice.link_id is None:
            return None
        if notice.kind == "code":
            return make_code(code_row(db, code_id=notice.link_id), secrets)
        link = notice.link or load_link(db, link_id=notice.link_id)
        way = "s" if link["purpose"] == "sign_in" else "d"
        return f"{portal}/{way}/{make_token(link, secrets)}"

    return url


class Engine:
    """All parts of one engine process. Importing it does not import Prefect; `run` does."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.id = f"eng-{uuid.uuid4().hex[:12]}"
        self.db = Database(settings.business_url)
        self.client = PrefectClient(api_url(settings))
        current, secrets = load_secrets(settings.home_path)
        channel = MailChannel(settings.mail_address)
        channel.warm()
        self.deliverer = Deliverer(
            SqlOutbox(self.db, current, Claimed, settings.collect_minutes),
            channel,
            link_url(self.db, settings.portal_address, secrets),
            clock.now,
        )
        self.hand_over = HandOver(current, LEASE_SECONDS, self.deliverer.workers, Claimed)
        self.ended = threading.Event()
        #: Whether it ends because it holds too much memory and asks to be started anew.
        self.anew = False
        self.line = nudge.listen(settings.home_path)
        self.line.settimeout(0.5)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._worker: WarmWorker | None = None
        self._lean = False

    def poll_soon(self) -> None:
        """Have the worker ask for runs at once; from any thread."""
        loop, worker = self._loop, self._worker
        if loop is not None and worker is not None and not loop.is_closed():
            loop.call_soon_threadsafe(worker.poll_soon)

    def deploy_soon(self) -> None:
        """Have pool, flows and deployments made again at once; from any thread."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._wanted.set)

    def run(self) -> None:
        """Run until SIGTERM or SIGINT."""
        from deployments.prefect_private import shorten_waits, switch_observer_off, unfit
        from deployments.pulse import ROUND_SECONDS, Pulse
        from tasks.hot import HotRegistry
        from tasks.wiring import Office, open_office

        if not all([switch_observer_off(), shorten_waits()]):
            _log.warning("Prefect 与锁定的不同，按其原有方式运行，Prefect 服务重启以后最多慢 16 秒才继续。")
        self._lean = not (why := unfit())
        if why:
            _log.warning("Prefect 与锁定的不同（%s），按普通方式运行，每次唤醒约慢 0.1 秒。", why)
        hot = HotRegistry(self.settings.hot_cap)
        office = Office(
            db=self.db,
            settings=self.settings,
            engine_id=self.id,
            hand_over=self.hand_over,
            deliver=self.deliverer.hand,
            hot=hot,
        )
        pulse = Pulse(office, self.client, self.poll_soon, self.deploy_soon)
        office.heal, office.display = pulse.compare, self.client.display
        open_office(office)
        verbs.bury_engines(self.db, host=socket.gethostname(), gone=_gone)
        self._beat()
        verbs.take_over_notices(self.db, engine_id=self.id, now=clock.now())
        self.deliverer.start()
        self._thread("heartbeat", HEARTBEAT_SECONDS, self._beat)
        self._thread("pulse", 0.5, pulse.beat)
        self._thread("round", ROUND_SECONDS, pulse.look_round)
        self._thread("hot", HOT_LOOK_SECONDS, lambda: self._look(hot.waiting(), hot.nudge))
        self._thread("memory", MEMORY_LOOK_SECONDS, lambda: self._look_at_memory(office))
        threading.Thread(target=self._listen, args=(hot.nudge,), name="nudges", daemon=True).start()
        collector.settle()
        asyncio.run(self._work(hot.close))
        self.deliverer.stop()
        self.line.close()
        nudge.socket_path(self.settings.home_path).unlink(missing_ok=True)
        self.db.close()

    def _thread(self, name: str, seconds: float, act: Callable[[], object]) -> None:
        def turn() -> None:
            while not self.ended.wait(seconds):
                try:
                    act()
                except Refusal as refusal:
                    _log.warning("%s：%s", name, refusal.message)
                except Exception:  # the next turn may find the database back
                    _log.exception("%s failed", name)
                    self.ended.wait(1)

        threading.Thread(target=turn, name=name, daemon=True).start()

    def _beat(self) -> None:
        verbs.engine_seen(self.db, engine_id=self.id, pid=os.getpid(), host=socket.gethostname(), now=clock.now())

    def _look(self, waiting: list[str], wake: Callable[[str], bool]) -> None:
        """One question for all changes that wait hot: the net below a lost nudge."""
        for change_id in verbs.hot_work(self.db, waiting, now=clock.now()):
            wake(change_id)

    def _listen(self, hot_nudge: Callable[[str], bool]) -> None:
        while not self.ended.is_set():
            try:
                change_id = nudge.read(self.line)
            except TimeoutError:
                continue
            except OSError:
                return
            if change_id == nudge.DEPLOY:
                self.deploy_soon()
            elif change_id == nudge.RUNS:
                self.poll_soon()
            else:
                # One whose leg sleeps is waked by whoever nudged; a question to Prefect before that finds nothing.
                hot_nudge(change_id)

    def _look_at_memory(self, office: Office) -> None:
        """End in order, to be started anew, where much memory is held and nothing was taken up for a while.

        One that has not carried a leg stays: starting anew would gain nothing.
        """
        limit, held = self.settings.engine_memory_mb, memory_mb()
        idle = time.monotonic() - office.at_work > self.settings.engine_idle_seconds
        if limit and held > limit and office.at_work and idle and not self.anew and self._loop is not None:
            _log.warning("占用内存 %d MB，超过上限 %d MB，空闲时重新启动。", held, limit)
            self.anew = True
            self._loop.call_soon_threadsafe(self._stop.set)

    async def _work(self, close_hot: Callable[[], None]) -> None:
        """The worker until the end; a fresh one where Prefect was away for longer than it bears."""
        stop = self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._deployed, self._wanted = asyncio.Event(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, stop.set)
        working = asyncio.create_task(self._workers())
        deploying = asyncio.create_task(self._deployments())
        await stop.wait()
        self.ended.set()
        close_hot()
        worker = self._worker
        if worker is not None:
            await worker.farewell(LONG_FAREWELL_SECONDS if self.anew else FAREWELL_SECONDS)
        for task in (working, deploying):
            task.cancel()
        await asyncio.wait({working, deploying}, timeout=3)

    async def _workers(self) -> None:
        from deployments.deploy import FLOWS
        from deployments.worker import WarmWorker

        # A worker that finds no server at its start asks again only half a minute later.
        await self._deployed.wait()
        while not self.ended.is_set():
            worker = WarmWorker(FLOWS, THREADS, lean=self._lean)
            asking = asyncio.create_task(worker.poll_when_asked())
            self._worker = worker
            try:
                await worker.start(printer=lambda *_: None)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                _log.warning("Prefect 连不上（%s：%s），稍后再试。", type(error).__name__, one_line(error))
                await asyncio.sleep(2)
            finally:
                asking.cancel()
                worker.close()

    async def _deployments(self) -> None:
        """Pool, flows and deployments: made at the start, and again where somebody deleted them."""
        from deployments import deploy

        seconds = 0.2
        while not self.ended.is_set():
            try:
                while not await asyncio.to_thread(self.client.healthy):
                    await asyncio.sleep(0.2)
                await deploy.apply(self.settings.watch_seconds)
                self._deployed.set()
                seconds = DEPLOY_SECONDS
            except Exception as error:
                _log.warning("部署未更新（%s：%s），稍后再试。", type(error).__name__, one_line(error))
                seconds = min(seconds * 2 + 1, 10.0)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), seconds)
            self._wanted.clear()


def _gone(pid: int) -> bool:
    """Whether an engine's process is no more; a number given again is at most our own."""
    return pid == os.getpid() or not Path(f"/proc/{pid}").exists()


def main() -> None:
    """The process `engine`."""
    lifeline.follow()
    settings = Settings()
    # Legs, deliverer and Prefect's own threads share one interpreter: a leg must not wait 5 ms for each statement.
    sys.setswitchinterval(0.0005)
    # Before Prefect is imported: it reads its settings then.
    os.environ.update(environment(settings))
    open_log()
    engine = Engine(settings)
    engine.run()
    # Threads of Prefect that still wait for its server must not keep a process that has said farewell.
    os._exit(lifeline.ANEW if engine.anew else 0)


if __name__ == "__main__":
    main()
