"""What happens when two act at once, when a part dies, when somebody presses the wrong button: real processes."""

from __future__ import annotations

import os

import pytest

#: Trials of many minutes that want a quiet machine: `make trials`.
TRIAL = pytest.mark.skipif(not os.environ.get("SHIXIANG_TRIALS"), reason="a trial of many minutes: make trials")
