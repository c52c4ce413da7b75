"""Where the data lie, and where what was measured is kept."""

from __future__ import annotations

import os
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
DATA = Path(os.environ.get("SHIXIANG_TEST_DATA", DOCS.parent.parent / "shared" / "data"))
