"""The worst crashes once more where our tables, and Prefect's, lie on PostgreSQL: its locks last as long as a connection."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, make_url

from tests.conftest import drop_databases
from tests.faults import test_crashes as crashes
from tests.faults.conftest import running
from tests.faults.post import Post
from tests.system import System

pytestmark = [pytest.mark.server, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def post_and_system(postgres_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Post, System]]:
    """A system and its mail server on databases of their own."""
    server, name = make_url(postgres_address), f"shixiang_faults_{secrets.token_hex(4)}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f'create database "{name}"')
    engine.dispose()
    store = server.set(database=name).render_as_string(hide_password=False)
    try:
        with running(tmp_path_factory.mktemp("faults_postgresql"), store) as both:
            assert not both[1].db.sqlite
            yield both
    finally:
        drop_databases(server.set(database="postgres"), name)


test_killed_between_the_commit_of_a_decision_and_its_wake = (
    crashes.test_killed_between_the_commit_of_a_decision_and_its_wake
)
test_killed_before_the_suspend_when_the_change_is_parked_already = (
    crashes.test_killed_before_the_suspend_when_the_change_is_parked_already
)
test_killed_in_the_middle_of_a_publication = crashes.test_killed_in_the_middle_of_a_publication
test_killed_between_the_servers_yes_and_our_note_of_it_exactly_one_copy_more_comes_and_is_marked = (
    crashes.test_killed_between_the_servers_yes_and_our_note_of_it_exactly_one_copy_more_comes_and_is_marked
)
