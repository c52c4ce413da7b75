"""`make soak`: the long trials, run by hand and recorded in `docs/soak.json`; `python -m tests.soak kills` runs one."""

from __future__ import annotations

import importlib
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

#: Each is a module `tests.soak.<name>` with `run(so_far, keep) -> figures`: a trial that goes on where it was stopped reads
#: what is recorded of it; `keep` records; `passed` is among the figures.
TRIALS = ("kills", "model")
RECORD = Path(__file__).resolve().parent.parent.parent / "docs" / "soak.json"


def _recorded() -> dict[str, Any]:
    return dict(json.loads(RECORD.read_text(encoding="utf-8"))) if RECORD.exists() else {}


def _keep(name: str, figures: dict[str, Any]) -> None:
    whole = RECORD.with_suffix(".new")
    whole.write_text(json.dumps({**_recorded(), name: figures}, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    whole.replace(RECORD)


def main() -> int:
    """Run the trials named on the command line, all without a name; exit code 1 where one did not pass."""
    failed = False
    for name in sys.argv[1:] or TRIALS:
        trial = importlib.import_module(f"tests.soak.{name}")
        figures: dict[str, Any] = trial.run(_recorded().get(name, {}), partial(_keep, name))
        _keep(name, figures)
        print(json.dumps({name: figures}, ensure_ascii=False, indent=1))
        failed = failed or not figures["passed"]
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
