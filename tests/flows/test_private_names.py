"""The private names of Prefect that the engine touches: these tests fail when an upgrade moves them."""

from __future__ import annotations

import inspect

import prefect
import prefect._flow_run_suspension as suspension
import prefect.flow_engine

from deployments.prefect_private import NAME


def test_prefect_is_the_version_the_engine_was_proved_with() -> None:
    assert prefect.__version__ == "3.8.8"


def test_the_observer_of_suspensions_stands_where_the_engine_switches_it_off() -> None:
    assert hasattr(prefect.flow_engine, NAME)
    used = inspect.getsource(prefect.flow_engine)
    assert f"{NAME}(" in used
    assert list(inspect.signature(getattr(suspension, NAME)).parameters)[:2] == ["flow_run_id", "suspension_request"]


def test_prefects_sqlite_transactions_can_be_begun_as_writers() -> None:
    from prefect.server.database.configurations import AioSqliteConfiguration

    begin = AioSqliteConfiguration.begin_transaction
    assert list(inspect.signature(begin).parameters) == ["self", "session", "with_for_update"]


def test_the_mail_module_of_apprise_takes_its_tls_contexts_from_us() -> None:
    from apprise.plugins.email import base

    from notifications.apprise_private import keep_tls_contexts

    assert keep_tls_contexts()
    tls = vars(base)["ssl"]
    wanted = tls.create_default_context()
    wanted.check_hostname, wanted.verify_mode = False, tls.CERT_NONE
    untouched = tls.create_default_context()
    assert untouched.check_hostname and untouched.verify_mode != tls.CERT_NONE
