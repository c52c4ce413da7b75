"""The warm worker on a real server: both ways of starting a leg, and a server that goes away under it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flows.test_flows import guide
from tests.system import System, until

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]
#: An engine that meets a Prefect other than the one it was proved with.
OTHER_PREFECT = """
import os
from deployments.prefect_server import environment
from models.settings import Settings
os.environ.update(environment(Settings()))
from deployments import engine, prefect_private
prefect_private.PROVED = "0"
engine.main()
"""


def carried(system: System, code: str, drafter: str, title: str) -> str:
    """A change that slept once and was carried on by a second leg."""
    change = system.change("agency_request", guide(code, 7, title))
    until(lambda: system.run_state(change) == "PAUSED", 60, "the run sleeps")
    system.says(change, drafter, "submit")
    until(lambda: system.open_for(change, "p-zhou"), 30, "the next person is asked")
    return change


def submissions(system: System, change: str) -> list[str]:
    """The legs of a change that were started Prefect's own way: it names the worker in the run's labels and state."""
    run = system.show(change)["flow_run_id"]
    states = system.read("flow_run_states/?flow_run_id=" + run)
    return [state["name"] for state in states if state["name"] == "Submitting"]


def log(system: System, name: str) -> str:
    return Path(system.home / f"{name}.log").read_text(encoding="utf-8")


def test_legs_take_the_lean_way(system: System) -> None:
    carried(system, "990700188000", "p-wen", "先让流程认识一次")
    change = carried(system, "990700188000", "p-wen", "精简方式")
    assert submissions(system, change) == []
    assert "按普通方式运行" not in log(system, "engine")


def test_with_another_prefect_legs_take_the_plain_way_and_the_log_says_so(system: System) -> None:
    system.end("engine")
    try:
        system.start("engine", "-c", OTHER_PREFECT)
        until(lambda: "按普通方式运行" in log(system, "engine"), 60, "the engine")
        change = carried(system, "990700188000", "p-wen", "普通方式")
        assert submissions(system, change)
    finally:
        system.end("engine")
        system.start("engine")


def test_the_clients_that_legs_keep_outlive_a_restart_of_the_server(system: System) -> None:
    change = carried(system, "990100342001", "p-he", "服务重启前后")
    until(lambda: system.run_state(change) == "PAUSED", 30, "the run sleeps again")
    system.end("prefect")
    system.says(change, "p-zhou", "pass")
    system.start("prefect")
    until(lambda: system.open_for(change, "p-shen"), 90, "the approver is asked")
    until(lambda: system.run_state(change) == "PAUSED", 30, "the run sleeps as before")
