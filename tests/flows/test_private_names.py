"""The private names of Prefect that the engine touches: these tests fail when an upgrade moves them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import sqlite3
import time
from collections.abc import Coroutine
from contextvars import Context, copy_context
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiosqlite
import httpx
import prefect
import prefect._flow_run_suspension as suspension
import prefect.flow_engine
import pytest
from prefect.client import base
from prefect.client.schemas.objects import FlowRun
from prefect.flow_engine import FlowRunEngine
from prefect.workers.base import BaseWorker
from sqlalchemy import text

from deployments import prefect_private
from deployments.prefect_private import NAME
from deployments.prefect_server import close_what_failed, write_at_once


def test_prefect_is_the_version_the_engine_was_proved_with() -> None:
    assert prefect.__version__ == "3.8.8"


def test_the_observer_of_suspensions_stands_where_the_engine_switches_it_off() -> None:
    assert hasattr(prefect.flow_engine, NAME)
    used = inspect.getsource(prefect.flow_engine)
    assert f"{NAME}(" in used
    assert list(inspect.signature(getattr(suspension, NAME)).parameters)[:2] == ["flow_run_id", "suspension_request"]


def test_the_lean_way_fits_the_prefect_that_is_installed() -> None:
    assert prefect_private.unfit() == ""


def test_prefects_worker_calls_what_the_lean_way_overrides_as_the_lean_way_expects() -> None:
    taken = inspect.getsource(BaseWorker._submit_scheduled_flow_runs)
    assert "self._submitting_flow_run_ids.add(flow_run.id)" in taken
    assert "self._runs_task_group.start_soon(\n                    self._submit_run,\n" in taken
    claim = inspect.getsource(BaseWorker._propose_pending_state)
    assert "except Abort" in claim and "except Exception" in claim, "a refused claim must not raise"


@pytest.mark.parametrize("name", [*prefect_private.METHODS])
def test_a_method_that_changed_is_found_and_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def other(self: object, run_id: str, more: int) -> None: ...

    monkeypatch.setattr(BaseWorker, name, other)
    assert prefect_private.unfit() == f"BaseWorker.{name}"
    monkeypatch.delattr(BaseWorker, name)
    assert prefect_private.unfit() == f"BaseWorker.{name}"


@pytest.mark.parametrize("name", [*prefect_private.ASKS])
def test_a_question_of_prefects_engine_that_moved_is_found_and_named(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(self: object) -> None: ...

    monkeypatch.setattr(FlowRunEngine, name, other)
    assert prefect_private.unfit() == f"FlowRunEngine.{name}"
    monkeypatch.delattr(FlowRunEngine, name)
    assert prefect_private.unfit() == f"FlowRunEngine.{name}"


class Server:
    """A client whose server always has something newer to say."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def read_flow_run(self, flow_run_id: UUID) -> FlowRun:
        return FlowRun(id=flow_run_id, flow_id=uuid4(), name="newer")

    def update_flow_run(self, flow_run_id: UUID, **told: Any) -> str:
        self.told.append({"flow_run_id": flow_run_id, **told})
        return "written"


def test_a_leg_is_answered_from_the_run_that_was_claimed_once_and_only_about_that_run() -> None:
    client, run = Server(), FlowRun(flow_id=uuid4(), name="claimed", flow_version="1")
    prefect_private.spare_questions(client)
    prefect_private.claimed(run)
    assert client.read_flow_run(run.id) is run
    assert client.read_flow_run(run.id).name == "newer", "whoever asks later wants to know what came since"
    prefect_private.claimed(run)
    assert client.read_flow_run(uuid4()).name == "newer"


def test_a_leg_tells_the_server_only_what_it_does_not_know() -> None:
    client, run = Server(), FlowRun(flow_id=uuid4(), flow_version="1")
    prefect_private.spare_questions(client)
    told: dict[str, Any] = {"flow_run_id": run.id, "flow_version": "1", "empirical_policy": run.empirical_policy}
    prefect_private.claimed(run)
    client.update_flow_run(**told)
    assert client.told == []
    run.empirical_policy.retries = 0  # as Prefect's engine does with a run that was never begun
    client.update_flow_run(**told)
    client.update_flow_run(run.id, name="renamed")
    client.update_flow_run(**{**told, "flow_version": "2"})
    assert [sorted(line) for line in client.told] == [
        ["empirical_policy", "flow_run_id", "flow_version"],
        ["flow_run_id", "name"],
        ["empirical_policy", "flow_run_id", "flow_version"],
    ]


@pytest.mark.parametrize(("short", "longest"), [(False, 25.0), (True, 1.5)])
def test_a_call_into_a_server_that_starts_anew_is_tried_again_each_second(
    short: bool, longest: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (prefect_private.WAIT, prefect_private.TRIES):
        monkeypatch.setattr(base, name, getattr(base, name))
    waits: list[float] = []
    monkeypatch.setattr("prefect.client.base.time.sleep", waits.append)
    if short:
        assert prefect_private.shorten_waits()

    def away_for_twenty_seconds(request: httpx.Request) -> httpx.Response:
        if waits and sum(waits) < 20:
            raise httpx.ConnectError("connection refused", request=request)
        return httpx.Response(200 if waits else 503, json={})

    transport = httpx.MockTransport(away_for_twenty_seconds)
    client = base.PrefectHttpxSyncClient(base_url="http://server", transport=transport, enable_csrf_support=False)
    monkeypatch.setattr(client, "_has_connected", True)
    assert client.get("/").status_code == 200
    late = sum(waits) - 20
    assert 0 <= late <= longest
    assert (max(waits) <= 1.5) == short, "no longer needed" if not short else ""


@pytest.mark.parametrize("name", [prefect_private.WAIT, prefect_private.TRIES])
def test_where_a_name_of_the_waits_has_moved_prefect_waits_as_it_does(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (other,) = {prefect_private.WAIT, prefect_private.TRIES} - {name}
    stays = getattr(base, other)
    monkeypatch.delattr(base, name)
    assert not prefect_private.shorten_waits()
    assert getattr(base, other) is stays and not hasattr(base, name)


def test_another_version_and_a_field_that_is_gone_are_found_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefect_private, "FIELDS", (*prefect_private.FIELDS, "_gone"))
    assert prefect_private.unfit() == "BaseWorker._gone"
    monkeypatch.setattr(prefect, "__version__", "3.9.0")
    assert prefect_private.unfit() == "version 3.9.0, proved with 3.8.8"


def test_prefects_sqlite_transactions_can_be_begun_as_writers() -> None:
    from prefect.server.database.configurations import AioSqliteConfiguration

    begin = AioSqliteConfiguration.begin_transaction
    assert list(inspect.signature(begin).parameters) == ["self", "session", "with_for_update"]
    assert 'SQLITE_BEGIN_MODE.set("IMMEDIATE" if with_for_update else "DEFERRED")' in inspect.getsource(begin)


async def what_waits_inside_a_transaction(path: Path) -> dict[str, bool]:
    """What is still waiting after two seconds: a look from within, a transaction of the same task, one of another task."""
    from prefect.server.database.configurations import AioSqliteConfiguration

    own = AioSqliteConfiguration(connection_url=f"sqlite+aiosqlite:///{path}", timeout=3)
    engine = await own.engine()

    async def look() -> None:
        async with await own.session(engine) as session:
            await session.execute(text("select count(*) from sqlite_master"))

    async def within() -> None:
        async with await own.session(engine) as session, own.begin_transaction(session):
            await session.execute(text("select count(*) from sqlite_master"))

    async def waits(act: Coroutine[Any, Any, None], context: Context | None = None) -> bool:
        task = asyncio.create_task(act, context=context)
        _, pending = await asyncio.wait([task], timeout=2)
        if pending:
            task.add_done_callback(lambda done: done.exception())
        return bool(pending)

    elsewhere = copy_context()
    async with await own.session(engine) as session, own.begin_transaction(session):
        await session.execute(text("create table t (id integer)"))
        found = {
            "look": await waits(look()),
            "within": await waits(within()),
            "elsewhere": await waits(within(), elsewhere),
        }
    await asyncio.sleep(1.5)
    await engine.dispose()
    return found


def test_a_transaction_of_prefects_begins_as_a_writer_and_does_not_wait_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.server.database.configurations import AioSqliteConfiguration

    monkeypatch.setattr(AioSqliteConfiguration, "begin_transaction", AioSqliteConfiguration.begin_transaction)
    write_at_once()
    found = asyncio.run(what_waits_inside_a_transaction(tmp_path / "prefect.db"))
    assert found == {"look": False, "within": False, "elsewhere": True}


def test_the_mail_module_of_apprise_takes_its_tls_contexts_from_us() -> None:
    from apprise.plugins.email import base

    from notifications.apprise_private import keep_tls_contexts

    assert keep_tls_contexts()
    tls = vars(base)["ssl"]
    wanted = tls.create_default_context()
    wanted.check_hostname, wanted.verify_mode = False, tls.CERT_NONE
    untouched = tls.create_default_context()
    assert untouched.check_hostname and untouched.verify_mode != tls.CERT_NONE


async def seconds_to_free_a_failed_statement(path: Path) -> float:
    """While its connection waits for the lock that another one holds."""
    first = await aiosqlite.connect(path, isolation_level=None, timeout=4)
    other = await aiosqlite.connect(path, isolation_level=None, timeout=4)
    await first.execute("create table t (id integer primary key)")
    await first.execute("insert into t values (1)")
    failed: Any = await first.cursor()
    with contextlib.suppress(sqlite3.IntegrityError):
        await failed.execute("insert into t values (1)")
    await first.execute_fetchall("select 1")
    await other.execute("begin immediate")
    waiting = asyncio.create_task(first.execute_fetchall("begin immediate"))
    await asyncio.sleep(0.3)
    began = time.monotonic()
    del failed
    gc.collect()  # it stands in a circle with the exception it raised
    spent = time.monotonic() - began
    await other.rollback()
    await asyncio.wait([waiting])
    await first.close()
    await other.close()
    return spent


def test_a_failed_statement_of_prefects_server_does_not_hold_up_the_thread_that_serves_everybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asyncio.run(seconds_to_free_a_failed_statement(tmp_path / "as it comes.db")) > 2, "no longer needed"
    monkeypatch.setattr(aiosqlite.Cursor, "_execute", aiosqlite.Cursor._execute)
    close_what_failed()
    assert asyncio.run(seconds_to_free_a_failed_statement(tmp_path / "ours.db")) < 1
