"""The case as a flow of views: five decisions, two of them side by side."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from viewflow import this
from viewflow.workflow import flow
from viewflow.workflow.models import Process


def page(request: HttpRequest, **named: Any) -> None:
    """The page of a task; the measurement executes the task as this view would."""


class ApprovalFlow(flow.Flow):  # type: ignore[misc]
    """Five decisions, two of them side by side."""

    process_class = Process
    begin = flow.StartHandle(this.started).Next(this.draft)
    draft = flow.View(page).Next(this.form)
    form = flow.View(page).Next(this.fork)
    fork = flow.Split().Next(this.legality).Next(this.list)
    legality = flow.View(page).Next(this.join)
    list = flow.View(page).Next(this.join)
    join = flow.Join().Next(this.approval)
    approval = flow.View(page).Next(this.end)
    end = flow.End()

    def started(self, activation: Any) -> Any:
        return activation.process
