"""`make bench`: latency, start, memory and one change over 3,600 items, on SQLite and PostgreSQL; JSON and a table."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from tests.bench import large, latency

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
SERVER = os.environ.get("SHIXIANG_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres")


def spread(seconds: list[float]) -> dict[str, float | int]:
    """p50, p95 and maximum in milliseconds, with the number of samples."""
    values = sorted(value * 1000 for value in seconds)
    if not values:
        return {"n": 0}

    def at(share: float) -> float:
        return round(values[min(len(values) - 1, int(share * len(values)))], 1)

    return {"n": len(values), "p50": at(0.5), "p95": at(0.95), "max": round(values[-1], 1)}


@contextmanager
def postgres() -> Iterator[str | None]:
    """The address of an empty database of this run, dropped afterwards; None where no server answers."""
    server = make_url(SERVER)
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    name = f"shixiang_bench_{os.getpid()}"
    try:
        with engine.connect() as connection:
            connection.execute(text(f'create database "{name}"'))
    except OperationalError:
        engine.dispose()
        yield None
        return
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            for made in (name, f"{name}_prefect"):
                connection.execute(text(f'drop database if exists "{made}" with (force)'))
        engine.dispose()


def measure(folder: Path, database: str, changes: int, hot_seconds: float) -> dict[str, Any]:
    """All of one store."""
    result: dict[str, Any] = {}
    with latency.sink() as box:
        began = time.monotonic()
        with latency.stack(folder / "home", box.port, database, 300) as system:
            result["first start to ready, s"] = round(time.monotonic() - began, 1)
            driver = latency.Driver(system, box)
            items = driver.http.get("/items?type=01").text
            codes = list(dict.fromkeys(re.findall(r'href="/i/(\d{12})"', items)))[:changes]
            chosen = [driver.http.get(f"/api/v1/items/{code}").json() for code in codes]
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
            cold = latency.cold(driver, chosen, hot_seconds)
            peer = latency.floor(folder, box.port)
            result["memory, MB"] = {name: latency.memory(pid) for name, pid in system.children().items()}
        began = time.monotonic()
        with latency.stack(folder / "home", box.port, database, 300):
            result["second start to ready, s"] = round(time.monotonic() - began, 1)
    for name, rounds in (("hot", hot), ("cold", cold)):
        result[f"{name}: decision to next mail, ms"] = spread(rounds.seconds)
        result[f"{name}: the POST itself, ms"] = spread(rounds.posts)
        result[f"{name}: start to first mail, ms"] = spread(rounds.starts)
        result[f"{name}: decisions, failures"] = [rounds.decisions, rounds.failures]
    floor = spread(peer)
    result["peer: one durable row and one bare mail, ms"] = floor
    for name, rounds in (("hot", hot), ("cold", cold)):
        result[f"{name} p95 / peer p95"] = round(float(spread(rounds.seconds)["p95"]) / float(floor["p95"]), 1)
    return result


def main() -> int:
    """0 if the figures of the goals were reached."""
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("--changes", type=int, default=34, help="changes a measurement; three measured decisions each")
    parser.add_argument("--store", choices=["sqlite", "postgresql", "both"], default="both")
    parser.add_argument("--write", action="store_true", help="keep the figures in docs/")
    chosen = parser.parse_args()
    found: dict[str, Any] = {
        "machine": {
            "cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system(),
            "processor": _processor(), "at": datetime.now(UTC).isoformat(timespec="minutes"),
        }
    }  # fmt: skip
    with postgres() as address, tempfile.TemporaryDirectory(prefix="shixiang-bench-") as name:
        folder = Path(name)
        for store, url in (("sqlite", ""), ("postgresql", address)):
            if chosen.store not in (store, "both"):
                continue
            if url is None:
                print("PostgreSQL does not answer: not measured", file=sys.stderr)
                continue
            own = folder / store
            own.mkdir()
            print(f"{store}: latency …", file=sys.stderr, flush=True)
            found[store] = measure(own, url, chosen.changes, 30.0)
            print(f"{store}: 3,600 items …", file=sys.stderr, flush=True)
            files = own / "files"
            files.mkdir()
            if url:
                with postgres_large(url) as other:
                    found[store]["3,600 items, 50 departments, s"] = large.run(other, files)
            else:
                found[store]["3,600 items, 50 departments, s"] = large.run(f"sqlite:///{own}/large.db", files)
    print(json.dumps(found, ensure_ascii=False, indent=2))
    page = table(found)
    print(page, file=sys.stderr)
    if chosen.write:
        (DOCS / "bench.json").write_text(json.dumps(found, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        (DOCS / "bench.md").write_text(page, encoding="utf-8")
    return 0 if all(reached(found[store]) for store in ("sqlite", "postgresql") if store in found) else 1


@contextmanager
def postgres_large(url: str) -> Iterator[str]:
    """A second empty database beside the first."""
    parsed = make_url(url)
    name = f"{parsed.database}_large"
    engine = create_engine(make_url(SERVER), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f'create database "{name}"'))
    try:
        yield parsed.set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f'drop database if exists "{name}" with (force)'))
        engine.dispose()


def reached(result: dict[str, Any]) -> bool:
    """The goals: hot p95 60 ms, cold p95 1 s, no failure, assessing 2 s, opening 3 s, the switch 1 s."""
    big = result["3,600 items, 50 departments, s"]
    return bool(
        result["hot: decision to next mail, ms"]["p95"] <= 60
        and result["cold: decision to next mail, ms"]["p95"] <= 1000
        and result["hot: decisions, failures"][1] == result["cold: decisions, failures"][1] == 0
        and big["assess"] <= 2
        and big["open all sheets"] <= 3
        and big["version switch alone"] <= 1
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def table(found: dict[str, Any]) -> str:
    """The figures as a page."""
    stores = [store for store in ("sqlite", "postgresql") if store in found]
    machine = found["machine"]
    lines = [
        "# Measurements",
        "",
        f"Made by `make bench` on {machine['cores']} cores ({machine['processor']}), Python {machine['python']}, "
        f"{machine['at']}; everything on one machine, sink and driver in other processes. Goals: hot p95 60 ms, cold p95 "
        "1 s, assessing 2 s, opening all sheets 3 s, the version switch 1 s. The peer is one durable row and one bare mail "
        "in the same run.",
        "",
        "| figure | " + " | ".join(stores) + " |",
        "|---|" + "---|" * len(stores),
    ]
    names = list(dict.fromkeys(name for store in stores for name in found[store]))
    for name in names:
        values = [found[store].get(name) for store in stores]
        if name.startswith("3,600"):
            for key in dict.fromkeys(key for value in values if value for key in value):
                lines.append(
                    f"| 3,600 items: {key}, s | " + " | ".join(str((v or {}).get(key, "—")) for v in values) + " |"
                )
            continue
        lines.append(f"| {name} | " + " | ".join(_words(value) for value in values) + " |")
    return "\n".join(lines) + "\n"


def _words(value: Any) -> str:
    if isinstance(value, dict) and "p95" in value:
        return f"p50 {value['p50']}, p95 {value['p95']}, max {value['max']} (n={value['n']})"
    if isinstance(value, dict):
        return ", ".join(f"{key} {part}" for key, part in value.items())
    if isinstance(value, list):
        return ", ".join(str(part) for part in value)
    return "—" if value is None else str(value)


if __name__ == "__main__":
    sys.exit(main())
