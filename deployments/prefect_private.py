"""The one place that touches a private name of Prefect (3.8.8, pinned); a test fails when the name is gone.

Prefect watches each running flow for a suspension pressed in its UI. That observer also sees the late event of the
run's own last suspension and then stops the next leg in the middle; and it costs each leg 45 ms. Without the name the
observer stays on: a leg that it stops is found and woken again by the pulse.
"""

from __future__ import annotations

import contextlib
from typing import Any

import prefect.flow_engine

NAME = "observe_flow_run_suspension"


def _nobody_watches(*arguments: Any, **named: Any) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext()


def switch_observer_off() -> bool:
    """Whether it could be switched off."""
    if not hasattr(prefect.flow_engine, NAME):
        return False
    setattr(prefect.flow_engine, NAME, _nobody_watches)
    return True
