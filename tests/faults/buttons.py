"""The buttons of Prefect's pages, as its interface sends them. Every answer is taken as it comes: refused is an answer too."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import httpx2

from tests.system import System

POOL = "work_pools/shixiang"


def _set(system: System, run: str, type: str, name: str, *, force: bool = True) -> None:
    state = {"type": type, "name": name, "message": "changed in the UI"}
    system.read(f"flow_runs/{run}/set_state", {"state": state, "force": force})


def cancel(system: System, run: str) -> None:
    """The run's own button: Cancelling first where a process may have to be told."""
    _set(system, run, "CANCELLING", "Cancelling")


def retry(system: System, run: str) -> None:
    """Sets a run, whatever its state, to be run again."""
    _set(system, run, "SCHEDULED", "AwaitingRetry")


def resume(system: System, run: str) -> None:
    """The button of a paused run."""
    system.read(f"flow_runs/{run}/resume", {})


def suspend(system: System, run: str) -> None:
    """The button of a running run."""
    _set(system, run, "PAUSED", "Suspended", force=False)


def delete(system: System, run: str) -> None:
    """The run is gone."""
    system.read(f"flow_runs/{run}", method="DELETE")


def copy(system: System, run: str) -> None:
    """Copy to new run: the same parameters once more, without a key."""
    deployment = system.read("deployments/name/agency_request/change")["id"]
    found = system.read(f"flow_runs/{run}")
    body = {"parameters": found["parameters"], "enforce_parameter_schema": False}
    if found["deployment_id"]:
        deployment = found["deployment_id"]
    system.read(f"deployments/{deployment}/create_flow_run", body)


def _change_to(type: str, name: str) -> Callable[[System, str], None]:
    return lambda system, run: _set(system, run, type, name)


#: Every button of a run, by what stands on it.
OF_A_RUN: dict[str, Callable[[System, str], None]] = {
    "Cancel": cancel,
    "Retry": retry,
    "Resume": resume,
    "Suspend": suspend,
    "Delete": delete,
    "Copy to new run": copy,
    "Change state: Completed": _change_to("COMPLETED", "Completed"),
    "Change state: Failed": _change_to("FAILED", "Failed"),
    "Change state: Crashed": _change_to("CRASHED", "Crashed"),
    "Change state: Cancelled": _change_to("CANCELLED", "Cancelled"),
    "Change state: Running": _change_to("RUNNING", "Running"),
    "Change state: Pending": _change_to("PENDING", "Pending"),
    "Change state: Paused": _change_to("PAUSED", "Paused"),
    "Change state: Scheduled": _change_to("SCHEDULED", "Scheduled"),
}


def press(button: str, system: System, run: str | None) -> None:
    """Press it; a refusal, or a run that is gone by now, is as good."""
    if run is not None:
        with contextlib.suppress(httpx2.HTTPError):
            OF_A_RUN[button](system, run)


def pause_pool(system: System, paused: bool) -> None:
    """The switch of the work pool."""
    system.read(POOL, {"is_paused": paused}, method="PATCH")


def pause_queue(system: System, name: str, paused: bool) -> None:
    """The switch of a work queue."""
    system.read(f"{POOL}/queues/{name}", {"is_paused": paused}, method="PATCH")


def pause_deployment(system: System, flow: str, paused: bool) -> None:
    """The switch of a deployment."""
    found = system.read(f"deployments/name/{flow}")["id"]
    system.read(f"deployments/{found}/{'pause' if paused else 'resume'}_deployment", {})


def switch_schedule(system: System, flow: str, active: bool) -> None:
    """The switch of a deployment's first schedule."""
    found = system.read(f"deployments/name/{flow}")
    schedule = found["schedules"][0]["id"]
    system.read(f"deployments/{found['id']}/schedules/{schedule}", {"active": active}, method="PATCH")


def schedule_is_active(system: System, flow: str) -> bool:
    """How that switch stands."""
    found: dict[str, Any] = system.read(f"deployments/name/{flow}")
    return bool(found["schedules"][0]["active"]) and not found["paused"]


def delete_deployment(system: System, flow: str) -> None:
    """The deployment is gone; its runs stay."""
    system.read(f"deployments/{system.read(f'deployments/name/{flow}')['id']}", method="DELETE")


def delete_flow(system: System, flow: str) -> None:
    """Flow, deployments and all runs are gone in one click."""
    system.read(f"flows/{system.read(f'flows/name/{flow}')['id']}", method="DELETE")
