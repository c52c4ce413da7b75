"""The warm worker: legs run in threads of this process instead of a new interpreter each.

A `BaseWorker` whose `run` calls `run_flow`, polled at once when nudged: public parts of Prefect only, and slower than
needed. A `lean` one takes the shorter way of `prefect_private`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import anyio.abc
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import Abort, Pause
from prefect.flow_engine import run_flow
from prefect.flows import Flow
from prefect.workers.base import BaseJobConfiguration, BaseVariables, BaseWorker, BaseWorkerResult

from deployments import prefect_private
from models.domain.outside import one_line

POOL = "shixiang"
TYPE = "shixiang-warm"
_REREAD_PAUSES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
_log = logging.getLogger("shixiang.worker")


class WarmResult(BaseWorkerResult):
    """How a leg left the worker: always 0, the run's state was set by the flow itself."""


class WarmWorker(BaseWorker[BaseJobConfiguration, BaseVariables, WarmResult]):
    """Runs the flows it is given in its own threads; unlimited: a limit kills a worker on an early resume."""

    type = TYPE
    job_configuration = BaseJobConfiguration
    _description = "在流程引擎进程内运行变更流程。"

    def __init__(self, flows: Mapping[str, Flow[Any, Any]], threads: int, *, lean: bool) -> None:
        super().__init__(work_pool_name=POOL, name="shixiang-engine", limit=None)
        self._flows = flows
        self._lean = lean
        self._names: dict[UUID, str] = {}
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="leg")
        self._wanted = asyncio.Event()
        self._legs = 0
        self._leaving = False

    def poll_soon(self) -> None:
        """Ask for runs at once instead of at the next turn. To be called in the worker's own loop."""
        self._wanted.set()

    async def poll_when_asked(self) -> None:
        """Run beside `start`: one question at a time, and another one where somebody asked meanwhile."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                if self.is_setup:
                    await self.get_and_submit_flow_runs()
            except Exception as error:  # the worker's own turn follows in a moment
                _log.warning("取运行失败：%s：%s", type(error).__name__, one_line(error))

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """As Prefect's; a worker that is leaving takes nothing more."""
        return [] if self._leaving else await super().get_and_submit_flow_runs()

    async def run(
        self,
        flow_run: FlowRun,
        configuration: BaseJobConfiguration,
        task_status: anyio.abc.TaskStatus[int] | None = None,
    ) -> WarmResult:
        """One leg. The run is read again first: an old copy would lose the keys of its earlier suspends."""
        fresh, flow = await self._again(flow_run)
        if task_status is not None:
            task_status.started(0)
        await self._carry(flow, fresh)
        return WarmResult(status_code=0, identifier=str(flow_run.id))

    async def _submit_run(self, flow_run: FlowRun) -> None:
        """Prefect's own way for a flow not seen before: it also says what is wrong with one that is none of ours."""
        if self._lean and flow_run.flow_id in self._names:
            await prefect_private.submit_lean(self, flow_run, self._run_lean)
        else:
            await super()._submit_run(flow_run)

    async def _run_lean(self, flow_run: FlowRun) -> None:
        try:
            fresh, flow = await self._again(flow_run)
            await self._carry(flow, fresh)
        except Exception as error:  # the run stays PENDING: the pulse finds that nobody carries it
            _log.warning("运行 %s 未能开始：%s：%s", flow_run.id, type(error).__name__, one_line(error))

    async def _carry(self, flow: Flow[Any, Any], flow_run: FlowRun) -> None:
        self._legs += 1
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._leg, flow, flow_run)
        finally:
            self._legs -= 1

    async def kill_infrastructure(
        self, infrastructure_pid: str, configuration: BaseJobConfiguration, grace_seconds: int = 30
    ) -> None:
        """Nothing to kill: a leg ends by itself, and a change ends by `withdraw` alone."""

    async def farewell(self, seconds: float) -> None:
        """Take no further run and let the legs at work end, for at most so long."""
        self._leaving = True
        end = asyncio.get_running_loop().time() + seconds
        while self._legs and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.05)

    def close(self) -> None:
        """Take no further leg; those at work end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _again(self, flow_run: FlowRun) -> tuple[FlowRun, Flow[Any, Any]]:
        for pause in (*_REREAD_PAUSES, None):
            try:
                fresh = await self.client.read_flow_run(flow_run.id)
                if fresh.flow_id not in self._names:
                    self._names[fresh.flow_id] = (await self.client.read_flow(fresh.flow_id)).name
                return fresh, self._flows[self._names[fresh.flow_id]]
            except KeyError:
                raise
            except Exception:
                if pause is None:
                    raise
                await asyncio.sleep(pause)
        raise AssertionError("unreachable")

    def _leg(self, flow: Flow[Any, Any], flow_run: FlowRun) -> None:
        try:
            if self._lean:
                prefect_private.keep_client(flow_run)
            run_flow(flow, flow_run=flow_run, parameters=flow_run.parameters)
        except (Pause, Abort):
            pass  # suspended, or handed over to a newer leg: both are not Exceptions in Prefect
        except Exception as error:
            # The engine of Prefect has set the run's state already; the worker must not set another.
            _log.error("运行 %s 出错：%s: %s", flow_run.id, type(error).__name__, error)
