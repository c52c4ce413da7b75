"""What all peers' programs share: the case, how it is measured, how the figures are said.

The case: draft, form, legality beside list, approval; five decisions of people. Measured is the time from a decision to
the moment the next person's step waits in the store, seen by the one who decided. Half of the cases one after another
for the latency, half by eight threads at once for the throughput; before, all of them wait at their first step.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

STAGES = (("draft",), ("form",), ("legality", "list"), ("approval",))
THREADS = 8


def memory_mb() -> float:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(
    name: str,
    version: str,
    cases: int,
    start: Callable[[int], Any],
    decide: Callable[[Any, str], None],
    waits: Callable[[Any, str], None],
    ended: Callable[[Any], None],
) -> None:
    """Run the measurement and print its figures as JSON.

    `start(n)` returns a case whose first step waits; `decide(case, stage)` gives one decision; `waits(case, stage)` and
    `ended(case)` return once the step waits or the case is over.
    """
    warm = start(-1)
    carry(warm, decide, waits, ended, [])
    before, started, made = memory_mb(), [], []
    for number in range(cases):
        began = time.perf_counter()
        made.append(start(number))
        started.append(time.perf_counter() - began)
    held = memory_mb()
    seconds: list[float] = []
    half = cases // 2
    for case in made[:half]:
        carry(case, decide, waits, ended, seconds)
    began = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda case: carry(case, decide, waits, ended, []), made[half:]))
    span = time.perf_counter() - began
    print(
        json.dumps(
            {
                "name": name,
                "version": version,
                "cases": cases,
                "start, s": started,
                "decision to next step, s": seconds,
                "decisions a second": round(5 * (cases - half) / span, 1),
                "memory of the process, MB": round(held, 1),
                "memory a waiting case, kB": round(max(0.0, held - before) * 1000 / cases, 1),
            }
        ),
        flush=True,
    )


def carry(
    case: Any,
    decide: Callable[[Any, str], None],
    waits: Callable[[Any, str], None],
    ended: Callable[[Any], None],
    seconds: list[float],
) -> None:
    """All decisions of a case; the seconds of those that open a next step are kept."""
    for number, stages in enumerate(STAGES):
        for stage in stages[:-1]:
            decide(case, stage)
        began = time.perf_counter()
        decide(case, stages[-1])
        if number + 1 < len(STAGES):
            for stage in STAGES[number + 1]:
                waits(case, stage)
            seconds.append(time.perf_counter() - began)
        else:
            ended(case)


def arguments() -> tuple[int, str]:
    """How many cases, and the address of an empty PostgreSQL database."""
    return int(sys.argv[1]), sys.argv[2]
