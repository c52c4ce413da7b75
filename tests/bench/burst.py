"""Many at once: thirty changes hot and decided at random, while six others reach the end of their hot window together.

The six are decided at the moment they park: from 0.05 s before to 0.25 s after it, the worst moment there is.
"""

from __future__ import annotations

import random
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.bench.latency import Driver, wait_open

HOT, PARKING = 30, 6
#: Decisions a second over the hot changes.
RATE = 8.0
BEFORE, AFTER = 0.05, 0.25


@dataclass
class Burst:
    """Seconds from decision to mail: on the hot changes, and on those that park."""

    hot: list[float] = field(default_factory=list)
    parking: list[float] = field(default_factory=list)
    failures: int = 0


def measured(driver: Driver, change: str, at: float) -> float | None:
    """Decide what lies open first, at this moment (monotonic); seconds to the next person's mail."""
    wait_open(driver, change)
    link, assignment = driver.open_tasks(change)[0]
    time.sleep(max(0.0, at - time.monotonic()))
    before = len(driver.box.mails)
    sent, status = driver.decide(link, assignment)
    mail = driver.box.after(before, change, sent) if status == 200 else None
    return None if mail is None else mail["at"] - sent


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
        span = 2 * len(hot) / RATE
        begin = max(time.monotonic() + 0.5, first_end - span / 2)
        # Each hot change twice: its draft, then the check of form; in random order, at random moments.
        turns = random.sample(hot, len(hot)) + random.sample(hot, len(hot))
        moments = [begin + n / RATE + random.uniform(0, 1 / RATE) for n in range(len(turns))]
        with ThreadPoolExecutor(16 + PARKING) as pool:
            waits: list[tuple[list[float], Future[float | None]]] = [
                (
                    found.parking,
                    pool.submit(measured, driver, change, since + hot_seconds + random.uniform(-BEFORE, AFTER)),
                )
                for change, since in parking.items()
            ]
            for change, at in zip(turns, moments, strict=True):
                time.sleep(max(0.0, at - 0.25 - time.monotonic()))
                waits.append((found.hot, pool.submit(measured, driver, change, at)))
            for kept, wait in waits:
                seconds = wait.result()
                if seconds is None:
                    found.failures += 1
                else:
                    kept.append(seconds)
    return found
