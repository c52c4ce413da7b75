"""Agency request: a department asks for changes of given items."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.lifecycle import RESULTS, start_or_carry
from models.domain.requests import AgencyRequest


# Checked by the verb, not by Prefect: a bad request is answered with a sentence.
@flow(name="agency_request", retries=0, persist_result=False, result_storage=RESULTS, validate_parameters=False)
def agency_request(change: AgencyRequest | None = None, change_id: str = "", attempt: int = 1) -> State[Any]:
    """依据部门申请，对指定事项办理调整。

    Args:
        change: 平时请在门户发起；这里供门户不能使用时应急。
    """
    return start_or_carry("agency_request", change, change_id, attempt)
