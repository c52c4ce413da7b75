"""`shixiang doctor`: what is not as it should be, and what to do. It changes nothing and never imports Prefect.

examine(settings, now) -> [Check]      each part by itself: one that cannot be asked never hides another

What may keep silent (ports, mail server, database) is asked side by side and given up after a moment: two seconds in all.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import os
import platform
import queue
import re
import shutil
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit
from zoneinfo import ZoneInfo

from models.domain.errors import Refusal
from models.settings import Settings
from models.store import health, quick

SHANGHAI = ZoneInfo("Asia/Shanghai")
ROOT = Path(__file__).resolve().parent.parent
#: Versions that must be those of the lock: their private names or defaults are relied on.
PINNED = ("prefect", "fastapi", "sqlalchemy", "apprise")
NETWORK_SECONDS = 0.7
#: When whatever has not answered by then is said not to answer; threads that still wait end with the program.
SILENCE_SECONDS = 1.0
LITTLE_SPACE, NO_SPACE = 2_000_000_000, 200_000_000
State = Literal["ok", "warn", "bad", "unusable"]


@dataclass(frozen=True)
class Check:
    """One thing looked at: `unusable` is a bad one without which nothing works."""

    what: str
    title: str
    state: State
    message: str
    todo: str = ""


def exit_code(checks: list[Check]) -> int:
    """0 all well, 1 something to look at, 2 unusable."""
    states = {check.state for check in checks}
    return 2 if "unusable" in states else 1 if states - {"ok"} else 0


def examine(settings: Settings, now: datetime) -> list[Check]:
    """Everything, in the order in which a person would mend it."""
    doctor = _Doctor(settings, now)
    found: list[Check] = []
    for what, title, look in doctor.looks():
        found += [Check(what, title, *answer) for answer in _asked(look)]
        if found and found[-1].state == "unusable":
            break
    return found


Answer = tuple[State, str] | tuple[State, str, str]
Look = Callable[[], Iterable[Answer]]


def _asked(look: Look) -> list[Answer]:
    """What a look says, and where it fails, that it does."""
    found: list[Answer] = []
    try:
        found.extend(look())
    except Exception as error:
        said = error.message if isinstance(error, Refusal) else f"{type(error).__name__}：{_first_line(error)}。"
        found.append(("bad", f"没有查成：{said}", "按这句话处理后再查一次。"))
    return found


class _Asking:
    """A look under way in a thread of its own; it is not waited for longer than the silence allowed."""

    def __init__(self, look: Look, silent: Answer) -> None:
        self._silent, self._found = silent, queue.SimpleQueue[list[Answer]]()
        self._until = time.monotonic() + SILENCE_SECONDS
        threading.Thread(target=lambda: self._found.put(_asked(look)), daemon=True).start()

    def __call__(self) -> list[Answer]:
        try:
            return self._found.get(timeout=max(0.0, self._until - time.monotonic()))
        except queue.Empty:
            return [self._silent]


def _side_by_side(looks: Sequence[Callable[[], bool]]) -> list[bool]:
    """What each says, asked at the same moment."""
    with ThreadPoolExecutor(max_workers=len(looks)) as pool:
        return list(pool.map(lambda look: look(), looks))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]


class _Doctor:
    def __init__(self, settings: Settings, now: datetime) -> None:
        self.settings, self.now, self.home = settings, now, settings.home_path
        self.url = settings.business_url
        self.sqlite = self.url.startswith("sqlite")
        self.file = Path(self.url.removeprefix("sqlite:///")) if self.sqlite else None
        self.running = self._running()

    def looks(self) -> Iterator[tuple[str, str, Look]]:
        """Each look with its code and name; those into the data only where there is any."""
        yield "versions", "版本", self.versions
        yield "home", "数据目录", self.folder
        yield "secret", "链接密钥", self.secret
        yield "disk", "磁盘空间", self.disk
        slow = f"{SILENCE_SECONDS:g} 秒内没有应答。"
        seek = "请检查网络和域名解析，再查一次。"
        ports = _Asking(self.ports, ("bad", slow, seek))
        mail = _Asking(
            self.mail, ("bad", f"邮件服务器在 {slow}", "请检查 SHIXIANG_MAIL_URL 和网络；待发的通知两天内会一直重试。")
        )
        holidays = _Asking(self.holidays, ("bad", f"没有查成：数据库在 {slow}", "先处理数据库，再查一次。"))
        data = _Asking(
            self.database, ("unusable", f"数据库在 {slow}", "请检查 SHIXIANG_DATABASE_URL、数据库服务和网络。")
        )
        yield "ports", "端口", ports
        yield "mail", "邮件", mail
        yield "holidays", "节假日安排", holidays
        yield "database", "数据", data
        with contextlib.suppress(Exception), quick.reading(self.url) as read:
            if read.empty:
                return
            self.read = read
            if not self.sqlite:
                health.hurry(read)
            yield "clock", "时钟", self.clock
            yield "coordinators", "统筹协调人", self.coordinators
            yield "engine", "流程引擎", self.engine
            yield "watch", "巡检", self.watch
            yield "outbox", "通知", self.outbox
            yield "changes", "变更", self.changes
            yield "audit", "日结", self.audit
            yield "backup", "备份", self.backup

    def _running(self) -> bool:
        """Whether an `up` holds this home."""
        try:
            with (self.home / "up.lock").open("r", encoding="utf-8") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    # --- the machine

    def versions(self) -> Iterator[Answer]:
        wanted = _locked()
        wrong = []
        for name in PINNED:
            try:
                there = version(name)
            except PackageNotFoundError:
                there = "没有安装"
            if name in wanted and there != wanted[name]:
                wrong.append(f"{name} {there}（应为 {wanted[name]}）")
        if wrong:
            yield "bad", f"与锁定的版本不同：{'、'.join(wrong)}。", "请按 lock.txt 重新安装（make run 会自动安装）。"
        else:
            yield "ok", f"Python {platform.python_version()}，Prefect {wanted.get('prefect', '—')}。"

    def folder(self) -> Iterator[Answer]:
        home = self.home
        if not home.exists():
            yield "ok", f"{home} 还没有，首次启动时建立。"
            return
        if (home / "restore-unfinished").exists():
            yield "unusable", "上一次还原没有做完。", "请重新运行 `shixiang restore … --replace`。"
            return
        if not os.access(home, os.R_OK | os.W_OK | os.X_OK) or not home.is_dir():
            yield "unusable", f"{home} 不能读写。", "请检查目录的属主和权限，或者改设 SHIXIANG_HOME。"
            return
        mode = home.stat().st_mode & 0o777
        if mode & 0o077:
            yield "warn", f"{home} 其他用户也能进入（权限 {mode:o}）。", f"请运行 chmod 700 {home}。"
        else:
            yield "ok", f"{home}{'，系统正在运行' if self.running else ''}。"

    def secret(self) -> Iterator[Answer]:
        path = self.home / "secret.json"
        if not path.exists():
            yield "ok", "还没有，首次启动时生成。"
        elif (mode := path.stat().st_mode & 0o777) & 0o077:
            yield "bad", f"{path} 其他用户也能读（权限 {mode:o}）。", f"请运行 chmod 600 {path}。"
        else:
            yield "ok", "只有属主能读。"

    def disk(self) -> Iterator[Answer]:
        for folder in {self.home, *([self.file.parent] if self.file else [])}:
            there = next(path for path in (folder, *folder.parents) if path.exists())
            free = shutil.disk_usage(there).free
            size = f"{there} 剩余 {free / 1e9:.1f} GB"
            if free < NO_SPACE:
                yield "bad", f"{size}，即将写满。", "请清理磁盘；写满时系统不再记录，已记录的不受影响。"
            elif free < LITTLE_SPACE:
                yield "warn", f"{size}。", "请清理磁盘，或者把 backups 移到别处。"
            else:
                yield "ok", f"{size}。"

    def ports(self) -> Iterator[Answer]:
        chosen = [("门户", self.settings.portal_port, "SHIXIANG_PORTAL_PORT")]
        if not os.environ.get("PREFECT_API_URL"):
            chosen.append(("Prefect", self.settings.prefect_port, "SHIXIANG_PREFECT_PORT"))
        if not self.settings.mail_url:
            chosen.append(("邮箱", self.settings.mailbox_port, "SHIXIANG_MAILBOX_PORT"))
        wrong = False
        address = os.environ.get("PREFECT_API_URL")
        asked = [partial(_answers, "127.0.0.1", port) for _, port, _ in chosen]
        *there, prefect = _side_by_side([*asked, partial(_prefect, address) if address else lambda: True])
        for (part, port, setting), answers in zip(chosen, there, strict=True):
            if self.running and not answers:
                wrong = True
                yield (
                    "bad",
                    f"{part}（{port}）没有应答。",
                    f"十几秒后再查；仍不应答的，看 {self.home / 'logs'} 中的日志。",
                )
            elif answers and not self.running:
                wrong = True
                yield "warn", f"端口 {port} 已被别的程序占用（{part}）。", f"请停掉该程序，或者改设 {setting}。"
        if not wrong:
            yield (
                "ok",
                "、".join(f"{part} {port}" for part, port, _ in chosen) + ("" if self.running else "，空闲") + "。",
            )
        if not prefect:
            yield (
                "bad",
                f"Prefect（{address}）没有应答。",
                "请启动 Prefect 服务；其间的意见照常记录，服务回来后自动继续。",
            )

    def mail(self) -> Iterator[Answer]:
        if not self.settings.mail_url and not self.running:
            yield "ok", "本机邮箱随系统启动。"
            return
        host, port, safe = mail_server(self.settings.mail_address)
        try:
            _greet(host, port, safe)
        except (OSError, smtplib.SMTPException) as error:
            yield (
                "bad", f"邮件服务器 {host}:{port} 连不上（{_first_line(error)}）。",
                "请检查 SHIXIANG_MAIL_URL 和网络；待发的通知两天内会一直重试。",
            )  # fmt: skip
            return
        yield "ok", f"{host}:{port} 应答正常（未发邮件）。"

    def holidays(self) -> Iterator[Answer]:
        from models.reference.workdays import official_calendar

        with quick.reading(self.url) as read:
            loaded = quick.workdays(read)
        today = self.now.astimezone(SHANGHAI).date()
        known = official_calendar(loaded).official_years or frozenset()
        if today.year not in known:
            yield (
                "bad",
                f"{today.year} 年的安排没有载入，时限均为暂定。",
                f"请运行 `shixiang calendar load {today.year}.csv`。",
            )
        elif today.year + 1 in known or today.month < 11:
            yield "ok", f"{today.year}{f' 和 {today.year + 1}' if today.year + 1 in known else ''} 年的安排已有。"
        else:
            yield (
                "warn", f"{today.year + 1} 年的安排没有载入，跨年的时限为暂定。",
                f"国务院办公厅公布后运行 `shixiang calendar load {today.year + 1}.csv`。",
            )  # fmt: skip

    # --- the data

    def database(self) -> Iterator[Answer]:
        try:
            with quick.reading(self.url) as read:
                if read.empty:
                    yield "ok", "还没有数据，首次启动或者载入时建立。"
                    return
                server, revision = health.server(read, self.sqlite), quick.revision(read)
                waiting = health.Waiting(0, timedelta(), ()) if self.sqlite else health.waiting(read)
        except Exception as error:
            yield (
                "unusable",
                f"数据库打不开（{_first_line(error)}）。",
                "请检查 SHIXIANG_DATABASE_URL、数据库服务和文件权限。",
            )
            return
        if server.lacks:
            yield "bad", f"PostgreSQL 没有扩展 {'、'.join(server.lacks)}。", "请安装 postgresql-contrib。"
        found = _too_old(revision) or self._not_writable(server, waiting) or self._not_as_it_should_be(revision)
        yield found or ("ok", f"{server.name} {server.version}，数据版本 {revision}，可以写入。")

    def _not_writable(self, server: health.Server, waiting: health.Waiting) -> Answer | None:
        if self.file is not None and (fault := health.write_fault(self.file)) is not None:
            todo = "稍后再查；一直如此的，看是谁长时间占用。" if "locked" in fault else "请检查文件权限和磁盘空间。"
            return "bad", f"{self.file} 现在不能写入（{fault}）。", todo
        if server.read_only:
            return (
                "bad",
                "PostgreSQL 只读，不能写入。",
                "请确认 SHIXIANG_DATABASE_URL 指向主库，或者请数据库的维护人员取消只读。",
            )
        if not waiting.count:
            return None
        holders = "、".join(str(pid) for pid in waiting.holders)
        return (
            "bad",
            f"{waiting.count} 个操作在等锁，最久的已等 {_span(waiting.longest)}，占用的是服务器进程 {holders}。",
            "稍后再查；一直如此的，在 pg_stat_activity 中看该进程在做什么，必要时请数据库的维护人员结束它。",
        )

    def _not_as_it_should_be(self, revision: str | None) -> Answer | None:
        from models.store.revision import head

        if revision != head():
            return "warn", f"数据版本 {revision}，程序版本 {head()}。", "下一次启动时自动升级；升级前请先备份。"
        if self.file is None or (mode := health.journal_mode(self.file)) == "wal":
            return None
        return (
            "warn",
            f"{self.file} 可以写入，但 journal_mode 是 {mode}（应为 wal），有人写入时其他人要等。",
            "下一次启动时自动改回；改不回的，多半在网络盘上，请把数据目录放到本机磁盘。",
        )

    def clock(self) -> Iterator[Answer]:
        server = health.server(self.read, self.sqlite)
        newest = health.newest_moment(self.read)
        if newest is not None and newest - self.now > timedelta(seconds=60):
            yield (
                "bad", f"时钟比最近一条记录慢 {_span(newest - self.now)}。",
                "时钟可能被调回；请校时，期限和登录以时钟为准。",
            )  # fmt: skip
        elif (
            server.now is not None and self.settings.clock is None and abs(server.now - self.now) > timedelta(seconds=5)
        ):
            yield "warn", f"与数据库服务器的时钟相差 {_span(abs(server.now - self.now))}。", "请在两台机器上校时。"
        elif self.settings.clock is not None:
            yield (
                "warn",
                f"时钟由 SHIXIANG_CLOCK（{self.settings.clock}）移动。",
                "只用于示例数据；不用时请去掉该设置。",
            )
        else:
            yield "ok", f"{self.now.astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S}（北京时间）。"

    def coordinators(self) -> Iterator[Answer]:
        count = health.coordinators(self.read, self.now.astimezone(SHANGHAI).date().isoformat())
        if count == 0:
            yield (
                "bad",
                "没有在任且有邮箱的统筹协调人，变更无法发起和确认。",
                "请在人员名单中登记 coordinator 后重新载入。",
            )
        elif count == 1:
            yield "warn", "统筹协调人只有 1 人，其本人发起的变更无人可代。", "请再登记一名 coordinator。"
        else:
            yield "ok", f"{count} 人。"

    def engine(self) -> Iterator[Answer]:
        seen, since = health.engine_seen(self.read), health.waiting_work(self.read)
        age = None if seen is None else self.now - seen
        if age is not None and age < timedelta(seconds=10):
            if since is not None and self.now - since > timedelta(seconds=60):
                yield (
                    "bad", f"在运行，但有变更的事已等待 {_span(self.now - since)}。",
                    "看运行页面的工作池是否被停用，以及 engine.log。",
                )  # fmt: skip
            else:
                yield "ok", "在运行。"
        elif self.running:
            ago = "还没有出现" if age is None else f"已有 {_span(age)} 没有出现"
            yield "bad", f"流程引擎{ago}。", f"十几秒后再查；仍如此的，看 {self.home / 'logs' / 'engine.log'}。"
        else:
            yield "warn" if since is not None else "ok", "没有运行。", "启动系统后，等待的变更自动继续。"

    def watch(self) -> Iterator[Answer]:
        done = health.moment(health.facts(self.read).get("watched_at"))
        limit = timedelta(seconds=3 * self.settings.watch_seconds + 30)
        if done is None:
            yield "ok", "还没有巡检过，启动后自动进行。"
        elif self.now - done > limit and self.running:
            yield (
                "bad", f"上次巡检在 {_span(self.now - done)}前，已错过三次。",
                "看运行页面中 watch 的计划是否被停用；引擎每分钟会重新部署。",
            )  # fmt: skip
        else:
            yield "ok", f"上次巡检在 {_span(self.now - done)}前。"

    def outbox(self) -> Iterator[Answer]:
        box = health.outbox(self.read, self.now, self.sqlite)
        waits = timedelta() if box.oldest is None else self.now - box.oldest
        if box.undeliverable:
            yield "warn", f"{box.undeliverable} 件未送达。", "在统筹工作台更正地址，再催办或者转交。"
        if box.failing:
            yield (
                "bad" if self.running else "warn",
                f"{box.failing} 件一再没有发出，最近的原因：{box.why[:200]}。",
                "按原因检查邮件服务器，以及 SHIXIANG_MAIL_URL 中的发件人、账号和密码；两天内会一直重试，之后列为未送达。",
            )
        if waits > timedelta(minutes=5):
            state: State = "bad" if self.running else "warn"
            yield state, f"{box.due} 件待发，最早的已等 {_span(waits)}。", "检查邮件服务器；系统没有运行的，请启动。"
        elif not box.undeliverable and not box.failing:
            yield "ok", f"{box.due} 件待发。" if box.due else "没有积压。"

    def changes(self) -> Iterator[Answer]:
        stuck, lost = health.stuck(self.read), health.without_owner(self.read)
        if stuck:
            shown = "、".join(stuck[:5]) + ("等" if len(stuck) > 5 else "")
            yield "warn", f"{len(stuck)} 个变更处理异常：{shown}。", "在变更页面看原因；系统每小时自动再试。"
        if lost:
            yield "warn", f"{lost} 个环节无人承办。", "在统筹工作台指定承办人，或者登记相应岗位。"
        if not stuck and not lost:
            yield "ok", "没有异常。"

    def audit(self) -> Iterator[Answer]:
        newest = health.newest_head(self.read)
        if newest is None:
            yield "ok", "还没有日结，启动后第一次巡检时生成。"
        elif self.running and self.now - newest > timedelta(days=2):
            yield "bad", f"最近日结在 {_span(self.now - newest)}前。", "日结由巡检生成，请先处理巡检。"
        else:
            yield "ok", f"最近日结在 {_span(self.now - newest)}前。"

    def backup(self) -> Iterator[Answer]:
        facts = health.facts(self.read)
        done = health.moment(facts.get("backed_up_at"))
        if facts.get("sample") == "true":
            yield "ok", "示例数据不必备份。"
        elif done is None:
            yield "warn", "还没有备份过。", "请运行 `shixiang backup`，并设为每天定时进行。"
        elif self.now - done > timedelta(days=7):
            yield "warn", f"上次备份在 {_span(self.now - done)}前。", "请运行 `shixiang backup`，并设为每天定时进行。"
        else:
            yield "ok", f"上次备份在 {_span(self.now - done)}前。"


def _too_old(revision: str | None) -> Answer | None:
    from models.store.revision import head

    if revision is None or revision <= head():
        return None
    return "unusable", f"数据版本 {revision}，程序版本 {head()}。", "程序比数据旧，请升级程序。"


def _locked() -> dict[str, str]:
    """The versions of the lock; nothing where it is not beside the program."""
    try:
        text = (ROOT / "lock.txt").read_text(encoding="utf-8")
    except OSError:
        return {}
    return {name: found for name, found in re.findall(r"^([a-z0-9_-]+)(?:\[[^]]*\])?==(\S+)", text, re.MULTILINE)}


def _span(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    for size, unit in ((86400, " 天"), (3600, " 小时"), (60, " 分钟")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{max(seconds, 0)} 秒"


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=NETWORK_SECONDS):
            return True
    except OSError:
        return False


def _prefect(address: str) -> bool:
    parts = urlsplit(address)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=NETWORK_SECONDS)
    try:
        connection.request("GET", parts.path.rstrip("/") + "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def mail_server(address: str) -> tuple[str, int, Literal["", "starttls", "ssl"]]:
    """Host, port and safety of an apprise `mailto://` or `mailtos://` address."""
    parts = urlsplit(address)
    options = {key.lower(): values[0] for key, values in parse_qs(parts.query).items()}
    mode = options.get("mode", "starttls" if parts.scheme == "mailtos" else "insecure").lower()
    safe: Literal["", "starttls", "ssl"] = "" if mode == "insecure" else "ssl" if mode == "ssl" else "starttls"
    host = unquote(options.get("smtp") or parts.hostname or "localhost")
    return host, parts.port or {"": 25, "starttls": 587, "ssl": 465}[safe], safe


def _greet(host: str, port: int, safe: str) -> None:
    """Connect and say EHLO; nothing is sent."""
    if safe == "ssl":
        context = ssl.create_default_context()
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=NETWORK_SECONDS, context=context)
    else:
        server = smtplib.SMTP(host, port, timeout=NETWORK_SECONDS)
    try:
        server.ehlo_or_helo_if_needed()
        if safe == "starttls":
            server.starttls(context=ssl.create_default_context())
    finally:
        with contextlib.suppress(OSError, smtplib.SMTPException):
            server.quit()
