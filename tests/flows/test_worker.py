"""The warm worker on a real server: both ways of starting a leg, and a server that goes away under it."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployments.lifeline import ANEW
from models.domain.errors import Unusable
from tests.flows.test_flows import guide
from tests.system import System, until

pytestmark = [pytest.mark.server, pytest.mark.timeout(400)]
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
#: An engine that writes down what its legs ask of Prefect's server: which run, and what.
LISTENING = """
import os
from deployments.prefect_server import environment
from models.settings import Settings
settings = Settings()
os.environ.update(environment(settings))
import json, threading
from prefect.client import base
send = base.PrefectHttpxSyncClient.send
def listening(self, request, *arguments, **named):
    if threading.current_thread().name.startswith("leg"):
        path = request.url.path.removeprefix("/api/")
        said = json.loads(request.content or b"{}")
        state = said.get("state") or {} if isinstance(said, dict) else {}
        with open(settings.home_path / "asked.log", "a") as file:
            print(request.method, path, state.get("type", ""), file=file)
    return send(self, request, *arguments, **named)
base.PrefectHttpxSyncClient.send = listening
from deployments import engine
engine.main()
"""


def sleeps(system: System, change: str) -> bool:
    """Whether the run is suspended; a server that is coming up answers nothing yet."""
    try:
        return system.run_state(change) == "PAUSED"
    except Unusable:
        return False


def carried(system: System, code: str, drafter: str, title: str) -> str:
    """A change that slept once and was carried on by a second leg."""
    change = system.change("agency_request", guide(code, 7, title))
    until(lambda: sleeps(system, change), 90, "the run sleeps")
    system.says(change, drafter, "submit")
    until(lambda: system.open_for(change, "p-zhou"), 90, "the next person is asked")
    return change


def submissions(system: System, change: str) -> list[str]:
    """The legs of a change that were started Prefect's own way: it names the worker in the run's labels and state."""
    run = system.show(change)["flow_run_id"]
    states = system.read("flow_run_states/?flow_run_id=" + run)
    return [state["name"] for state in states if state["name"] == "Submitting"]


def log(system: System, name: str) -> str:
    return Path(system.home / f"{name}.log").read_text(encoding="utf-8")


def engine_anew(system: System, *command: str, **settings: str) -> None:
    """Another engine in place of the one that runs, if one does."""
    if "engine" in system.processes:
        system.end("engine")
    system.start("engine", *command, **settings)


def asked(system: System, change: str) -> list[str]:
    """What the legs of a change asked Prefect's server about their run, in order; what they only tell it later is left out."""
    run = str(system.show(change)["flow_run_id"])
    lines = (system.home / "asked.log").read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if "admin/storage" in line], "no result is kept, so nobody need ask where"
    return [line.replace(f"flow_runs/{run}", "run").strip() for line in lines if run in line]


def test_legs_take_the_lean_way_and_a_waked_one_asks_nothing_before_its_first_line(system: System) -> None:
    engine_anew(system, "-c", LISTENING)
    carried(system, "990700188000", "p-wen", "先让流程认识一次")
    change = carried(system, "990700188000", "p-wen", "精简方式")
    assert submissions(system, change) == []
    assert "按普通方式运行" not in log(system, "engine")
    until(lambda: sleeps(system, change), 90, "the run sleeps again")
    first, waked = " ".join(asked(system, change)).split("POST run/set_state RUNNING")[1:]
    assert asked(system, change)[0] == "PATCH run", "the first leg tells the server once what its flow says of tries"
    for leg in (first, waked):
        assert leg.split("POST run/set_state PAUSED")[0].strip() == "", "its run was read by whoever claimed it"
    engine_anew(system)


def test_with_another_prefect_legs_take_the_plain_way_and_the_log_says_so(system: System) -> None:
    engine_anew(system, "-c", OTHER_PREFECT, SHIXIANG_LEGS_A_RUN="2")
    until(lambda: "按普通方式运行" in log(system, "engine"), 90, "the engine")
    change = carried(system, "990700188000", "p-wen", "普通方式")
    assert submissions(system, change)


def test_after_so_many_legs_a_change_goes_on_in_a_new_run_and_ends_as_any_other(system: System) -> None:
    change = system.change("agency_request", guide("990700188000", 7, "续开运行"))
    first = str(until(lambda: system.run_state(change) == "PAUSED" and system.show(change)["flow_run_id"], 90, "sleep"))
    system.says(change, "p-wen", "submit")
    until(lambda: (s := system.prefect.state(first)) is not None and s.type == "COMPLETED", 90, "the first run is over")
    assert "续开新的运行，办理不受影响" in system.read(f"flow_runs/{first}")["state"]["message"]
    system.says(change, "p-zhou", "pass")
    system.says(change, "p-jiang", "approve")
    until(lambda: system.show(change)["state"] == "closed", 90, "the change is published")
    shown = system.show(change)
    assert shown["attempt"] > 1 and shown["flow_run_id"] != first
    assert [d["stage"] for d in shown["decisions"]] == ["draft", "form", "approval"]
    assert [line["verb"] for line in shown["log"]].count("续办") == shown["attempt"] - 1


def test_an_engine_that_holds_too_much_memory_ends_when_idle_and_gives_its_hot_legs_back(system: System) -> None:
    few = {"SHIXIANG_ENGINE_MEMORY_MB": "1", "SHIXIANG_ENGINE_IDLE_SECONDS": "3", "SHIXIANG_HOT_SECONDS": "200"}
    engine_anew(system, **few)
    change = system.change("agency_request", guide("990100342001", 7, "内存上限"))
    until(lambda: system.open_for(change, "p-he"), 90, "the drafter is asked")
    assert until(lambda: system.processes["engine"].poll(), 90, "the engine has ended") == ANEW
    assert system.run_state(change) == "PAUSED", "a leg that waits hot goes to sleep, it is not cut"
    assert "占用内存" in log(system, "engine")
    del system.processes["engine"]
    first = str(system.show(change)["flow_run_id"])
    ten_seconds = str(10 / 86_400)
    engine_anew(system, SHIXIANG_DAYS_A_RUN=ten_seconds)
    system.says(change, "p-he", "submit")
    until(lambda: system.open_for(change, "p-zhou"), 90, "the next person is asked")
    until(lambda: (s := system.prefect.state(first)) is not None and s.final, 90, "a run that is too old is over")
    assert "续开新的运行，办理不受影响" in system.read(f"flow_runs/{first}")["state"]["message"]
    engine_anew(system)


def test_the_clients_that_legs_keep_outlive_a_restart_of_the_server(system: System) -> None:
    change = carried(system, "990100342001", "p-he", "服务重启前后")
    until(lambda: sleeps(system, change), 90, "the run sleeps again")
    system.end("prefect")
    system.says(change, "p-zhou", "pass")
    system.start("prefect")
    until(lambda: system.open_for(change, "p-shen"), 90, "the approver is asked")
    until(lambda: sleeps(system, change), 90, "the run sleeps as before")
