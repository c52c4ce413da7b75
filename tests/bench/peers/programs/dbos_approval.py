"""The case in DBOS on PostgreSQL: a durable workflow that publishes what it waits for and receives decisions.

As its documentation does for people in the loop (`set_event`, `recv`), with its defaults (LISTEN and NOTIFY). The
workflow is a coroutine: a waiting case holds no thread. The deciding web process and the workflows share one process.
"""

from __future__ import annotations

import asyncio
import threading
from importlib.metadata import version
from typing import Any

from common import STAGES, arguments, measure
from dbos import DBOS

FOREVER = 60 * 60 * 24 * 30.0


@DBOS.step()
async def notify(case: str, stage: str) -> str:
    """Where a message to the next person would go out."""
    return f"{case}: {stage}"


@DBOS.workflow()
async def approval(number: int) -> str:
    """Five decisions, two of them side by side."""
    case = DBOS.workflow_id or ""
    for stages in STAGES:
        for stage in stages:
            await notify(case, stage)
            await DBOS.set_event_async(f"waits:{stage}", True)
        for stage in stages:
            await DBOS.recv_async(stage, timeout_seconds=FOREVER)
    await DBOS.set_event_async("ended", True)
    return "published"


def main() -> None:
    cases, url = arguments()
    DBOS(config={"name": "approval", "system_database_url": url, "log_level": "ERROR"})
    DBOS.launch()
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    def start(number: int) -> str:
        handle: Any = asyncio.run_coroutine_threadsafe(DBOS.start_workflow_async(approval, number), loop).result()
        case: str = handle.workflow_id
        waits(case, "draft")
        return case

    def waits(case: str, stage: str) -> None:
        assert DBOS.get_event(case, f"waits:{stage}", timeout_seconds=60)

    def ended(case: str) -> None:
        assert DBOS.get_event(case, "ended", timeout_seconds=60)

    def decide(case: str, stage: str) -> None:
        DBOS.send(case, "pass", topic=stage)

    measure("DBOS on PostgreSQL", version("dbos"), cases, start, decide, waits, ended)
    DBOS.destroy()


if __name__ == "__main__":
    main()
