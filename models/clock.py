"""The clock at the edges: every `now` of the product comes from here and is passed on as an argument."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path


def now() -> datetime:
    """The present moment in UTC, moved by the offset (seconds) in the file `SHIXIANG_CLOCK`, if that is set."""
    moment = datetime.now(UTC)
    path = os.environ.get("SHIXIANG_CLOCK")
    if not path:
        return moment
    try:
        return moment + timedelta(seconds=float(Path(path).read_text(encoding="utf-8").strip() or 0))
    except (OSError, ValueError):
        return moment
