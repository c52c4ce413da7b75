"""The case in Shixiang, from outside: a change of an item's bases passes draft, form, legality beside list, approval.

More than what is measured of the peers: HTTP in, and the next person's mail at the mail server instead of a row.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.bench import latency
from tests.bench.latency import Driver

THREADS = 8


def start(driver: Driver, item: dict[str, Any]) -> tuple[str, float]:
    """A change of the bases of an item; its id and the seconds to the drafter's mail."""
    bases = [dict(basis) for basis in item["bases"]]
    bases[0]["quoted"] = f"{bases[0].get('quoted') or ''}（摘录）"
    asked = {"target": {"kind": "item", "code": item["code"]}, "outcomes": ["change_basis"], "set": {"bases": bases}}
    params = {"title": f"依据 {item['code']}", "reason": "测量", "effective_on": None, "items": [asked]}
    change, seconds = driver.start_change(item["code"], params)
    assert seconds is not None, f"no mail for {change}"
    return change, seconds


def carry(driver: Driver, change: str) -> list[float]:
    """All decisions of a change, each as soon as it can be given; seconds of those that open a next step."""
    found = []
    for stages in (("draft",), ("form",), ("legality", "list"), ("approval",)):
        tasks = latency.tasks_of(driver, change, stages)
        for stage in stages:
            link, assignment = tasks[stage]
            before = len(driver.box.mails)
            sent, status = driver.decide(link, assignment)
            assert status == 200, (stage, status)
        if stages != ("approval",):
            mail = driver.box.after(before, change, sent)
            assert mail is not None, f"no mail after {stages} of {change}"
            found.append(mail["at"] - sent)
    return found


def run(folder: Path, database: str, cases: int) -> dict[str, Any]:
    """The same figures as the peers' programs print, on PostgreSQL, shipped defaults."""
    with latency.sink() as box, latency.stack(folder / "home", box.port, database, 2 * cases + 60) as system:
        driver = Driver(system, box)
        items = [item for item in latency.items_of(driver, cases + cases // 2 + 8) if item["bases"]][: cases + 1]
        carry(driver, start(driver, items[-1])[0])
        time.sleep(2)
        before = sum(latency.memory(pid) for pid in system.children().values())
        made = [start(driver, item) for item in items[:cases]]
        for change, _ in made:
            while driver.suspended_since(change) < 0:
                time.sleep(0.2)
        held = sum(latency.memory(pid) for pid in system.children().values())
        half = cases // 2
        seconds = [carry(driver, change) for change, _ in made[:half]]
        began = time.perf_counter()
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda one: carry(driver, one[0]), made[half:]))
        span = time.perf_counter() - began
    return {
        "name": "Shixiang on PostgreSQL, HTTP to mail",
        "version": "this tree",
        "cases": cases,
        "start, s": [seconds for _, seconds in made],
        "decision to next step, s": [value for one in seconds for value in one],
        "of these the first of each case, its run suspended, s": [one[0] for one in seconds],
        "decisions a second": round(5 * len(made[half:]) / span, 1),
        "memory of the process, MB": round(held, 1),
        "memory a waiting case, kB": round(max(0.0, held - before) * 1000 / cases, 1),
    }
