"""The stateful model for a long time: batches of numbered seeds, so that it can be stopped, gone on with and repeated.

`SHIXIANG_SOAK_STEPS` how many steps in all (default a million), `SHIXIANG_SOAK_SEED` the first seed. What is done is kept in
`var/soak-model.json` after each batch; `python -m tests.soak model` goes on from there.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from models.domain.states import MACHINES
from tests.faults.machine import Counts, OfficeMachine

STEPS = int(os.environ.get("SHIXIANG_SOAK_STEPS", "1000000"))
FIRST_SEED = int(os.environ.get("SHIXIANG_SOAK_SEED", "1"))
KEPT = Path(__file__).resolve().parents[2] / "var" / "soak-model.json"
EXAMPLES, STEPS_EACH = 50, 60


def run() -> dict[str, Any]:
    """Batch after batch until the steps are done or something does not hold; the figures so far."""
    done: dict[str, Any] = {
        "steps": 0,
        "examples": 0,
        "seconds": 0.0,
        "next_seed": FIRST_SEED,
        "failed_seeds": [],
        "seen": [],
    }
    if KEPT.exists():
        done = json.loads(KEPT.read_text(encoding="utf-8"))
    while done["steps"] < STEPS:
        _batch(done)
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        KEPT.write_text(json.dumps(done, ensure_ascii=False), encoding="utf-8")
    return _figures(done)


def _batch(done: dict[str, Any]) -> None:
    number = done["next_seed"]
    counts = Counts()

    @seed(number)
    class Machine(OfficeMachine):
        pass

    Machine.counts = counts
    began = time.perf_counter()
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
    except Exception as error:
        print(f"seed {number}: {error}\n" + "\n".join(getattr(error, "__notes__", ())), flush=True)
        done["failed_seeds"].append(number)
    done["next_seed"] = number + 1
    done["steps"] += counts.steps
    done["examples"] += counts.examples
    done["seconds"] += time.perf_counter() - began
    done["seen"] = sorted({tuple(one) for one in done["seen"]} | counts.seen, key=str)


def never_seen(seen: set[tuple[str, str, str]]) -> list[str]:
    """The allowed transitions of the machines the log tells of that did not happen."""
    told = ("change", "adjustment", "sheet", "step", "assignment")
    allowed = {(kind, a, b) for kind in told for a, verbs in MACHINES[kind].items() for b in verbs.values() if a != b}
    return sorted(f"{kind}: {a} → {b}" for kind, a, b in allowed - seen)


def _figures(done: dict[str, Any]) -> dict[str, Any]:
    seen = {(str(a), str(b), str(c)) for a, b, c in done["seen"]}
    return {
        "steps": done["steps"],
        "examples": done["examples"],
        "seconds": round(done["seconds"]),
        "steps_per_second": round(done["steps"] / max(done["seconds"], 1), 1),
        "seeds": [FIRST_SEED, done["next_seed"] - 1],
        "failed_seeds": done["failed_seeds"],
        "transitions_seen": len([one for one in seen if one[1] != "None" and one[0] != "notice"]),
        "never_seen": never_seen(seen),
        "passed": not done["failed_seeds"],
    }
