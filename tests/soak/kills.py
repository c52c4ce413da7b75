"""Parts of `shixiang up` are killed while people decide through the links of real mails: what was lost, what came twice?

A seeded driver keeps twenty changes open and decides what lies on each desk, over HTTP, by the links in the mailbox; an
answer that never came is asked for again under the same request id, as a browser's user would. A second thread kills
one part, sometimes two, with SIGKILL and waits until the system has caught up: all parts ready, every piece of work from
before the kill taken up, every notice from before it at the mail server. That time is the recovery.
"""

from __future__ import annotations

import os
import platform
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2

from notifications.mailbox_files import read_mail
from tests.town import alive, environment, parts, portal, ready, running

#: How often each part is chosen.
WEIGHTS = {"engine": 8, "prefect": 5, "portal": 4, "mailbox": 3}
TWO_AT_ONCE = 0.12
ALLOWED_SECONDS, PATIENCE_SECONDS = 30.0, 300.0
VERDICTS = {"scope": "confirm", "draft": "submit", "approval": "approve"}


@dataclass
class Tally:
    """What the driver knows to be true."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    asked_again: int = 0
    started: list[str] = field(default_factory=list)
    recoveries: list[dict[str, Any]] = field(default_factory=list)


class Office:
    """Coordinator and colleagues, as far as HTTP and the mailbox go."""

    def __init__(self, settings: dict[str, str], seed: int, changes: int, tally: Tally) -> None:
        self.random = random.Random(seed)
        self.home, self.wanted, self.tally = Path(settings["SHIXIANG_HOME"]), changes, tally
        self.http = httpx2.Client(base_url=portal(settings), timeout=20, trust_env=False)
        self.token = _token(settings)
        self.codes = _codes(settings)
        self.random.shuffle(self.codes)
        #: The desk's link by change and address; when the next look at it is due.
        self.desks: dict[tuple[str, str], str] = {}
        self.look_at: dict[tuple[str, str], float] = {}
        self.closed: set[str] = set()
        self.read: set[str] = set()
        self.requests = 0
        #: While it is set, new changes are started and sheets are sent back now and then.
        self.busy = threading.Event()
        self.busy.set()
        self.ended = threading.Event()

    def run(self) -> None:
        """Until told to end."""
        while not self.ended.wait(0.1):
            if self.busy.is_set() and len(self.tally.started) - len(self.closed) < self.wanted:
                self._start()
            self._fetch_mails()
            now = time.monotonic()
            due = [desk for desk, at in self.look_at.items() if at <= now]
            for desk in due[:5]:
                # Looked at again later even without a new mail: a person opens his link when he likes.
                self.look_at[desk] = time.monotonic() + 20
                self._decide(desk)

    def _ask(self, method: str, path: str, **more: Any) -> httpx2.Response | None:
        """Ask until there is an answer, as somebody does who sees an error page; None at the end."""
        while not self.ended.is_set():
            try:
                answer = self.http.request(method, path, **more)
                if answer.status_code < 500 and answer.status_code != 429:
                    return answer
            except httpx2.HTTPError:
                pass
            self.tally.asked_again += 1
            time.sleep(0.3)
        return None

    def _start(self) -> None:
        code = self.codes.pop()
        rename = self.random.random() < 0.4
        item: dict[str, Any] = {"target": {"kind": "item", "code": code}}
        if rename:
            item |= {"outcomes": ["rename"], "set": {"name": f"事项名称试验{code[-6:]}"}}
        else:
            item |= {"outcomes": ["change_guide"], "set": {"promised_days": self.random.randint(1, 9)}}
        title = f"试验 {len(self.tally.started) + 1}"
        params = {"title": title, "reason": "试验", "effective_on": None, "items": [item]}
        headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": f"soak-{code}"}
        answer = self._ask(
            "POST", "/api/v1/changes", json={"trigger": "agency_request", "params": params}, headers=headers
        )
        if answer is not None and answer.status_code < 300:
            self.tally.started.append(answer.json()["id"])
        elif answer is not None:
            self.tally.refused[answer.json().get("error", "?")] += 1

    def _fetch_mails(self) -> None:
        for path in sorted((self.home / "mailbox").glob("*.eml")):
            if path.name in self.read:
                continue
            self.read.add(path.name)
            mail = read_mail(path.parent, path.name)
            if mail is not None and mail.change and mail.link and "/d/" in mail.link:
                desk = (mail.change, mail.to)
                self.desks[desk] = mail.link
                self.look_at[desk] = time.monotonic() + self.random.uniform(0.0, 4.0)

    def _decide(self, desk: tuple[str, str]) -> None:
        link = self.desks[desk]
        answer = self._ask("GET", link, headers={"Accept": "application/json"})
        if answer is None or answer.status_code != 200:
            return
        lies = answer.json()
        if not lies["assignments"]:
            return
        self.requests += 1
        said = []
        for one in lies["assignments"]:
            verdict = VERDICTS.get(one["stage"], "pass")
            if self.busy.is_set() and verdict == "pass" and self.random.random() < 0.45:
                verdict = "return"
            said.append(
                {"assignment": one["id"], "revision": one["revision"], "verdict": verdict, "comment": "试验意见"}
            )
        answer = self._ask("POST", link, json={"request_id": f"soak-{self.requests}", "decisions": said})
        if answer is None:
            return
        if answer.status_code == 200:
            for one in answer.json()["recorded"]:
                assert one["assignment"] not in self.tally.acknowledged, "the same assignment was acknowledged twice"
                self.tally.acknowledged[one["assignment"]] = one["verdict"]
        else:
            self.tally.refused[str(answer.json().get("error", answer.status_code))] += 1
            self.look_at[desk] = time.monotonic() + 1

    def look_for_ended(self, tables: sqlite3.Connection) -> None:
        """Which changes are over; their desks need no further look."""
        rows = tables.execute("select id from change where state <> 'open'").fetchall()
        self.closed = {row[0] for row in rows} & set(self.tally.started)
        for desk in list(self.look_at):
            if desk[0] in self.closed:
                self.look_at.pop(desk, None)


def _command(settings: dict[str, str], *arguments: str) -> Any:
    import json

    done = subprocess.run(
        [sys.executable, "-m", "deployments.cli", *arguments, "--json"],
        env=settings, capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def _token(settings: dict[str, str]) -> str:
    people = _command(settings, "people", "list")
    coordinator = next(one for one in people if "coordinator" in one["roles"])
    return str(_command(settings, "token", "issue", "--for", coordinator["id"], "--scope", "start,read")["token"])


def _codes(settings: dict[str, str]) -> list[str]:
    items = _command(settings, "items", "list", "--limit", "3000")
    return [one["code"] for one in items if len(one["code"] or "") == 12]


def _tables(home: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{home / 'shixiang.db'}?mode=ro", uri=True, timeout=30)


def _behind(tables: sqlite3.Connection, moment: str) -> str:
    """What from before a moment is not settled yet; empty where all is."""
    work = tables.execute(
        "select number from change where state = 'open' and work_seq > consumed_seq and work_since < ? limit 1",
        (moment,),
    ).fetchone()
    if work is not None:
        return f"work of {work[0]}"
    starts = tables.execute(
        "select number from change where state = 'open' and leg_no = 0 and created_at < ? limit 1", (moment,)
    ).fetchone()
    if starts is not None:
        return f"start of {starts[0]}"
    notice = tables.execute(
        "select id, state from notice where state in ('queued', 'sending', 'retrying') and created_at < ? limit 1",
        (moment,),
    ).fetchone()
    return "" if notice is None else f"notice {notice[0]} {notice[1]}"


def _kill(process: subprocess.Popen[bytes], names: list[str]) -> list[str]:
    there = parts(process)
    killed = []
    for name in names:
        if name in there:
            os.kill(there[name], signal.SIGKILL)
            killed.append(name)
    for name in killed:
        while alive(there[name]) and parts(process).get(name) == there[name]:
            time.sleep(0.01)
    return killed


def _recover(
    settings: dict[str, str], process: subprocess.Popen[bytes], tables: sqlite3.Connection, moment: datetime
) -> tuple[float, str]:
    """Seconds from the kill until everything from before it is settled; and what it waited for last.

    An engine is taken for alive for some seconds after its death: every part must be there as a process too.
    """
    text, began = moment.strftime("%Y-%m-%d %H:%M:%S.%f"), time.monotonic()
    why = last = "healthz"
    while True:
        spent = time.monotonic() - began
        if missing := WEIGHTS.keys() - parts(process).keys():
            why = f"start of {'+'.join(sorted(missing))}"
        else:
            why = _behind(tables, text) if ready(settings) else "healthz"
        if not why:
            return spent, last
        last = why
        if spent > PATIENCE_SECONDS:
            return spent, why
        time.sleep(0.1)


def trial(*, kills: int, changes: int, seed: int, items: int, say: Any = print) -> dict[str, Any]:
    """The whole trial; its figures. Raises nothing for what went wrong: the figures say it."""
    home = Path(tempfile.mkdtemp(prefix="shixiang-soak-"))
    settings = environment(home / "home", SHIXIANG_COLLECT_MINUTES="0", SHIXIANG_HOT_SECONDS="3")
    command = [sys.executable, "-m", "deployments.cli", "up", "--sample-items", str(items)]
    chosen, tally = random.Random(seed), Tally()
    began = datetime.now(UTC)
    with running(settings, home / "up.log", command) as process:
        tables = _tables(home / "home")
        office = Office(settings, seed, changes, tally)
        people = threading.Thread(target=office.run, name="people")
        people.start()
        try:
            while len(tally.started) < changes and people.is_alive():
                time.sleep(0.2)
            for number in range(1, kills + 1):
                time.sleep(chosen.uniform(0.0, 2.5))
                names = [chosen.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]]
                if chosen.random() < TWO_AT_ONCE:
                    names.append(chosen.choice([name for name in WEIGHTS if name not in names]))
                moment = datetime.now(UTC)
                killed = _kill(process, names)
                spent, waited = _recover(settings, process, tables, moment)
                tally.recoveries.append(
                    {
                        "parts": "+".join(killed),
                        "seconds": round(spent, 2),
                        "waited_for": waited,
                        "load": round(os.getloadavg()[0], 1),
                    }
                )
                office.look_for_ended(tables)
                if number % 10 == 0 or spent > ALLOWED_SECONDS:
                    say(f"{number} kills, last {'+'.join(killed)} {spent:.1f} s ({waited}), "
                        f"{len(tally.acknowledged)} decisions, {len(office.closed)} changes closed")  # fmt: skip
                if not people.is_alive():
                    break
            office.busy.clear()
            end = time.monotonic() + 900
            while people.is_alive() and time.monotonic() < end:
                office.look_for_ended(tables)
                if len(office.closed) == len(tally.started):
                    break
                time.sleep(0.5)
            _recover(settings, process, tables, datetime.now(UTC) + timedelta(hours=1))
        finally:
            alive_to_the_end = people.is_alive()
            office.ended.set()
            people.join(60)
        figures = _figures(tables, home / "home", tally, office)
        tables.close()
    figures["whole"] &= alive_to_the_end
    figures["passed"] &= alive_to_the_end
    return {
        "at": began.isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, SQLite",
        "seed": seed,
        "minutes": round((datetime.now(UTC) - began).total_seconds() / 60, 1),
        **figures,
    }


def _figures(tables: sqlite3.Connection, home: Path, tally: Tally, office: Office) -> dict[str, Any]:
    def number(query: str) -> int:
        return int(tables.execute(query).fetchone()[0])

    given = dict(tables.execute("select assignment_id, verdict from decision where undone_at is null").fetchall())
    copies: dict[str, list[str]] = {}
    for path in sorted((home / "mailbox").glob("*.eml")):
        mail = read_mail(path.parent, path.name)
        if mail is not None and mail.notice:
            copies.setdefault(mail.notice, []).append(mail.headers.get("X-Shixiang-Repeat", ""))
    sent = {row[0] for row in tables.execute("select id from notice where state = 'sent'").fetchall()}
    seconds = sorted(one["seconds"] for one in tally.recoveries)
    by_part: dict[str, list[float]] = {}
    for one in tally.recoveries:
        by_part.setdefault(one["parts"], []).append(one["seconds"])
    found: dict[str, Any] = {
        "kills": sum(len(one["parts"].split("+")) for one in tally.recoveries),
        "moments": len(tally.recoveries),
        "changes": len(tally.started),
        "changes_left_open": number("select count(*) from change where state = 'open'"),
        "decisions_acknowledged": len(tally.acknowledged),
        "decisions_lost": sum(1 for key, verdict in tally.acknowledged.items() if given.get(key) != verdict),
        "decisions_nobody_was_told_of": len(set(given) - set(tally.acknowledged)),
        "decisions_twice": number(
            "select count(*) from (select 1 from decision where undone_at is null group by assignment_id having count(*) > 1)"
        ),
        "steps_opened_twice": number(
            "select count(*) from (select 1 from step where sheet_id is not null"
            " group by sheet_id, stage, round having count(*) > 1)"
        ),
        "work_not_taken_up": number("select count(*) from change where work_seq > consumed_seq and state = 'open'"),
        "published": number("select count(*) from adjustment where state = 'published'"),
        "published_not_once": number(
            "select count(*) from (select a.id from adjustment a left join publication_line p on p.adjustment_id = a.id"
            " where a.state = 'published' group by a.id having count(p.publication_id) <> 1)"
        ),
        "new_attempts": number("select coalesce(sum(attempt - 1), 0) from change"),
        "notices": number("select count(*) from notice"),
        "notices_sent": len(sent),
        "notices_lost": len(sent - set(copies)),
        "notices_not_sent": number("select count(*) from notice where state not in ('sent', 'cancelled')"),
        "notices_twice": sum(1 for marks in copies.values() if len(marks) == 2),
        "notices_more_than_twice": sum(1 for marks in copies.values() if len(marks) > 2),
        "notices_twice_unmarked": sum(1 for marks in copies.values() if marks.count("") > 1),
        "asked_again": tally.asked_again,
        "refused": dict(tally.refused),
        "recovery_seconds": {
            "p50": _at(seconds, 0.5), "p95": _at(seconds, 0.95), "max": seconds[-1] if seconds else 0.0,
            "over_30": sum(1 for one in seconds if one > ALLOWED_SECONDS),
            "load_p50": _at(sorted(float(one["load"]) for one in tally.recoveries), 0.5),
        },
        "recovery_by_part": {
            name: {"kills": len(times), "p50": _at(sorted(times), 0.5), "max": max(times)}
            for name, times in sorted(by_part.items())
        },
        "slowest": sorted(tally.recoveries, key=lambda one: -float(one["seconds"]))[:5],
    }  # fmt: skip
    none = (
        "changes_left_open", "decisions_lost", "decisions_nobody_was_told_of", "decisions_twice", "steps_opened_twice",
        "work_not_taken_up", "published_not_once", "notices_lost", "notices_not_sent", "notices_more_than_twice",
        "notices_twice_unmarked",
    )  # fmt: skip
    found["whole"] = not any(found[name] for name in none)
    found["passed"] = found["whole"] and not found["recovery_seconds"]["over_30"]
    return found


def _at(values: list[float], part: float) -> float:
    return values[min(len(values) - 1, int(len(values) * part))] if values else 0.0


def run(_so_far: dict[str, Any], _keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Two hundred kills over twenty open changes, in one go."""
    return trial(
        kills=int(os.environ.get("SOAK_KILLS", "200")),
        changes=20,
        seed=int(os.environ.get("SOAK_SEED", "4")),
        items=1500,
        say=lambda line: print(f"{datetime.now(UTC):%H:%M:%S} {line}", file=sys.stderr, flush=True),
    )
