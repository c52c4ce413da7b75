"""`make soak`: the long trials, run by hand and recorded in `docs/soak.json`; `python -m tests.soak kills` runs one."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

#: Each is a module `tests.soak.<name>` with `run() -> dict`: the figures, and `passed`.
TRIALS = ("kills", "model")
RECORD = Path(__file__).resolve().parent.parent.parent / "docs" / "soak.json"


def main() -> int:
    """Run the trials named on the command line, all without a name; exit code 1 where one did not pass."""
    names = sys.argv[1:] or TRIALS
    failed = False
    for name in names:
        figures: dict[str, Any] = importlib.import_module(f"tests.soak.{name}").run()
        record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
        record[name] = figures
        RECORD.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        print(json.dumps({name: figures}, ensure_ascii=False, indent=1))
        failed = failed or not figures["passed"]
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
