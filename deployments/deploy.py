"""The deployments: which flows the operators' screen offers, with which form, on which queue.

Applied when the engine starts and once a minute: what somebody deleted comes back.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.flows import Flow
from pydantic import BaseModel

from deployments.worker import POOL, TYPE, WarmWorker
from flows.agency_request import agency_request
from flows.law_change import law_change
from flows.watch import watch
from models.domain.requests import REQUESTS

#: Flow and deployment names never change while changes are open.
FLOWS: dict[str, Flow[Any, Any]] = {flow.name: flow for flow in (law_change, agency_request, watch)}
NAMES = (("law_change", "change"), ("agency_request", "change"), ("watch", "watch"))


def form(model: type[BaseModel], help_text: str) -> dict[str, Any]:
    """The schema of a trigger's run form: `change` alone, required; fields by their outer names."""
    schema = model.model_json_schema(by_alias=True, ref_template="#/definitions/{model}")
    definitions = schema.pop("$defs", {})
    return {
        "title": "Parameters",
        "type": "object",
        "properties": {"change": {**schema, "description": help_text, "position": 0}},
        "required": ["change"],
        "definitions": definitions,
    }


async def apply(watch_seconds: int) -> None:
    """Create or renew pool, flows and deployments. Raises what Prefect's client raises where the server is away."""
    async with get_client() as client:
        await _pool(client)
        for name, model in REQUESTS.items():
            flow = FLOWS[name]
            await client.create_deployment(
                flow_id=await client.create_flow(flow),
                name="change",
                description=flow.description,
                work_pool_name=POOL,
                work_queue_name="changes",
                entrypoint=f"flows/{name}.py:{name}",
                parameter_openapi_schema=form(model, "平时请在门户发起；这里供门户不能使用时应急。"),
                enforce_parameter_schema=True,
            )
        active = await _watch_is_on(client)
        await client.create_deployment(
            flow_id=await client.create_flow(watch),
            name="watch",
            description=watch.description,
            tags=["watch"],
            work_pool_name=POOL,
            work_queue_name="watch",
            entrypoint="flows/watch.py:watch",
            schedules=[
                DeploymentScheduleCreate(
                    schedule=IntervalSchedule(interval=timedelta(seconds=watch_seconds)), slug="watch", active=active
                )
            ],
        )


async def _watch_is_on(client: PrefectClient) -> bool:
    """What an operator switched off stays off: making a deployment again would switch its schedule on."""
    try:
        there = await client.read_deployment_by_name("watch/watch")
    except ObjectNotFound:
        return True
    return all(schedule.active for schedule in there.schedules)


async def _pool(client: PrefectClient) -> None:
    try:
        await client.read_work_pool(POOL)
    except ObjectNotFound:
        pool = WorkPoolCreate(name=POOL, type=TYPE, base_job_template=WarmWorker.get_default_base_job_template())
        try:
            await client.create_work_pool(pool)
        except ObjectAlreadyExists:
            return
