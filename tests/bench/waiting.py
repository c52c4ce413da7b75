"""Ten thousand changes that wait, fifty of them real runs: what waiting costs, and what it costs the others."""

from __future__ import annotations

import contextlib
import json
import re
import time
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import func, select

from models import clock
from models.actions import engine
from models.settings import Settings
from models.store.change import CHANGE
from models.store.database import Database
from tests.bench import copies, latency
from tests.bench.figures import spread
from tests.bench.latency import Driver, Rounds, Sink, Stack

REAL = 50
IDLE_SECONDS = 30.0


def repeated(act: Any, times: int) -> list[float]:
    """Seconds of each call."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        act()
        found.append(time.perf_counter() - began)
    return found


def prefect_address(home: Path, database: str) -> str:
    """Prefect's database as a plain SQLAlchemy address."""
    return f"{database}_prefect" if database else f"sqlite:///{home}/prefect/prefect.db"


def run(folder: Path, box: Sink, database: str, wanted: int, real: int = REAL) -> dict[str, Any]:
    """Figures of one store."""
    home = folder / "waiting"
    result: dict[str, Any] = {}
    with latency.stack(home, box.port, database, 300) as system:
        driver = Driver(system, box)
        chosen = latency.items_of(driver, real)
        originals = []
        for item in chosen:
            change, _ = driver.start(item["code"], item["name"] + "丁")
            originals.append(change)
        runs = dict(driver.runs)
        wait_asleep(driver, originals)
        result["before: memory, MB"] = {name: latency.memory(pid) for name, pid in system.children().items()}
    business = database or f"sqlite:///{home}/shixiang.db"
    db = Database(Settings(database_url=business, home=home).business_url)
    began = time.monotonic()
    copied = copies.copy_changes(db, originals, wanted)
    copies.copy_runs(prefect_address(home, database), copied)
    with db.engine.begin() as connection:
        if not db.sqlite:
            connection.exec_driver_sql("analyze")
        waiting = connection.execute(select(func.count()).select_from(CHANGE).where(CHANGE.c.state == "open")).scalar()
    result["waiting changes, of them real runs"] = [waiting, len(originals)]
    result["rows seeded in, s"] = round(time.monotonic() - began, 1)
    now = clock.now()
    result["pulse: what needs waking, ms"] = spread(repeated(lambda: engine.changes_to_wake(db, now=now), 60))
    query = lambda: engine.orphans(db, now=now, engine_id="none", carried=lambda _: True)  # noqa: E731
    result["pulse: legs nobody carries, ms"] = spread(repeated(query, 60))
    began = time.monotonic()
    with latency.stack(home, box.port, database, 300) as system:
        result["start to ready, s"] = round(time.monotonic() - began, 1)
        driver = Driver(system, box)
        driver.runs = runs
        result |= measured(system, driver, originals)
    db.close()
    return result


def wait_asleep(driver: Driver, changes: list[str]) -> None:
    """Until every run is Suspended."""
    end = time.monotonic() + 120
    for change in changes:
        while driver.suspended_since(change) < 0 and time.monotonic() < end:
            time.sleep(0.3)


def measured(system: Stack, driver: Driver, originals: list[str]) -> dict[str, Any]:
    """What the running system answers and uses."""
    result: dict[str, Any] = {}
    time.sleep(15)  # the first watch of the start is over
    used = {name: latency.processor(pid) for name, pid in system.children().items()}
    began = time.monotonic()
    time.sleep(IDLE_SECONDS)
    span = time.monotonic() - began
    result["idle, % of one core"] = {
        name: round(100 * (latency.processor(pid) - used[name]) / span, 1)
        for name, pid in system.children().items()
        if name in used
    }
    result["memory, MB"] = {name: latency.memory(pid) for name, pid in system.children().items()}
    with contextlib.closing(signed_in(system, driver)) as browser:
        pages = repeated(lambda: browser.get("/board").raise_for_status(), 3 + 30)[3:]
        result["board, ms"] = spread(pages)
        late = repeated(lambda: browser.get("/board?late=1&stage=form").raise_for_status(), 20)
        result["board filtered, ms"] = spread(late)
        result["board, kB"] = round(len(browser.get("/board").content) / 1024, 1)
    result["watch, s"] = [watch(system) for _ in range(3)]
    rounds = Rounds()
    for change in originals[:30]:
        latency.step(driver, change, rounds)
        time.sleep(0.2)
    result["cold: decision to next mail, ms"] = spread(rounds.seconds)
    result["cold: decisions, failures"] = [rounds.decisions, rounds.failures]
    return result


def signed_in(system: Stack, driver: Driver) -> httpx2.Client:
    """A coordinator's browser."""
    browser = httpx2.Client(base_url=system.portal, follow_redirects=True, trust_env=False, timeout=60)
    before = len(driver.box.mails)
    browser.post("/sign-in", data={"email": "zhou.min@shili.example"}).raise_for_status()
    mail = driver.box.after(before, None, 0.0)
    assert mail is not None and mail["link"]
    browser.get(mail["link"])
    board = browser.post(mail["link"])
    assert board.url.path == "/board", board.url
    return browser


def watch(system: Stack) -> float:
    """Run `watch` now; the seconds from its first line to its last."""
    with httpx2.Client(base_url=system.prefect + "/", timeout=30, trust_env=False) as prefect:
        deployment = prefect.get("deployments/name/watch/watch").json()["id"]
        run = prefect.post(f"deployments/{deployment}/create_flow_run", json={"state": {"type": "SCHEDULED"}}).json()
        end = time.monotonic() + 180
        while prefect.get(f"flow_runs/{run['id']}").json()["state"]["type"] not in {"COMPLETED", "FAILED", "CRASHED"}:
            assert time.monotonic() < end, "watch does not end"
            time.sleep(0.2)
        states = prefect.get("flow_run_states/", params={"flow_run_id": run["id"]}).json()
    at = {state["type"]: state["timestamp"] for state in states}
    assert "COMPLETED" in at, json.dumps(states)[:2000]
    return round(_moment(at["COMPLETED"]) - _moment(at["RUNNING"]), 2)


def _moment(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(re.sub(r"Z$", "+00:00", text)).timestamp()
