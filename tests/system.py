"""A whole system of processes for tests: mailbox, Prefect's server, engine, on free ports and a home of its own.

The portal is started where a test asks for it; elsewhere verbs are called in the test's own process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx2

from deployments.client import PrefectClient
from deployments.ports import free_port
from deployments.prefect_server import create_database
from deployments.runs import DEPLOYMENTS, Runs
from models import clock
from models.actions.desk import decide, desk
from models.actions.starting import register
from models.actions.views import change_show, changelog
from models.domain.errors import Unusable
from models.settings import Settings
from models.store.database import Database
from models.store.migrate import migrate
from notifications.mailbox_files import Mail, read_mails
from tests.factories import small_office

Result = TypeVar("Result")
#: How long to wait for what must happen by itself (seconds): a machine for tests may be shared.
PATIENCE = float(os.environ.get("SHIXIANG_TEST_PATIENCE", "90"))
ROOT = Path(__file__).resolve().parent.parent


def until(found: Callable[[], Result], seconds: float = 30.0, what: str = "", pause: float = 0.05) -> Result:
    """Ask again after each pause until the answer is true; the last answer in the failure."""
    end = time.monotonic() + seconds
    while True:
        answer = found()
        if answer:
            return answer
        assert time.monotonic() < end, f"waited {seconds} s for {what or found}: {answer!r}"
        time.sleep(pause)


@dataclass
class System:
    """The processes and their home; verbs are called in this process, as the portal does."""

    home: Path
    extra: Mapping[str, str] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    #: Whether the small office is made; without it the home stays empty.
    office: bool = True
    #: The address of a PostgreSQL database that is there and empty, for our tables; empty = SQLite in the home.
    store: str = ""

    def __post_init__(self) -> None:
        self.environment = {
            "SHIXIANG_HOME": str(self.home),
            "SHIXIANG_PORTAL_PORT": str(free_port()),
            "SHIXIANG_PREFECT_PORT": str(free_port()),
            "SHIXIANG_MAILBOX_PORT": str(free_port()),
            "SHIXIANG_DATABASE_URL": self.store,
            **self.extra,
        }
        before = dict(os.environ)
        os.environ.update(self.environment)
        try:
            self.settings = Settings()
        finally:
            os.environ.clear()
            os.environ.update(before)
        self.home.mkdir(parents=True, exist_ok=True)
        self.db = Database(self.settings.business_url)
        if self.office:
            migrate(self.db)
            small_office(self.db, datetime.now(UTC), schema=False)
        self.prefect = PrefectClient(self.settings.prefect_api)
        self._browser: httpx2.Client | None = None
        self.runs = Runs(self.db, self.settings)

    def start(self, name: str, *command: str, **more: str) -> None:
        """Start one part: `mailbox`, `prefect`, `engine` or `portal`; otherwise with this command of the interpreter, these settings."""
        modules = {
            "mailbox": "deployments.mailbox",
            "prefect": "deployments.prefect_server",
            "engine": "deployments.engine",
            "portal": "deployments.portal_server",
        }
        arguments = [sys.executable, *(command or ("-m", modules[name]))]
        if name == "mailbox":
            arguments += ["--port", self.environment["SHIXIANG_MAILBOX_PORT"], "--home", str(self.home)]
        with (self.home / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                arguments, cwd=ROOT, env={**os.environ, **self.environment, **more}, stdout=log, stderr=log
            )

    def up(self) -> None:
        """Everything, and ready."""
        create_database(self.settings)
        for name in ("mailbox", "prefect", "engine"):
            if name != "mailbox" or not self.settings.mail_url:
                self.start(name)
        until(self.prefect.healthy, 2 * PATIENCE, "Prefect")
        until(lambda: self._deployed() and not self.runs.missing(), 2 * PATIENCE, "engine and deployments")

    def _deployed(self) -> bool:
        try:
            return not self.prefect.missing_deployments(DEPLOYMENTS)
        except Unusable:
            return False

    def end(self, name: str, number: int = signal.SIGTERM) -> int:
        """End one part; its exit status."""
        process = self.processes.pop(name)
        process.send_signal(number)
        try:
            return process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)
            raise

    def down(self) -> None:
        """End everything that runs."""
        for name in ("portal", "engine", "prefect", "mailbox"):
            if name in self.processes:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.end(name)
        if self._browser is not None:
            self._browser.close()
        self.prefect.close()
        self.db.close()

    # --- what people do ---

    def change(self, trigger: str, params: dict[str, Any], by: str | None = "p-zhou") -> str:
        """Register a change of its own, whatever else is open, and create its run."""
        made = register(self.db, trigger=trigger, params=params, by=by, via="test", again=True, now=clock.now())
        self.runs.start(made.id)
        return made.id

    def open_for(self, change_id: str, person: str) -> list[dict[str, Any]]:
        """What lies open for a person."""
        found: list[dict[str, Any]] = desk(self.db, person_id=person, change_id=change_id, now=clock.now())[
            "assignments"
        ]
        return found

    def says(self, change_id: str, person: str, verdict: str, *, comment: str = "", wake: bool = True) -> None:
        """A person decides all that lies open for him, once there is something."""
        taken = until(lambda: self.open_for(change_id, person), PATIENCE, f"a task of {person}")
        body = {
            "request_id": f"{change_id}-{person}-{verdict}-{time.monotonic_ns()}",
            "decisions": [
                {"assignment": a["id"], "revision": a["revision"], "verdict": verdict, "comment": comment}
                for a in taken
            ],
        }
        decide(self.db, person_id=person, change_id=change_id, body=body, via="link", now=clock.now())
        if wake:
            self.runs.wake(change_id)

    def show(self, change_id: str) -> dict[str, Any]:
        """The change as JSON."""
        return change_show(self.db, change_id=change_id, now=clock.now())

    def log(self, change_id: str) -> list[dict[str, Any]]:
        """The change's log as JSON."""
        return changelog(self.db, change_id=change_id)

    def shown_at_the_run(self, change_id: str) -> str:
        """The status page that Prefect holds at the run which carries a change now, as its interface gives it."""
        run, key = self.show(change_id)["flow_run_id"], f"change-{change_id}-status"
        wanted = {"key": {"any_": [key]}, "flow_run_id": {"any_": [str(run)]}}
        found = self.read("artifacts/filter", {"artifacts": wanted, "sort": "UPDATED_DESC", "limit": 1})
        return str(found[0]["data"]) if found else ""

    def coordinators_page(self, path: str) -> str:
        """A page of the running portal as the signed-in coordinator gets it; starts the portal where none runs."""
        if "portal" not in self.processes:
            self.start("portal")
        if self._browser is None:
            self._browser = httpx2.Client(base_url=self.settings.portal_address, timeout=30, trust_env=False)
        browser = self._browser
        until(lambda: _answers(browser), PATIENCE, "the portal")
        answer = browser.get(path)
        if answer.status_code == 303:  # not signed in yet, or the clock has gone on for days
            known = self._sign_in_links()
            browser.post("/sign-in", data={"email": "p-zhou@shili.example"})
            fresh = until(lambda: self._sign_in_links() - known, PATIENCE, "the mail with the link to sign in")
            assert browser.post(fresh.pop()).status_code == 303
            answer = browser.get(path)
        answer.raise_for_status()
        return answer.text

    def _sign_in_links(self) -> set[str]:
        return {mail.link for mail in read_mails(self.home / "mailbox") if mail.link and "/s/" in mail.link}

    def mails(self, change_id: str, kind: str | None = None) -> list[Mail]:
        """The mails of a change, the oldest first."""
        return [
            mail
            for mail in reversed(read_mails(self.home / "mailbox"))
            if mail.change == change_id and kind in (None, mail.kind)
        ]

    def run_state(self, change_id: str) -> str:
        """Prefect's state of the run that carries a change."""
        run = self.show(change_id)["flow_run_id"]
        try:
            state = None if run is None else self.prefect.state(run)
        except Unusable:  # it does not answer now
            return ""
        return "" if state is None else state.type

    def read(self, path: str, body: dict[str, Any] | None = None, *, method: str | None = None) -> Any:
        """Something of Prefect's interface, as JSON; GET without a body, else POST, or as told."""
        method = method or ("GET" if body is None else "POST")
        answer = httpx2.request(method, f"{self.settings.prefect_api}/{path}", json=body, timeout=30, trust_env=False)
        answer.raise_for_status()
        return answer.json() if answer.content else None


def _answers(browser: httpx2.Client) -> bool:
    try:
        return browser.get("/sign-in").status_code < 400
    except httpx2.HTTPError:
        return False
