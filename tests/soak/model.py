"""The stateful model for a long time: batches of numbered seeds, so that it can be stopped, gone on with and repeated.

`SHIXIANG_SOAK_STEPS` how many steps in all (default a million), `SHIXIANG_SOAK_PROCESSES` how many batches at once
(default one a core). What is done is kept in `docs/soak.json` after each batch; `python -m tests.soak model` goes on from
there. A seed that failed is repeated by `python -m tests.soak.model SEED`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import count
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from models.domain.states import MACHINES
from tests.faults.machine import Counts, OfficeMachine

STEPS = int(os.environ.get("SHIXIANG_SOAK_STEPS", "1000000"))
PROCESSES = int(os.environ.get("SHIXIANG_SOAK_PROCESSES", str(os.cpu_count() or 1)))
EXAMPLES, STEPS_EACH = 50, 60

Record = dict[str, Any]


def run(so_far: Record, keep: Callable[[Record], None]) -> Record:
    """Batch after batch until the steps are done; the figures after each go to `keep`. A seed that fails stops nothing."""
    figures = {
        "steps": 0,
        "examples": 0,
        "processor_seconds": 0,
        "seeds": 0,
        "failed_seeds": [],
        "never_seen": sorted(map(_said, _allowed())),
        **so_far,
    }
    with ProcessPoolExecutor(PROCESSES, max_tasks_per_child=20) as pool:
        numbers = count(figures["seeds"] + 1)
        for batch in _one_after_another(pool, numbers, lambda: figures["steps"] < STEPS):
            _add(figures, batch)
            keep(figures)
    return figures


def _one_after_another(
    pool: ProcessPoolExecutor, numbers: Iterator[int], more: Callable[[], bool]
) -> Iterator[tuple[int, Record]]:
    """The batches in the order of their seeds, so that a stop leaves no gap."""
    waiting: dict[int, Future[Record]] = {}
    done: dict[int, Record] = {}
    turn: int | None = None
    while waiting or done or more():
        while more() and len(waiting) + len(done) < 2 * PROCESSES:
            number = next(numbers)
            turn = number if turn is None else turn
            waiting[number] = pool.submit(batch, number)
        wait(waiting.values(), return_when=FIRST_COMPLETED)
        for number in [n for n, one in waiting.items() if one.done()]:
            done[number] = waiting.pop(number).result()
        while turn in done:
            yield turn, done.pop(turn)
            turn += 1


def batch(number: int) -> Record:
    """What came of one seed."""
    counts = Counts()

    @seed(number)
    class Machine(OfficeMachine):
        pass

    Machine.counts = counts
    began, error = time.process_time(), ""
    try:
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS_EACH,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )
    except Exception as found:
        error = f"{found}\n" + "\n".join(getattr(found, "__notes__", ()))
        print(f"seed {number}: {error}", flush=True)
    return {
        "steps": counts.steps,
        "examples": counts.examples,
        "seconds": time.process_time() - began,
        "seen": counts.seen,
        "error": error,
    }


def _add(figures: Record, numbered: tuple[int, Record]) -> None:
    number, found = numbered
    figures["seeds"] = number
    figures["steps"] += found["steps"]
    figures["examples"] += found["examples"]
    figures["processor_seconds"] = round(figures["processor_seconds"] + found["seconds"])
    if found["error"]:
        figures["failed_seeds"] = [*figures["failed_seeds"], number]
    seen = {_said(one) for one in found["seen"]}
    figures["never_seen"] = [one for one in figures["never_seen"] if one not in seen]
    figures["passed"] = not figures["failed_seeds"] and figures["steps"] >= STEPS


def _allowed() -> set[tuple[str, str | None, str]]:
    """The transitions of the machines the log tells of."""
    told = ("change", "adjustment", "sheet", "step", "assignment")
    return {(kind, a, b) for kind in told for a, verbs in MACHINES[kind].items() for b in verbs.values() if a != b}


def _said(transition: tuple[str, str | None, str]) -> str:
    kind, before, after = transition
    return f"{kind}: {before} → {after}"


if __name__ == "__main__":
    sys.exit(bool(batch(int(sys.argv[1]))["error"]))
