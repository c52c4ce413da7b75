"""The same five-stage approval in ours and in its peers, in one run on one machine.

Each peer's program runs in an environment of its own under `var/`, made from pinned requirements; nothing of it is in
the product's lock. One that cannot be installed is said to be missing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url

from tests.bench.figures import spread
from tests.bench.peers import ours
from tests.bench.stores import postgres

HERE = Path(__file__).parent
PLACE = HERE.parents[2] / "var" / "bench-peers"
#: Program, requirements, and whether its driver names the dialect.
PROGRAMS = {
    "dbos": ("dbos_approval.py", "postgresql+psycopg"),
    "spiff": ("spiff_approval.py", "postgresql"),
    "viewflow": ("viewflow_approval.py", "postgresql"),
}
#: No peer may take longer, in seconds.
LONGEST = 1800


def environment(name: str) -> Path:
    """The interpreter of a peer's own environment, made where it is missing or its requirements changed."""
    home, wanted = PLACE / name, HERE / f"requirements-{name}.txt"
    mark, python = home / "installed.txt", home / "bin" / "python"
    if not mark.exists() or mark.read_bytes() != wanted.read_bytes():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True, capture_output=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(wanted)]
        subprocess.run(install, check=True, capture_output=True, text=True)
        mark.write_bytes(wanted.read_bytes())
    return python


def program(python: Path | str, name: str, *arguments: str) -> dict[str, Any]:
    """What a program says of itself: its last line."""
    command = [str(python), str(HERE / "programs" / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST)
    if done.returncode:
        # Its last line says what; the rest names places on this machine.
        return {"name": name, "failed": (done.stderr.strip().splitlines() or ["no word"])[-1][-300:]}
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def summed(found: dict[str, Any]) -> dict[str, Any]:
    """Lists of seconds as p50, p95, maximum in milliseconds."""
    return {
        key.replace(", s", ", ms") if isinstance(value, list) else key: spread(value)
        if isinstance(value, list)
        else value
        for key, value in found.items()
    }


def run(cases: int, stock_alone: int) -> dict[str, Any]:
    """Figures by system. Ours first, then the peers; each alone on the machine. Of stock Prefect's cases so many are decided
    one after another.
    """
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="shixiang-bench-ours-") as folder, postgres("ours") as url:
        if url is None:
            return {"missing": "PostgreSQL does not answer"}
        _say("ours")
        found["ours"] = summed(ours.run(Path(folder), url, cases))
    for name, (script, dialect) in PROGRAMS.items():
        _say(name)
        try:
            python = environment(name)
        except subprocess.CalledProcessError as error:
            found[name] = {"name": name, "failed": f"not installable here: {str(error.stderr).strip()[-300:]}"}
            continue
        with postgres(name) as url:
            assert url is not None, "PostgreSQL has gone"
            address = make_url(url).set(drivername=dialect).render_as_string(hide_password=False)
            found[name] = summed(program(python, script, str(cases), address))
    _say("stock Prefect")
    found["stock"] = summed(program(sys.executable, "stock_prefect.py", str(cases), str(stock_alone)))
    return found


def _say(name: str) -> None:
    print(f"  {name} …", file=sys.stderr, flush=True)
