"""The case in viewflow (Django) on PostgreSQL: a flow of views with split and join.

Each decision is what its task view does in a request: the task is assigned, started and executed in one transaction.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import django
from common import arguments, measure
from django.conf import settings

CASES, URL = arguments()
ADDRESS = urlsplit(URL)
settings.configure(
    SECRET_KEY="bench",
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "viewflow", "viewflow.workflow", "approvals"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": ADDRESS.hostname,
            "PORT": ADDRESS.port or 5432,
            "USER": ADDRESS.username,
            "PASSWORD": ADDRESS.password or "",
            "NAME": ADDRESS.path.lstrip("/"),
            "CONN_MAX_AGE": None,
        }
    },
)
django.setup()

from approvals.flows import ApprovalFlow  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import transaction  # noqa: E402
from django.http import HttpRequest  # noqa: E402
from viewflow.workflow.models import Process, Task  # noqa: E402
from viewflow.workflow.status import STATUS  # noqa: E402


def main() -> None:
    call_command("migrate", verbosity=0)
    user = User.objects.create(username="person")
    request = HttpRequest()
    request.user = user
    nodes = {name: getattr(ApprovalFlow, name) for name in ("draft", "form", "legality", "list", "approval")}

    def open_task(case: int, stage: str) -> Any:
        return Task.objects.filter(process_id=case, flow_task=nodes[stage]).exclude(status=STATUS.DONE).first()

    def start(number: int) -> int:
        with transaction.atomic():
            process = ApprovalFlow.begin.run()
        return int(process.pk)

    def decide(case: int, stage: str) -> None:
        with transaction.atomic(), ApprovalFlow.lock(case):
            task = open_task(case, stage)
            activation = task.flow_task.activation_class(task)
            activation.assign(user)
            activation.start(request)
            activation.execute()

    def waits(case: int, stage: str) -> None:
        assert open_task(case, stage) is not None, (case, stage)

    def ended(case: int) -> None:
        assert Process.objects.get(pk=case).finished is not None

    measure("viewflow on PostgreSQL", version("django-viewflow"), CASES, start, decide, waits, ended)


if __name__ == "__main__":
    main()
