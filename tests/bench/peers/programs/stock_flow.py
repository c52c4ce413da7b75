"""The case in stock Prefect: one flow that suspends at each step until its input comes.

Legality and list are asked for one after the other: a Prefect run waits at one place at a time.
"""

from prefect import flow, suspend_flow_run, task
from prefect.input import RunInput

STEPS = ("draft", "form", "legality", "list", "approval")


class Decision(RunInput):
    """What a person decides."""

    verdict: str


@task(persist_result=True)
def notify(stage: str) -> str:
    """Where a message to the next person would go out."""
    return stage


@flow(persist_result=True)
def approval(number: int = 0) -> str:
    """Five decisions."""
    for stage in STEPS:
        notify(stage)
        suspend_flow_run(wait_for_input=Decision, timeout=None, key=stage)
    return "published"
