"""From a decision to the next person's first mail, measured from outside: HTTP in, SMTP out, shipped defaults.

Time zero is when the last byte of the POST was handed to the kernel, the end when the sink has the mail's last byte.
Hot: the change's leg still lives. Cold: its run has been Suspended for at least three seconds.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import random
import re
import signal
import smtplib
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from deployments.ports import free_port

HOT_GAP = (0.12, 0.30)
COLD_SECONDS = 3.0
MAIL_SECONDS = 20.0


@dataclass
class Sink:
    """The sink process and what it said."""

    port: int
    process: subprocess.Popen[str]
    mails: list[dict[str, Any]] = field(default_factory=list)
    came: threading.Condition = field(default_factory=threading.Condition)

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            mail = json.loads(line)
            with self.came:
                self.mails.append(mail)
                self.came.notify_all()

    def after(self, start: int, change: str | None, at: float) -> dict[str, Any] | None:
        """The first mail about a change (None: about none, as a sign-in is) since then, waited for."""
        end = time.monotonic() + MAIL_SECONDS
        with self.came:
            while True:
                for mail in self.mails[start:]:
                    if (mail.get("change") or None) == change and mail["at"] > at:
                        return mail
                if not self.came.wait(max(0.0, end - time.monotonic())):
                    return None


@contextmanager
def sink() -> Iterator[Sink]:
    """A running sink."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.sink", str(port)], stdout=subprocess.PIPE, text=True, bufsize=1
    )
    made = Sink(port, process)
    thread = threading.Thread(target=made.read, daemon=True)
    thread.start()
    with made.came:
        made.came.wait_for(lambda: bool(made.mails), 20)
    try:
        yield made
    finally:
        process.terminate()
        process.wait(10)
        thread.join(5)
        if process.stdout is not None:
            process.stdout.close()


@dataclass
class Stack:
    """A running system under measurement."""

    portal: str
    prefect: str
    process: subprocess.Popen[bytes]
    home: Path
    environment: dict[str, str]

    def children(self) -> dict[str, int]:
        """The processes of the system by name."""
        found = {"up": self.process.pid}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                command = (entry / "cmdline").read_bytes().decode(errors="replace")
            except (OSError, IndexError):
                continue
            if parent == self.process.pid:
                module = re.search(r"deployments\.(\w+)", command)
                found[module.group(1).removesuffix("_server") if module else entry.name] = int(entry.name)
        return found


@contextmanager
def stack(home: Path, smtp: int, database: str, items: int) -> Iterator[Stack]:
    """`shixiang up` on free ports with the shipped defaults."""
    ports = {name: str(free_port()) for name in ("PORTAL", "PREFECT", "MAILBOX")}
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("SHIXIANG_", "PREFECT_"))}
    environment |= {f"SHIXIANG_{name}_PORT": port for name, port in ports.items()}
    environment["SHIXIANG_HOME"] = str(home)
    environment["SHIXIANG_MAIL_URL"] = f"mailto://127.0.0.1:{smtp}?from=shixiang@localhost.local&mode=insecure"
    if database:
        environment["SHIXIANG_DATABASE_URL"] = database
    home.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "deployments.cli", "up", "--sample-items", str(items)]
    with (home / "up.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    portal = f"http://127.0.0.1:{ports['PORTAL']}"
    try:
        end = time.monotonic() + 300
        while True:
            try:
                if httpx2.get(f"{portal}/healthz", timeout=5, trust_env=False).status_code == 200:
                    break
            except httpx2.HTTPError:
                pass
            assert process.poll() is None, (home / "up.log").read_text()
            assert time.monotonic() < end, "the system is not ready"
            time.sleep(0.2)
        yield Stack(portal, f"http://127.0.0.1:{ports['PREFECT']}/api", process, home, environment)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


class Driver:
    """The client: starts changes by the interface, decides by the links in the mails."""

    def __init__(self, system: Stack, box: Sink) -> None:
        self.system, self.box = system, box
        self.host = system.portal.removeprefix("http://")
        command = [sys.executable, "-m", "deployments.cli", "token", "issue", "--for", "zhou.min@shili.example",
                   "--scope", "start,read", "--json"]  # fmt: skip
        issued = subprocess.run(command, env=system.environment, capture_output=True, text=True, check=True)
        self.token = json.loads(issued.stdout)["token"]
        self.http = httpx2.Client(base_url=system.portal, timeout=30, trust_env=False)
        self._own = threading.local()
        self.runs: dict[str, str] = {}
        self._requests = itertools.count(1)

    @property
    def connection(self) -> http.client.HTTPConnection:
        """The connection of this thread."""
        if not hasattr(self._own, "connection"):
            self._own.connection = http.client.HTTPConnection(self.host, timeout=30)
        made: http.client.HTTPConnection = self._own.connection
        return made

    def post(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> tuple[float, int, dict[str, Any]]:
        """One POST: the moment its last byte was sent, the status, the answer."""
        data = json.dumps(body).encode()
        all_headers = {"Content-Type": "application/json", "Accept": "application/json", **headers}
        for attempt in (1, 2):
            try:
                self.connection.request("POST", path, data, all_headers)
                sent = time.monotonic()
                answer = self.connection.getresponse()
                return sent, answer.status, json.loads(answer.read())
            except (http.client.HTTPException, ConnectionError):
                self.connection.close()
                if attempt == 2:
                    raise
        raise AssertionError("unreachable")

    def start(self, code: str, name: str) -> tuple[str, float | None]:
        """Start a rename; its id and the seconds to its first mail."""
        return self.start_change(code, {"title": f"更名 {code}", "reason": "测量", "effective_on": None, "items": [
            {"target": {"kind": "item", "code": code}, "outcomes": ["rename"], "set": {"name": name}}]})  # fmt: skip

    def start_change(self, code: str, params: dict[str, Any]) -> tuple[str, float | None]:
        """Start an agency request; its id and the seconds to its first mail."""
        before = len(self.box.mails)
        sent, status, answer = self.post(
            "/api/v1/changes",
            {"trigger": "agency_request", "params": params},
            {"Authorization": f"Bearer {self.token}", "Idempotency-Key": f"bench-{code}-{sent_nonce()}"},
        )
        assert status in (200, 201, 202), answer
        change = str(answer["id"])
        self.runs[change] = str(answer["flow_run_id"])
        mail = self.box.after(before, change, 0.0)
        return change, None if mail is None else mail["at"] - sent

    def desks(self, change: str) -> dict[str, str]:
        """The newest link of each person in a change."""
        with self.box.came:
            # The system may have been started again on another port since.
            return {
                mail["to"]: self.system.portal + urlsplit(mail["link"]).path
                for mail in self.box.mails
                if mail.get("change") == change and mail["link"]
            }

    def open_tasks(self, change: str) -> list[tuple[str, dict[str, Any]]]:
        """(link, assignment) of everything that lies open."""
        found = []
        for link in self.desks(change).values():
            desk = self.http.get(link, headers={"Accept": "application/json"}).json()
            found += [(link, assignment) for assignment in desk.get("assignments", [])]
        return found

    def decide(self, link: str, assignment: dict[str, Any]) -> tuple[float, int]:
        """Decide one task; the moment it was sent and the status."""
        verdict = {"draft": "submit", "approval": "approve"}.get(assignment["stage"], "pass")
        body = {"request_id": f"bench-{os.getpid()}-{next(self._requests)}", "decisions": [
            {"assignment": assignment["id"], "revision": assignment["revision"], "verdict": verdict}]}  # fmt: skip
        sent, status, _ = self.post(link.removeprefix(self.system.portal), body, {})
        return sent, status

    def suspended_since(self, change: str) -> float:
        """How long the run has been Suspended, in seconds; negative where it is not."""
        run = httpx2.get(f"{self.system.prefect}/flow_runs/{self.runs[change]}", timeout=20, trust_env=False).json()
        state = run["state"]
        if state["type"] != "PAUSED":
            return -1.0
        from datetime import UTC, datetime

        return (datetime.now(UTC) - datetime.fromisoformat(state["timestamp"].replace("Z", "+00:00"))).total_seconds()


def items_of(driver: Driver, count: int) -> list[dict[str, str]]:
    """So many items of the sample office, with code and name."""
    codes: list[str] = []
    for page in range(1, 40):
        found = re.findall(r'href="/i/(\d{12})"', driver.http.get(f"/items?type=01&page={page}").text)
        fresh = [code for code in dict.fromkeys(found) if code not in codes]
        codes += fresh
        if not fresh or len(codes) >= count:
            break
    assert len(codes) >= count, f"the sample office has {len(codes)} of {count} items"
    return [driver.http.get(f"/api/v1/items/{code}").json() for code in codes[:count]]


def sent_nonce() -> str:
    """Something new each time."""
    return f"{time.time_ns():x}"


@dataclass
class Rounds:
    """What a measurement gave."""

    seconds: list[float] = field(default_factory=list)
    posts: list[float] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    failures: int = 0
    decisions: int = 0


def step(driver: Driver, change: str, rounds: Rounds) -> bool:
    """Decide what is open of a change, one person a seat; measure the decision that opens the next step."""
    tasks = driver.open_tasks(change)
    if not tasks:
        return False
    # One decision a stage and seat; of a parallel pair or two seats the last one opens what is next.
    seats: dict[str, tuple[str, dict[str, Any]]] = {}
    for link, assignment in tasks:
        key = assignment["stage"] if assignment["stage"] != "naming" else link
        seats.setdefault(key, (link, assignment))
    todo = list(seats.values())
    approving = todo[0][1]["stage"] == "approval"
    for number, (link, assignment) in enumerate(todo):
        last = number == len(todo) - 1
        before = len(driver.box.mails)
        began = time.monotonic()
        sent, status = driver.decide(link, assignment)
        rounds.posts.append(time.monotonic() - began)
        rounds.decisions += 1
        if status != 200:
            rounds.failures += 1
            continue
        # The approver of a rename is the coordinator again: within the collecting time his mail is held.
        if last and not approving and assignment["stage"] != "naming":
            mail = driver.box.after(before, change, sent)
            if mail is None:
                rounds.failures += 1
            else:
                rounds.seconds.append(mail["at"] - sent)
        elif not last:
            time.sleep(random.uniform(*HOT_GAP))
    return True


def tasks_of(driver: Driver, change: str, stages: Sequence[str]) -> dict[str, tuple[str, dict[str, Any]]]:
    """Link and assignment of each of these stages, once all of them lie open."""
    end = time.monotonic() + MAIL_SECONDS
    while True:
        found = {assignment["stage"]: (link, assignment) for link, assignment in driver.open_tasks(change)}
        if all(stage in found for stage in stages):
            return found
        assert time.monotonic() < end, f"{stages} of {change} do not open: {list(found)}"
        time.sleep(0.02)


def hot(driver: Driver, items: list[dict[str, str]]) -> Rounds:
    """Change after change, each decided step by step with short gaps."""
    rounds = Rounds()
    for item in items:
        change, first = driver.start(item["code"], item["name"] + "甲")
        if first is None:
            rounds.failures += 1
            continue
        rounds.starts.append(first)
        for _ in range(3):
            time.sleep(random.uniform(*HOT_GAP))
            wait_open(driver, change)
            step(driver, change, rounds)
    return rounds


def wait_open(driver: Driver, change: str) -> None:
    """Until somebody has something to decide."""
    end = time.monotonic() + MAIL_SECONDS
    while not driver.open_tasks(change) and time.monotonic() < end:
        time.sleep(0.02)


def cold(driver: Driver, items: list[dict[str, str]], hot_seconds: float) -> Rounds:
    """All changes sleep; one decision each, in turn, three times."""
    rounds = Rounds()
    changes = []
    for item in items:
        change, first = driver.start(item["code"], item["name"] + "乙")
        if first is None:
            rounds.failures += 1
            continue
        rounds.starts.append(first)
        changes.append(change)
    for _ in range(3):
        time.sleep(hot_seconds + COLD_SECONDS)
        for change in changes:
            end = time.monotonic() + 60
            while driver.suspended_since(change) < COLD_SECONDS and time.monotonic() < end:
                time.sleep(0.2)
            step(driver, change, rounds)
            time.sleep(0.2)
    return rounds


def floor(folder: Path, smtp: int, count: int = 60) -> list[float]:
    """The peer of the same run: one durable row and one bare mail to the same sink, nothing else."""
    seconds = []
    path = folder / "floor.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma journal_mode=wal")
    connection.execute("pragma synchronous=full")
    connection.execute("create table row (id integer primary key, text text)")
    for number in range(count):
        began = time.monotonic()
        connection.execute("insert into row (text) values (?)", (f"row {number}",))
        with smtplib.SMTP("127.0.0.1", smtp, timeout=10) as server:
            server.sendmail("floor@localhost.local", ["floor@shili.example"], "Subject: floor\r\n\r\nfloor\r\n")
            seconds.append(time.monotonic() - began)
    connection.close()
    return seconds


def memory(pid: int) -> float:
    """Resident memory of a process in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0


def processor(pid: int) -> float:
    """Processor seconds a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
