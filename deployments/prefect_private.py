"""The one place that touches private names of Prefect (3.8.8, pinned); tests fail when a name moves.

The observer: Prefect watches each running flow for a suspension pressed in its UI. It also sees the late event of the
run's own last suspension and then stops the next leg in the middle; and it costs each leg 45 ms.

The lean way: Prefect's own way from a scheduled run to its first line asks the server eight more questions than a leg
needs (deployment twice, flow, labels, a second state, the process id), and makes a client for each run. A lean worker
claims the run by its PENDING state alone and keeps one client a thread. That client spares two questions more: the run was
read after the claim, so that it need not be read again when it is RUNNING, nor be told what it says already.

The waits: Prefect's clients wait 2, 4, 8, 16, 32 s between their tries. A leg that was being suspended when the server died
said so 18 s later, though the server was back after eleven, and what came for its change meanwhile waited as long.

`unfit` looks at the lean way when the engine starts, observer and waits at their own names. What does not fit is not used:
legs then run the plain way, slower.
"""

from __future__ import annotations

import contextlib
import inspect
import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import prefect
import prefect.client.base
import prefect.flow_engine
from prefect.client.schemas.objects import FlowRun
from prefect.context import SyncClientContext
from prefect.flow_engine import FlowRunEngine
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.workers.base import BaseWorker

#: The version all of this was proved with.
PROVED = "3.8.8"
NAME = "observe_flow_run_suspension"
#: How long its clients wait between two tries, and how often they try.
WAIT, TRIES = "clamped_poisson_interval", "PREFECT_CLIENT_MAX_RETRIES"
#: No wait is longer than this (seconds, give or take a third), and no call gives up before Prefect's would: after a minute.
LONGEST_WAIT, MOST_TRIES = 1.0, 60
#: The methods of Prefect's worker that the lean way overrides or calls, with their parameters.
METHODS = {"_submit_run": ["self", "flow_run"], "_propose_pending_state": ["self", "flow_run"]}
#: What Prefect's engine asks of a run it was given, once each and in this order, before the flow's first line.
ASKS = {
    "initialize_run": "self.client.update_flow_run(",
    "setup_run_context": "self.flow_run = client.read_flow_run(self.flow_run.id)",
}
#: What it reads of the worker, as its constructor makes them.
FIELDS = ("_submitting_flow_run_ids", "_runs_task_group", "_cancelling_observer")

#: What each thread keeps: settings that are no longer referred to would end by themselves.
_kept = threading.local()


def _nobody_watches(*arguments: Any, **named: Any) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext()


def switch_observer_off() -> bool:
    """Whether it could be switched off; otherwise a leg that it stops is found and woken again by the pulse."""
    if not hasattr(prefect.flow_engine, NAME):
        return False
    setattr(prefect.flow_engine, NAME, _nobody_watches)
    return True


class _MostTries:
    def value(self) -> int:
        return MOST_TRIES


def shorten_waits() -> bool:
    """Whether clients could be made to try again each second, for a minute; otherwise a restart of the server is noticed later."""
    clients = prefect.client.base
    if not (hasattr(clients, WAIT) and hasattr(clients, TRIES)):
        return False
    wait: Callable[[float, float], float] = getattr(clients, WAIT)
    setattr(clients, WAIT, lambda seconds, spread: wait(min(seconds, LONGEST_WAIT), spread))
    setattr(clients, TRIES, _MostTries())
    return True


def unfit() -> str:
    """Why the lean way cannot be taken with the Prefect that is installed; empty where it can."""
    if prefect.__version__ != PROVED:
        return f"version {prefect.__version__}, proved with {PROVED}"
    for name, parameters in METHODS.items():
        method = getattr(BaseWorker, name, None)
        if not inspect.iscoroutinefunction(method) or list(inspect.signature(method).parameters) != parameters:
            return f"BaseWorker.{name}"
    for name, asked in ASKS.items():
        if inspect.getsource(getattr(FlowRunEngine, name, _nobody_watches)).count(asked) != 1:
            return f"FlowRunEngine.{name}"
    made = inspect.getsource(BaseWorker.__init__)
    return next((f"BaseWorker.{name}" for name in FIELDS if f"self.{name}" not in made), "")


async def submit_lean(worker: BaseWorker[Any, Any, Any], flow_run: FlowRun, carry: Callable[..., Any]) -> None:
    """Claim a run by its PENDING state and have `carry(flow_run)` run beside the worker; it must not raise."""
    try:
        if await worker._propose_pending_state(flow_run) and worker._runs_task_group is not None:
            worker._runs_task_group.start_soon(carry, flow_run)
    finally:
        worker._submitting_flow_run_ids.discard(flow_run.id)
        if worker._cancelling_observer is not None:
            worker._cancelling_observer.remove_in_flight_flow_run_id(flow_run.id)


def keep_client(flow_run: FlowRun) -> None:
    """Give this thread one Prefect client for all its legs, and no heartbeats: they hold a thread for a second after
    each leg, and what they are for, the pulse does. Where Prefect is away the next leg tries again.

    `flow_run` was just read, by the engine that has claimed it: the client need not ask for what it says.
    """
    if SyncClientContext.get() is None:
        if not hasattr(_kept, "settings"):
            _kept.settings = temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})
            _kept.settings.__enter__()
        spare_questions(SyncClientContext().__enter__().client)
    claimed(flow_run)


def claimed(flow_run: FlowRun) -> None:
    """What the next leg of this thread carries, as the server has it now."""
    _kept.claimed = flow_run
    _kept.told = {
        "flow_run_id": flow_run.id,
        "flow_version": flow_run.flow_version,
        # Prefect's engine fills in what is missing there, and then tells the server.
        "empirical_policy": flow_run.empirical_policy.model_copy(deep=True),
    }


def spare_questions(client: Any) -> None:
    """Have a client answer a leg's first two questions from the run that was claimed; all others go to the server."""
    read, update = client.read_flow_run, client.update_flow_run

    def read_flow_run(flow_run_id: UUID) -> FlowRun:
        begun: FlowRun | None = getattr(_kept, "claimed", None)
        _kept.claimed = None
        if begun is not None and begun.id == flow_run_id:
            # Prefect's engine has written the state it was given into this very run.
            return begun
        found: FlowRun = read(flow_run_id)
        return found

    def update_flow_run(*run: UUID, **told: Any) -> Any:
        return None if not run and told == getattr(_kept, "told", None) else update(*run, **told)

    client.read_flow_run, client.update_flow_run = read_flow_run, update_flow_run
