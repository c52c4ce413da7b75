"""Law change: a law was amended, newly made or repealed; the items that cite it are adjusted."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.lifecycle import RESULTS, start_or_carry
from models.domain.requests import LawChange


# Checked by the verb, not by Prefect: a bad request is answered with a sentence.
@flow(name="law_change", retries=0, persist_result=False, result_storage=RESULTS, validate_parameters=False)
def law_change(change: LawChange | None = None, change_id: str = "", attempt: int = 1) -> State[Any]:
    """依据法律法规变化，梳理涉及事项并办理调整。

    Args:
        change: 平时请在门户发起；这里供门户不能使用时应急。
    """
    return start_or_carry("law_change", change, change_id, attempt)
