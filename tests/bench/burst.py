"""Many at once: thirty changes hot and decided at random, while six others reach the end of their hot window together.

The six are decided at the moment they park: from 0.05 s before to 0.25 s after it, the worst moment there is.
"""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from tests.bench.latency import Driver, processor, wait_open

HOT, PARKING = 30, 6
#: Decisions a second over the hot changes.
RATE = 8.0
BEFORE, AFTER = 0.05, 0.25


@dataclass
class Burst:
    """Seconds from decision to mail: on the hot changes, and on those that park."""

    hot: list[float] = field(default_factory=list)
    parking: list[float] = field(default_factory=list)
    posts: list[float] = field(default_factory=list)
    failures: int = 0
    #: Processor seconds of each process over the decisions, and how long those took (seconds).
    used: dict[str, float] = field(default_factory=dict)
    span: float = 0.0


Task = tuple[str, dict[str, Any]]


def opened(driver: Driver, change: str) -> Task:
    """What lies open first: read once, as a person does who opened the desk before he decides."""
    wait_open(driver, change)
    return driver.open_tasks(change)[0]


def measured(driver: Driver, change: str, task: Task, at: float, posts: list[float]) -> float | None:
    """Decide at this moment (monotonic); seconds to the next person's mail."""
    link, assignment = task
    time.sleep(max(0.0, at - time.monotonic()))
    before = len(driver.box.mails)
    began = time.monotonic()
    sent, status = driver.decide(link, assignment)
    posts.append(time.monotonic() - began)
    mail = driver.box.after(before, change, sent) if status == 200 else None
    return None if mail is None else mail["at"] - sent


def twice(
    driver: Driver, change: str, task: Task, first: float, second: float, posts: list[float]
) -> list[float | None]:
    """The draft, then the check of form, each at its moment."""
    one = measured(driver, change, task, first, posts)
    return [one, measured(driver, change, opened(driver, change), second, posts)]


def start_all(driver: Driver, items: list[dict[str, str]]) -> dict[str, float]:
    """Start a change for each item; when its leg began to wait (about), by change."""
    found = {}
    for item in items:
        change, first = driver.start(item["code"], item["name"] + "丙")
        assert first is not None, f"no mail for {change}"
        found[change] = time.monotonic()
    return found


def run(driver: Driver, items: list[dict[str, str]], hot_seconds: float, rounds: int) -> Burst:
    """So many rounds, each with 36 fresh changes."""
    found = Burst()
    for number in range(rounds):
        chosen = items[number * (HOT + PARKING) : (number + 1) * (HOT + PARKING)]
        parking = start_all(driver, chosen[:PARKING])
        hot = list(start_all(driver, chosen[PARKING:]))
        first_end = min(parking.values()) + hot_seconds
        tasks = {change: opened(driver, change) for change in (*parking, *hot)}
        span = 2 * len(hot) / RATE
        begin = max(time.monotonic() + 0.5, first_end - span / 2)
        # Each hot change twice: its draft, then the check of form; in random order, at random moments.
        first, second = ({change: begin + (n + random.random()) / RATE for n, change in enumerate(order, start)}
                         for start, order in ((0, random.sample(hot, len(hot))), (len(hot), random.sample(hot, len(hot)))))  # fmt: skip
        time.sleep(max(0.0, begin - time.monotonic()))
        before = {name: processor(pid) for name, pid in driver.system.children().items()}
        with ThreadPoolExecutor(HOT + PARKING) as pool:
            cold = [
                pool.submit(
                    measured,
                    driver,
                    change,
                    tasks[change],
                    since + hot_seconds + random.uniform(-BEFORE, AFTER),
                    found.posts,
                )
                for change, since in parking.items()
            ]
            warm = [
                pool.submit(twice, driver, change, tasks[change], first[change], second[change], found.posts)
                for change in hot
            ]
            for kept, values in ((found.parking, [one.result() for one in cold]),
                                 (found.hot, [value for one in warm for value in one.result()])):  # fmt: skip
                kept += [value for value in values if value is not None]
                found.failures += sum(1 for value in values if value is None)
        found.span += time.monotonic() - begin
        for name, pid in driver.system.children().items():
            if name in before:
                found.used[name] = found.used.get(name, 0.0) + processor(pid) - before[name]
    return found
