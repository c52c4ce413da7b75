"""The case in SpiffWorkflow: a BPMN model, the case's state as JSON in PostgreSQL.

SpiffWorkflow is a library without a store. As its documentation shows, a case is read, its task run, everything run that
needs no person, and the case written back; one transaction with the row locked, as a web request would do it.
"""

from __future__ import annotations

import threading
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg
from common import arguments, measure
from SpiffWorkflow import TaskState
from SpiffWorkflow.bpmn import BpmnWorkflow
from SpiffWorkflow.bpmn.parser import BpmnParser
from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer

MODEL = Path(__file__).with_name("approval.bpmn")


def main() -> None:
    cases, url = arguments()
    parser = BpmnParser()
    parser.add_bpmn_file(str(MODEL))
    spec = parser.get_spec("case")
    serializer = BpmnWorkflowSerializer()
    own = threading.local()

    def connection() -> psycopg.Connection[Any]:
        if not hasattr(own, "connection"):
            own.connection = psycopg.connect(url)
        made: psycopg.Connection[Any] = own.connection
        return made

    with connection() as made:
        made.execute("create table cases (id serial primary key, state text not null, waits text[] not null)")
    own.connection = psycopg.connect(url)

    def settled(workflow: BpmnWorkflow) -> list[str]:
        """Run what needs no person; the steps that wait for one."""
        while (task := workflow.get_next_task(state=TaskState.READY, manual=False)) is not None:
            task.run()
        workflow.refresh_waiting_tasks()
        return [task.task_spec.name for task in workflow.get_tasks(state=TaskState.READY, manual=True)]

    def start(number: int) -> int:
        workflow = BpmnWorkflow(spec)
        waiting = settled(workflow)
        with connection().transaction():
            row = connection().execute(
                "insert into cases (state, waits) values (%s, %s) returning id",
                (serializer.serialize_json(workflow), waiting),
            )
            return int(row.fetchone()[0])  # type: ignore[index]

    def decide(case: int, stage: str) -> None:
        with connection().transaction():
            row = connection().execute("select state from cases where id = %s for update", (case,)).fetchone()
            workflow = serializer.deserialize_json(row[0])  # type: ignore[index]
            task = next(
                task for task in workflow.get_tasks(state=TaskState.READY, manual=True) if task.task_spec.name == stage
            )
            task.data[stage] = "pass"
            task.run()
            waiting = settled(workflow)
            connection().execute(
                "update cases set state = %s, waits = %s where id = %s",
                (serializer.serialize_json(workflow), waiting, case),
            )

    def waits(case: int, stage: str) -> None:
        with connection().transaction():
            row = connection().execute("select waits from cases where id = %s", (case,)).fetchone()
        assert row is not None and stage in row[0], row

    def ended(case: int) -> None:
        with connection().transaction():
            row = connection().execute("select waits from cases where id = %s", (case,)).fetchone()
        assert row == ([],), row

    measure("SpiffWorkflow, state in PostgreSQL", version("SpiffWorkflow"), cases, start, decide, waits, ended)


if __name__ == "__main__":
    main()
