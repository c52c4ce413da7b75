"""`make bench`: every figure of the goals, in parts that can be run one by one; JSON, a page and drawings.

python -m tests.bench                       all parts, both stores
python -m tests.bench large waiting         these parts
python -m tests.bench --store sqlite        one store
python -m tests.bench --small               small sizes: does it run, not what does it say
python -m tests.bench --write               keep the figures in docs/
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench import burst, large, latency, laws, peers, report, rounds, waiting
from tests.bench.figures import spread
from tests.bench.stores import beside, postgres

HOT_SECONDS = 30.0


@dataclass(frozen=True)
class Sizes:
    """How much of each thing is measured."""

    changes: int = 34
    bursts: int = 4
    items: int = 3600
    departments: int = 50
    #: Items the large change is not concerned with, in its third run.
    others: int = 96_400
    waiting: int = 10_000
    real: int = 50
    rounds: int = 200
    cases: int = 200
    stock_alone: int = 5
    #: Items, and bases of each.
    law_items: tuple[tuple[int, int], ...] = ((3_600, 2), (100_000, 2), (100_000, 10))


SMALL = Sizes(2, 1, 120, 6, 240, 300, 4, 12, 6, 1, ((120, 2), (300, 2), (300, 4)))


@dataclass(frozen=True)
class Ground:
    """What a part gets: sizes, a folder of its own, an empty database (empty text: SQLite in the folder)."""

    sizes: Sizes
    folder: Path
    database: str

    @property
    def url(self) -> str:
        """The address of a database for verbs called in this process."""
        return self.database or f"sqlite:///{self.folder}/own.db"


def latency_part(ground: Ground) -> dict[str, Any]:
    """Hot and cold decisions from outside, starts, processor and memory."""
    result: dict[str, Any] = {}
    with latency.sink() as box:
        began = time.monotonic()
        with latency.stack(ground.folder / "home", box.port, ground.database, 300) as system:
            result["first start to ready, s"] = round(time.monotonic() - began, 1)
            driver = latency.Driver(system, box)
            chosen = latency.items_of(driver, ground.sizes.changes)
            processes = system.children()
            used = {name: latency.processor(pid) for name, pid in processes.items()}
            own, sink_used, clock = time.process_time(), latency.processor(box.process.pid), time.monotonic()
            hot = latency.hot(driver, chosen)
            span = time.monotonic() - clock
            result["processor while hot, % of one core"] = {
                **{
                    name: round(100 * (latency.processor(pid) - used[name]) / span, 1)
                    for name, pid in processes.items()
                },
                "driver": round(100 * (time.process_time() - own) / span, 1),
                "sink": round(100 * (latency.processor(box.process.pid) - sink_used) / span, 1),
            }
            cold = latency.cold(driver, chosen, HOT_SECONDS)
            floor = spread(latency.floor(ground.folder, box.port))
            result["memory, MB"] = {name: latency.memory(pid) for name, pid in system.children().items()}
        began = time.monotonic()
        with latency.stack(ground.folder / "home", box.port, ground.database, 300):
            result["second start to ready, s"] = round(time.monotonic() - began, 1)
    for name, measured in (("hot", hot), ("cold", cold)):
        result[f"{name}: decision to next mail, ms"] = spread(measured.seconds)
        result[f"{name}: the POST itself, ms"] = spread(measured.posts)
        result[f"{name}: start to first mail, ms"] = spread(measured.starts)
        result[f"{name}: decisions, failures"] = [measured.decisions, measured.failures]
    result["floor: one durable row and one bare mail, ms"] = floor
    for name, measured in (("hot", hot), ("cold", cold)):
        result[f"{name} p95 / floor p95"] = round(float(spread(measured.seconds)["p95"]) / float(floor["p95"]), 1)
    return result


def burst_part(ground: Ground) -> dict[str, Any]:
    """30 changes hot and 6 parking at once."""
    changes = ground.sizes.bursts * (burst.HOT + burst.PARKING)
    with latency.sink() as box, latency.stack(ground.folder / "home", box.port, ground.database, 600) as system:
        driver = latency.Driver(system, box)
        found = burst.run(driver, latency.items_of(driver, changes), HOT_SECONDS, ground.sizes.bursts)
    return {
        "30 hot: decision to next mail, ms": spread(found.hot),
        "6 parking: decision to next mail, ms": spread(found.parking),
        "the POST itself, ms": spread(found.posts),
        "failures": found.failures,
        "processor meanwhile, % of one core": {
            name: round(100 * seconds / found.span) for name, seconds in found.used.items()
        },
    }


def large_part(ground: Ground) -> dict[str, Any]:
    """One change over all items, decided stage by stage and sheet by sheet, and over a few of many items."""
    sizes = ground.sizes
    result: dict[str, Any] = {"items, departments": [sizes.items, sizes.departments]}
    for name, each, others in (
        (report.STAGE_WISE, False, 0),
        (report.SHEET_WISE, True, 0),
        (report.AMONG_MANY, False, sizes.others),
    ):
        folder = ground.folder / f"{'each' if each else 'whole'}{others}"
        files = folder / "files"
        files.mkdir(parents=True)
        with beside(ground.database, folder.name) as url:
            address = url or f"sqlite:///{folder}/large.db"
            result[name] = large.run(address, files, sizes.items, sizes.departments, each=each, others=others)
    many, few = result[report.AMONG_MANY], result[report.STAGE_WISE]
    result[report.GROWN] = {key: round(many[key] / few[key], 2) for key in report.GROWS}
    return result


def rounds_part(ground: Ground) -> dict[str, Any]:
    """A step after many rounds beside a fresh one."""
    return rounds.run(ground.url, ground.sizes.rounds)


def waiting_part(ground: Ground) -> dict[str, Any]:
    """Ten thousand waiting changes."""
    with latency.sink() as box:
        return waiting.run(ground.folder, box, ground.database, ground.sizes.waiting, ground.sizes.real)


def laws_part(ground: Ground) -> dict[str, Any]:
    """Citations, comparison, the library and the impact of one law; on the published laws, nothing where they are missing."""
    data = Path(os.environ.get("SHIXIANG_TEST_DATA", report.DOCS.parent.parent / "shared" / "data"))
    return laws.laws(ground.url, data, ground.folder, ground.sizes.law_items) if data.is_dir() else {}


PARTS: dict[str, Callable[[Ground], dict[str, Any]]] = {
    "latency": latency_part, "burst": burst_part, "large": large_part, "rounds": rounds_part, "waiting": waiting_part,
    "laws": laws_part,
}  # fmt: skip


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("MemTotal"))
    return {
        "cores": os.cpu_count(), "memory, GB": round(kilobytes / 1e6), "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}", "processor": _processor(),
    }  # fmt: skip


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def measured(act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The figures of a part with when they were taken and how busy the machine was before."""
    load, loop, began = os.getloadavg()[0], bare_loop(), time.monotonic()
    at = datetime.now(UTC).isoformat(timespec="minutes")
    found = act()
    took = round(time.monotonic() - began)
    where = {"at": at, "of": _commit(), "load before": round(load, 1), "bare loop before and after, s": [loop, bare_loop()],
             "took, s": took, "on": _processor()}  # fmt: skip
    return {**found, "measured": where}


def bare_loop() -> float:
    """Seconds for twenty million additions: how fast the machine is just now (1.1 where most figures were taken)."""
    began, total = time.perf_counter(), 0
    for number in range(20_000_000):
        total += number
    return round(time.perf_counter() - began, 2)


def _commit() -> str:
    """What was measured; empty where it is no checkout."""
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=report.DOCS, capture_output=True, text=True)
    return done.stdout.strip()


def run_part(name: str, store: str, sizes: Sizes) -> dict[str, Any] | None:
    """One part on one store; None where PostgreSQL does not answer."""
    with tempfile.TemporaryDirectory(prefix=f"shixiang-bench-{name}-") as folder:
        if store == "sqlite":
            return measured(lambda: PARTS[name](Ground(sizes, Path(folder), "")))
        with postgres(name) as url:
            if url is None:
                print("PostgreSQL does not answer: not measured", file=sys.stderr)
                return None
            return measured(lambda: PARTS[name](Ground(sizes, Path(folder), url)))


def main() -> int:
    """0 if every figure that was measured reaches its goal."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "parts", nargs="*", choices=[*PARTS, "peers", []], metavar="PART", help=", ".join([*PARTS, "peers"])
    )
    parser.add_argument("--store", choices=["sqlite", "postgresql", "both"], default="both")
    parser.add_argument("--small", action="store_true", help="small sizes; never kept")
    parser.add_argument("--write", action="store_true", help="keep the figures in docs/")
    chosen = parser.parse_args()
    sizes = SMALL if chosen.small else Sizes()
    stores = ["sqlite", "postgresql"] if chosen.store == "both" else [chosen.store]
    found: dict[str, Any] = {"machine": machine()}
    for part in chosen.parts or [*PARTS, "peers"]:
        if part == "peers":
            print("peers …", file=sys.stderr, flush=True)
            found["peers"] = measured(lambda: peers.run(sizes.cases, sizes.stock_alone))
            continue
        for store in stores:
            print(f"{part}, {store} …", file=sys.stderr, flush=True)
            result = run_part(part, store, sizes)
            if result is not None:
                found.setdefault(part, {})[store] = result
                print(json.dumps(result, ensure_ascii=False), file=sys.stderr, flush=True)
        if chosen.write and not chosen.small:
            report.keep(found)
    print(json.dumps(found, ensure_ascii=False, indent=2))
    if chosen.write and not chosen.small:
        report.keep(found)
    missed = [line for line in report.goals(found) if line.reached is False]
    for line in missed:
        print(f"missed: {line.name} ({line.store}): {line.value}, goal {line.goal}", file=sys.stderr)
    return 1 if missed and not chosen.small else 0


if __name__ == "__main__":
    sys.exit(main())
