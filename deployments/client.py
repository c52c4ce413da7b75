"""Starting and waking runs by Prefect's REST interface, without importing Prefect.

Prefect's own client waits 2, 4, 8 seconds on a 503, which its SQLite answers in bursts; here the pauses are short.
A wake is only a wake: an early or a doubled one is harmless, a lost one is made up for by the engine's pulse.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import httpx2

from models.domain.errors import Unusable

#: Pauses before each try of a wake, in seconds: a leg that parked needs up to a second to reach PAUSED.
WAKE_PAUSES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 3.0)
_CALL_PAUSES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
FINAL = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})
RESUMING: dict[str, Any] = {"state": {"type": "SCHEDULED", "name": "Resuming"}, "force": False}


class Waking(Protocol):
    """What is needed of a change to wake it (`models.store.change.Wake`)."""

    @property
    def change_id(self) -> str: ...
    @property
    def attempt(self) -> int: ...
    @property
    def flow_run_id(self) -> str | None: ...
    @property
    def parked(self) -> bool: ...


@dataclass(frozen=True)
class RunState:
    """A run as Prefect knows it. `type` is one of Prefect's state types, e.g. PAUSED."""

    type: str
    name: str
    since: datetime | None = None
    deployment_id: str | None = None

    @property
    def final(self) -> bool:
        """Whether the run is over for good."""
        return self.type in FINAL


def _state(run: Mapping[str, Any]) -> RunState:
    state = run.get("state") or {}
    since = state.get("timestamp")
    return RunState(
        str(state.get("type") or "SCHEDULED"),
        str(state.get("name") or "Scheduled"),
        None if since is None else datetime.fromisoformat(str(since)),
        run.get("deployment_id"),
    )


class PrefectClient:
    """Our few calls to a Prefect server. Safe for several threads. Every call raises `Unusable prefect_away`."""

    def __init__(self, api_url: str, *, timeout: float = 10.0, patience: float = 10.0) -> None:
        """`timeout` of one call and `patience` of its repetitions, in seconds."""
        self.api_url = api_url.rstrip("/")
        self._patience = patience
        self._pages: dict[str, str] = {}
        self._http = httpx2.Client(base_url=self.api_url + "/", timeout=timeout, trust_env=False)

    def start(self, change_id: str, trigger: str, attempt: int) -> str:
        """Create the run of an attempt; the same attempt gives the same run. Returns its id."""
        deployment = self._json("GET", f"deployments/name/{trigger}/change")
        if deployment is None:
            sentence = f"流程引擎中还没有部署“{trigger}”，部署补上后自动开始，不必重复提交。"
            raise Unusable("prefect_away", sentence, deployment=trigger)
        body = {
            "parameters": {"change_id": change_id, "attempt": attempt},
            "idempotency_key": f"{change_id}:{attempt}",
            "enforce_parameter_schema": False,
            "state": {"type": "SCHEDULED"},
        }
        run = self._json("POST", f"deployments/{deployment['id']}/create_flow_run", body)
        if run is None:
            raise Unusable("prefect_away", "流程引擎目前连不上，连上后自动开始，不必重复提交。")
        return str(run["id"])

    def state(self, flow_run_id: str) -> RunState | None:
        """The state of a run; None where Prefect does not know the run (any more)."""
        run = self._json("GET", f"flow_runs/{flow_run_id}")
        if run is None:
            return None
        return _state(run)

    def deployment_is_gone(self, state: RunState) -> bool:
        """Whether the deployment of a run in this state was deleted: no worker will ever take it up."""
        return state.deployment_id is None or self._json("GET", f"deployments/{state.deployment_id}") is None

    def awake(self, flow_run_ids: Sequence[str]) -> dict[str, RunState | None]:
        """Those of these runs (at most 200) that do not sleep, with their state; None for one Prefect does not know."""
        if not flow_run_ids:
            return {}
        wanted = {"id": {"any_": list(flow_run_ids)}}
        asleep = {**wanted, "state": {"type": {"not_any_": ["PAUSED"]}}}
        runs: Any = self._json("POST", "flow_runs/filter", {"flow_runs": asleep, "limit": 200})
        found: dict[str, RunState | None] = {str(run["id"]): _state(run) for run in runs or []}
        there_are: Any = self._json("POST", "flow_runs/count", {"flow_runs": wanted})
        if there_are != len(flow_run_ids):
            known: Any = self._json("POST", "flow_runs/filter", {"flow_runs": wanted, "limit": 200})
            there = {str(run["id"]) for run in known or []}
            found |= {run: None for run in flow_run_ids if run not in there}
        return found

    def unfinished(self, flow_run_ids: Sequence[str]) -> int:
        """How many of these runs exist and are not over for good."""
        if not flow_run_ids:
            return 0
        wanted = {"id": {"any_": list(flow_run_ids)}, "state": {"type": {"not_any_": sorted(FINAL)}}}
        count: Any = self._json("POST", "flow_runs/count", {"flow_runs": wanted})
        return int(count or 0)

    def wake(self, wake: Waking, still: Callable[[], bool] | None = None) -> bool:
        """Wake a sleeping change: only a run that is PAUSED is set to Scheduled. True where a leg is under way.

        `still` says whether the leg that parked is still the newest; the tries end when it is not.
        """
        if wake.flow_run_id is None or not wake.parked:
            return False
        for pause in WAKE_PAUSES:
            if pause:
                time.sleep(pause)
                if still is not None and not still():
                    return True
            try:
                state = self.state(wake.flow_run_id)
                if state is None or state.final:
                    return False
                if state.type in {"SCHEDULED", "PENDING"}:
                    return True
                if state.type == "PAUSED" and self.reschedule(wake.flow_run_id):
                    return True
            except Unusable:
                continue
        return False

    def reschedule(self, flow_run_id: str) -> bool:
        """Set a run to Scheduled, without force: one that sleeps, or one whose engine died. True if accepted."""
        answer = self._json("POST", f"flow_runs/{flow_run_id}/set_state", RESUMING)
        return answer is not None and answer.get("status") == "ACCEPT"

    def cancel(self, flow_run_id: str, message: str) -> None:
        """End a run for good, with a sentence."""
        state = {"type": "CANCELLED", "name": "Cancelled", "message": message}
        self._json("POST", f"flow_runs/{flow_run_id}/set_state", {"state": state, "force": True})

    def display(self, flow_run_id: str, key: str, name: str, tags: Sequence[str], description: str, page: str) -> None:
        """Name and tags of a run and its one page: made once a run, then updated in place."""
        self._json("PATCH", f"flow_runs/{flow_run_id}", {"name": name, "tags": list(tags)})
        artifact = self._pages.get(flow_run_id) or self._page_of(flow_run_id, key)
        body = {"data": page, "description": description}
        if artifact is not None and self._json("PATCH", f"artifacts/{artifact}", body) is not None:
            self._keep_page(flow_run_id, artifact)
            return
        made = self._json("POST", "artifacts/", {**body, "key": key, "type": "markdown", "flow_run_id": flow_run_id})
        if made is not None:
            self._keep_page(flow_run_id, str(made["id"]))

    def _page_of(self, flow_run_id: str, key: str) -> str | None:
        wanted = {"artifacts": {"key": {"any_": [key]}, "flow_run_id": {"any_": [flow_run_id]}}, "limit": 1}
        found: Any = self._json("POST", "artifacts/filter", wanted)
        return str(found[0]["id"]) if found else None

    def _keep_page(self, flow_run_id: str, artifact: str) -> None:
        self._pages.pop(flow_run_id, None)
        self._pages[flow_run_id] = artifact
        while len(self._pages) > 2000:
            self._pages.pop(next(iter(self._pages)), None)

    def healthy(self) -> bool:
        """Whether the server answers now; one try."""
        try:
            return self._http.get("health", timeout=2.0).status_code == 200
        except httpx2.HTTPError:
            return False

    def missing_deployments(self, names: Sequence[tuple[str, str]]) -> list[str]:
        """Which of these (flow, deployment) do not exist, as `flow/deployment`."""
        return [f"{f}/{d}" for f, d in names if self._json("GET", f"deployments/name/{f}/{d}") is None]

    def switched_off(self, pool: str, watch: str) -> list[tuple[str, str]]:
        """What an operator has switched off, of (`pool` | `queue` | `watch`, its name)."""
        found: list[tuple[str, str]] = []
        if (self._json("GET", f"work_pools/{pool}") or {}).get("is_paused"):
            found.append(("pool", pool))
        queues: Any = self._json("POST", f"work_pools/{pool}/queues/filter", {}) or []
        found += [("queue", str(queue["name"])) for queue in queues if queue["is_paused"]]
        clock = self._json("GET", f"deployments/name/{watch}")
        if clock is not None and (clock["paused"] or not any(one["active"] for one in clock["schedules"])):
            found.append(("watch", watch))
        return found

    def waiting_to_start(self, deployments: Sequence[str], before: datetime) -> int:
        """How many runs of these deployments were to start before a moment and nobody has begun with (at most 200)."""
        wanted = {
            "flow_runs": {"state": {"type": {"any_": ["SCHEDULED", "PENDING"]}}},
            "deployments": {"name": {"any_": list(deployments)}},
            "sort": "EXPECTED_START_TIME_ASC",
            "limit": 200,
        }
        runs: Any = self._json("POST", "flow_runs/filter", wanted) or []
        return sum(1 for run in runs if (since := _state(run).since) is not None and since < before)

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def _json(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """One call, again while the server is away or busy. None for 404."""
        reason = ""
        end = time.monotonic() + self._patience
        for pause in _CALL_PAUSES:
            if pause:
                if time.monotonic() + pause > end:
                    break
                time.sleep(pause)
            try:
                answer = self._http.request(method, path, json=body)
            except httpx2.HTTPError as error:
                reason = type(error).__name__
                continue
            if answer.status_code == 404:
                return None
            if answer.status_code < 300:
                content: dict[str, Any] = answer.json() if answer.content else {}
                return content
            reason = f"{answer.status_code} {answer.text[:200]}"
            if answer.status_code < 500 and answer.status_code != 429:
                break
        raise Unusable("prefect_away", "流程引擎目前连不上，连上后自动继续，不必重复提交。", reason=reason)
