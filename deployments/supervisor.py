"""`shixiang up`: the whole system on one machine, each part a process of its own, started again when it dies."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import httpx2

from deployments import lifeline
from deployments.ports import Port, check_home, check_ports
from deployments.prefect_server import api_url, create_database, own_server
from models import clock
from models.actions.views import first_coordinator, is_sample
from models.domain.errors import Refusal, Unusable
from models.settings import Settings
from models.store.database import Database
from models.store.migrate import migrate

#: Pauses before a part that died is started again, in seconds; back to the first after a quiet minute.
PAUSES = (0.2, 1.0, 2.0, 5.0)
QUIET_SECONDS = 60.0
LOOK_SECONDS = 0.2
STOP_SECONDS = 12.0
LOG_BYTES = 5_000_000


@dataclass
class Part:
    """One process of the system."""

    name: str
    title: str
    arguments: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    log: IO[bytes] | None = None
    failures: int = 0
    deaths: int = 0
    last_start: float = 0.0
    next_start: float = field(default=0.0)


class Supervisor:
    """Starts the parts, watches them, and ends them all."""

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self.settings, self.say = settings, say
        self.home = settings.home_path
        self.told_to_end = False
        self._ending: Sequence[int] = ()
        self._reader, self._writer = os.pipe()
        module = [sys.executable, "-m"]
        self.parts = []
        if not settings.mail_url:
            box = ["deployments.mailbox", "--port", str(settings.mailbox_port), "--home", str(self.home)]
            self.parts.append(Part("mailbox", "邮箱", [*module, *box]))
        if not own_server():
            self.parts.append(Part("prefect", "Prefect", [*module, "deployments.prefect_server"]))
        self.parts.append(Part("engine", "流程引擎", [*module, "deployments.engine"]))
        self.parts.append(Part("portal", "门户", [*module, "deployments.portal_server"]))

    def end_by(self, *numbers: int) -> None:
        """Let these signals end the system, however many come at once: one may interrupt the handler of another."""

        def tell(*_: object) -> None:
            self.told_to_end = True

        self._ending = numbers
        for number in numbers:
            signal.signal(number, tell)

    def run(self) -> None:
        """Until told to end."""
        for part in self.parts:
            self._start(part)
        told = False
        while not self.told_to_end:
            time.sleep(LOOK_SECONDS)
            for part in self.parts:
                self._look(part)
            if not told and self.ready():
                told = True
                self._tell_ready()
        self.stop()

    def ready(self) -> bool:
        """Whether the portal says that every part is there."""
        address = f"http://127.0.0.1:{self.settings.portal_port}/healthz"
        try:
            return httpx2.get(address, timeout=5.0, trust_env=False).status_code == 200
        except httpx2.HTTPError:
            return False

    def stop(self) -> None:
        """End every part: asked first, then without asking. What asks for the end once more is no reason to die of it."""
        libc = ctypes.CDLL(None)
        for number in self._ending:
            # By the system first: Python complains of one that comes while it begins to ignore them.
            libc.signal(number, ctypes.c_void_p(signal.SIG_IGN))
            signal.signal(number, signal.SIG_IGN)
        self.say("正在停止……")
        alive = [part.process for part in self.parts if part.process is not None and part.process.poll() is None]
        for process in alive:
            process.terminate()
        end = time.monotonic() + STOP_SECONDS
        for process in alive:
            try:
                process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for part in self.parts:
            if part.log is not None:
                part.log.close()
        os.close(self._writer)
        os.close(self._reader)
        self.say("已全部停止。")

    def _start(self, part: Part) -> None:
        path = self.home / "logs" / f"{part.name}.log"
        path.parent.mkdir(exist_ok=True)
        if path.exists() and path.stat().st_size > LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        if part.log is not None:
            part.log.close()
        part.log = path.open("ab")
        part.process = subprocess.Popen(
            part.arguments,
            stdin=subprocess.DEVNULL,
            stdout=part.log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **_absolute(self.settings), lifeline.VARIABLE: str(self._reader)},
            pass_fds=(self._reader,),
            start_new_session=True,  # Ctrl-C is for `up`, which ends the parts in order
        )
        part.last_start = time.monotonic()
        part.next_start = 0.0

    def _look(self, part: Part) -> None:
        if part.process is None or part.process.poll() is None:
            return
        if part.process.returncode == lifeline.ANEW:
            self._start(part)
            self.say(f"{part.title}占用的内存超过上限，已在空闲时重新启动；办理不受影响。")
            return
        now = time.monotonic()
        if not part.next_start:
            if now - part.last_start > QUIET_SECONDS:
                part.deaths = 0
            part.next_start = now + PAUSES[min(part.deaths, len(PAUSES) - 1)]
            part.deaths += 1
        if now >= part.next_start:
            self._start(part)
            part.failures += 1
            self.say(f"{part.title}意外退出，已重新启动（第 {part.failures} 次）。")

    def _tell_ready(self) -> None:
        portal = self.settings.portal_address
        box = "" if self.settings.mail_url else f"，邮箱 {portal}/mailbox"
        runs = api_url(self.settings).removesuffix("/api") + "/v2/runs"
        self.say(f"已启动：门户 {portal}{box}，运行情况 {runs}。")
        db = Database(self.settings.business_url)
        coordinator = first_coordinator(db, now=clock.now())
        db.close()
        if coordinator is not None:
            then = "再到邮箱页点链接" if box else "再点邮件中的链接"
            self.say(f"登录：打开门户，填 {coordinator}，{then}。")
        self.say("停止：按 Ctrl-C。")


def _absolute(settings: Settings) -> dict[str, str]:
    """The home as every part must see it, wherever it is started."""
    found = {"SHIXIANG_HOME": str(settings.home_path)}
    if settings.clock is not None:
        found["SHIXIANG_CLOCK"] = str(settings.clock.expanduser().resolve())
    return found


def _ports(settings: Settings) -> list[Port]:
    found = [Port(settings.portal_port, "门户", "SHIXIANG_PORTAL_PORT")]
    if not own_server():
        found.append(Port(settings.prefect_port, "Prefect", "SHIXIANG_PREFECT_PORT"))
    if not settings.mail_url:
        found.append(Port(settings.mailbox_port, "邮箱", "SHIXIANG_MAILBOX_PORT"))
    return found


def _alone(home: Path) -> IO[str]:
    """The home for this `up` alone. Raises `Unusable home_in_use`."""
    lock = (home / "up.lock").open("w", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise Unusable(
            "home_in_use", f"数据目录 {home} 已有一个系统在运行，未启动。请先停掉它，或者改设 SHIXIANG_HOME。"
        ) from error
    return lock


def prepare(settings: Settings, sample_items: int, sample_departments: int, say: Callable[[str], None]) -> None:
    """Bring the data to the newest schema; an empty home gets the sample office. Raises refusals."""
    db = Database(settings.business_url)
    try:
        migrate(db)
        from models.actions.sample import make_sample
        from models.actions.views import is_vacant

        if is_vacant(db):
            say("首次启动：正在建立示例市的示例数据……")
            make_sample(db, items=sample_items, departments=sample_departments, now=clock.now())
        if settings.clock is not None and not is_sample(db):
            raise Unusable(
                "setting_invalid", "设置 SHIXIANG_CLOCK 不可用：只有示例数据才能移动时钟。", setting="SHIXIANG_CLOCK"
            )
    finally:
        db.close()


def _say(line: str) -> None:
    print(line, flush=True)


def run(*, sample_items: int = 3000, sample_departments: int = 30, say: Callable[[str], None] = _say) -> int:
    """The command: 0 after an orderly end, 2 where it could not start."""
    settings = Settings()
    try:
        check_home(settings.home_path)
        with _alone(settings.home_path):
            check_ports(_ports(settings))
            prepare(settings, sample_items, sample_departments, say)
            if not own_server():
                create_database(settings)
            supervisor = Supervisor(settings, say)
            supervisor.end_by(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
            say("正在启动……")
            supervisor.run()
    except Refusal as refusal:
        print(refusal.message, file=sys.stderr)
        return 2
    return 0
