"""The schema comes from the migrations alone and equals the tables; what may happen once is a key of the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, insert, inspect, select, text, update
from sqlalchemy.exc import IntegrityError

from models.domain.errors import Unusable
from models.store.database import Database
from models.store.migrate import MIGRATIONS, current, head, migrate
from models.store.sql import table
from models.tables import (
    Adjustment,
    Assignment,
    Change,
    Decision,
    Item,
    ItemVersion,
    Link,
    Notice,
    Person,
    Publication,
    Rung,
    Sheet,
    Step,
    metadata,
)
from tests.factories import small_office

NOW = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def office(db: Database) -> Database:
    """A migrated database with one change, its sheet, an open step and an open assignment."""
    migrate(db)
    with db.writer() as connection:
        connection.execute(insert(table(Person)).values(id="p-1", name="陆清"))
        connection.execute(insert(table(Item)).values(id="itm-1", kind="item", identity="own:1"))
        for number in (1, 2):
            connection.execute(insert(table(Change)).values(**change(number)))
        connection.execute(
            insert(table(Sheet)).values(
                id="sht-1",
                change_id="chg-1",
                ord=0,
                department_name="",
                procedure_key="rename",
                procedure_no=1,
                round=1,
                position=0,
                state="open",
                stuck_tries=0,
            )
        )
        connection.execute(insert(table(Step)).values(**step("stp-1")))
        connection.execute(insert(table(Assignment)).values(**assignment("asg-1")))
    return db


def change(number: int, **other: Any) -> dict[str, Any]:
    return {
        "id": f"chg-{number}",
        "number": f"2026-{number:04d}",
        "idempotency_key": f"key-{number}",
        "trigger": "law_change",
        "title": "修订",
        "reason": "",
        "params": {},
        "phase": "running",
        "state": "open",
        "via": "cli",
        "created_at": NOW,
        "log_seq": 0,
        "work_seq": 0,
        "consumed_seq": 0,
        "attempt": 1,
        "leg_no": 0,
        **other,
    }


def step(step_id: str, **other: Any) -> dict[str, Any]:
    return {
        "id": step_id,
        "change_id": "chg-1",
        "sheet_id": "sht-1",
        "stage": "legality",
        "round": 1,
        "state": "open",
        "opened_at": NOW,
        "days": 5,
        "provisional": False,
        **other,
    }


def assignment(assignment_id: str, **other: Any) -> dict[str, Any]:
    return {
        "id": assignment_id,
        "change_id": "chg-1",
        "step_id": "stp-1",
        "seat": "legality",
        "person_id": "p-1",
        "state": "open",
        "opened_at": NOW,
        **other,
    }


def decision(decision_id: str, **other: Any) -> dict[str, Any]:
    return {
        "id": decision_id,
        "change_id": "chg-1",
        "step_id": "stp-1",
        "assignment_id": "asg-1",
        "request_id": f"req-{decision_id}",
        "person_id": "p-1",
        "verdict": "pass",
        "comment": "",
        "revision": "r-1-abc",
        "via": "link",
        "proof": "none",
        "address": "",
        "agent": "",
        "at": NOW,
        **other,
    }


def version(version_id: str, begin: int, end: int | None, **other: Any) -> dict[str, Any]:
    """A version of the item valid from one day to another, counted from now."""
    return {
        "id": version_id,
        "item_id": "itm-1",
        "no": 1,
        "recorded_at": NOW,
        "valid_from": NOW + begin * DAY,
        "valid_to": None if end is None else NOW + end * DAY,
        "state": "active",
        "name": "小型餐饮服务提供者登记",
        "type": "01",
        "department_text": "",
        "content": {},
        "hash": "h",
        **other,
    }


def notice(notice_id: str, **other: Any) -> dict[str, Any]:
    return {
        "id": notice_id,
        "key": "step:stp-1:p-1",
        "person_id": "p-1",
        "change_id": "chg-1",
        "kind": "review_opened",
        "payload": {},
        "state": "queued",
        "created_at": NOW,
        "next_at": NOW,
        "tries": 0,
        "repeat": 0,
        "error": "",
        **other,
    }


def link(link_id: str, **other: Any) -> dict[str, Any]:
    return {
        "id": link_id,
        "person_id": "p-1",
        "purpose": "desk",
        "change_id": "chg-1",
        "key_id": "k1",
        "nonce": link_id,
        "created_at": NOW,
        "expires_at": NOW + 90 * DAY,
        **other,
    }


def put(db: Database, model: Any, values: dict[str, Any]) -> None:
    with db.writer() as connection:
        connection.execute(insert(table(model)).values(**values))


def refused(db: Database, model: Any, values: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError):
        put(db, model, values)


def differences(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, metadata))


@pytest.fixture
def migrated(db: Database) -> Iterator[Connection]:
    """A connection to an empty database that has been brought to the newest schema."""
    migrate(db)
    with db.reader() as connection:
        yield connection


def test_the_migrated_schema_is_that_of_the_tables(migrated: Connection) -> None:
    assert differences(migrated) == []


def test_a_schema_that_lacks_a_column_is_told(db: Database) -> None:
    migrate(db)
    with db.writer() as connection:
        connection.execute(text("alter table step drop column no_owner"))
    with db.reader() as connection:
        assert [found[0] for found in differences(connection)] == ["add_column"]


def test_an_empty_database_has_no_revision_and_a_migrated_one_the_newest(db: Database) -> None:
    with db.reader() as connection:
        assert current(connection) is None
    migrate(db)
    with db.reader() as connection:
        assert current(connection) == head()


def test_migrating_again_changes_nothing_and_keeps_what_is_there(office: Database) -> None:
    migrate(office)
    with office.reader() as connection:
        assert differences(connection) == []
        assert connection.execute(select(table(Person).c.id)).scalars().all() == ["p-1"]


def test_quotations_of_before_tell_which_laws_they_name(db: Database) -> None:
    def upgraded_to(revision: str) -> Callable[[Connection], None]:
        def work(connection: Connection) -> None:
            config = Config()
            config.set_main_option("script_location", str(MIGRATIONS))
            config.attributes["connection"] = connection
            command.upgrade(config, revision)

        return work

    db.write(upgraded_to("0009"))
    now = datetime(2026, 1, 1, tzinfo=UTC)
    with db.writer() as connection:
        connection.execute(insert(table(Item)).values(id="i-1", kind="item", identity="x"))
        version = {"id": "v-1", "item_id": "i-1", "no": 1, "recorded_at": now, "valid_from": now, "state": "active"}
        more = {"name": "登记", "type": "01", "content": {}, "hash": "", "department_text": ""}
        connection.execute(insert(table(ItemVersion)).values(**version, **more))
        for ord_, quoted in enumerate(
            (None, "应当登记。", "依照《中华人民共和国行政诉讼法》起诉，依照《示例条例》登记。"), start=1
        ):
            # As before: the column is not there yet.
            connection.execute(
                text(
                    "insert into basis (version_id, ord, canonical, title, quoted, rank) "
                    "values ('v-1', :ord, '甲法', '甲法', :quoted, 1)"
                ),
                {"ord": ord_, "quoted": quoted},
            )
    migrate(db)
    with db.reader() as connection:
        found = connection.execute(text("select mentions from basis order by ord")).scalars().all()
    assert found == [None, None, "|行政诉讼法|示例条例|"]


def test_a_migration_that_fails_leaves_an_empty_database(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("power cut")

    monkeypatch.setattr("alembic.operations.Operations.execute", fail)
    with pytest.raises(RuntimeError, match="power cut"):
        migrate(db)
    with db.reader() as connection:
        assert inspect(connection).get_table_names() == []


def test_a_home_that_cannot_be_written_is_refused_with_a_sentence(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'office.db'}")
    database.engine.dispose()
    (tmp_path / "office.db").mkdir()
    with pytest.raises(Unusable) as refusal:
        migrate(database)
    assert refusal.value.code == "home_read_only"
    database.close()


def test_the_small_office_of_the_tests_fits_the_migrated_schema(db: Database) -> None:
    migrate(db)
    office = small_office(db, NOW, schema=False)
    assert len(office.items) == 5


def test_a_version_whose_validity_overlaps_another_is_refused(office: Database) -> None:
    put(office, ItemVersion, version("ver-1", 0, 10))
    for begin, end in [(0, 10), (5, 15), (-5, 1), (-5, 30), (2, 3), (9, None), (-5, None)]:
        refused(office, ItemVersion, version("ver-2", begin, end, no=2))


def test_versions_that_follow_one_another_are_taken(office: Database) -> None:
    for number, (begin, end) in enumerate([(0, 10), (10, 20), (-10, 0), (20, None)]):
        put(office, ItemVersion, version(f"ver-{number}", begin, end, no=number))


def test_a_version_overlaps_one_that_has_no_end(office: Database) -> None:
    put(office, ItemVersion, version("ver-1", 0, None))
    refused(office, ItemVersion, version("ver-2", 100, 101, no=2))


def test_a_superseded_version_may_overlap_the_one_that_replaced_it(office: Database) -> None:
    put(office, ItemVersion, version("ver-1", 0, None, superseded_at=NOW + DAY))
    put(office, ItemVersion, version("ver-2", 0, None, no=2))


def test_versions_of_two_items_do_not_overlap(office: Database) -> None:
    put(office, Item, {"id": "itm-2", "kind": "item", "identity": "own:2"})
    put(office, ItemVersion, version("ver-1", 0, None))
    put(office, ItemVersion, version("ver-2", 0, None, item_id="itm-2"))


def test_a_version_cannot_be_stretched_over_another(office: Database) -> None:
    put(office, ItemVersion, version("ver-1", 0, 10))
    put(office, ItemVersion, version("ver-2", 10, None, no=2))
    one = table(ItemVersion)
    with pytest.raises(IntegrityError), office.writer() as connection:
        connection.execute(update(one).where(one.c.id == "ver-1").values(valid_to=NOW + 11 * DAY))


def test_a_validity_that_does_not_last_is_refused(office: Database) -> None:
    for end in (0, -1):
        refused(office, ItemVersion, version("ver-1", 0, end))


def test_an_assignment_has_one_standing_decision(office: Database) -> None:
    put(office, Decision, decision("dec-1"))
    refused(office, Decision, decision("dec-2"))


def test_after_an_undone_decision_there_may_be_another(office: Database) -> None:
    put(office, Decision, decision("dec-1", undone_at=NOW))
    put(office, Decision, decision("dec-2"))


def test_one_submission_decides_an_assignment_once(office: Database) -> None:
    put(office, Decision, decision("dec-1", request_id="req", undone_at=NOW))
    refused(office, Decision, decision("dec-2", request_id="req"))


def test_a_sheet_has_one_step_of_a_stage_in_a_round(office: Database) -> None:
    refused(office, Step, step("stp-2"))
    put(office, Step, step("stp-2", stage="list"))
    put(office, Step, step("stp-3", round=2))


def test_a_change_has_one_open_scope_step(office: Database) -> None:
    put(office, Step, step("stp-2", sheet_id=None, stage="scope"))
    refused(office, Step, step("stp-3", sheet_id=None, stage="scope", round=2))


def test_a_scope_that_was_closed_may_be_opened_again(office: Database) -> None:
    put(office, Step, step("stp-2", sheet_id=None, stage="scope", state="superseded"))
    put(office, Step, step("stp-3", sheet_id=None, stage="scope", round=2))


def test_a_person_has_one_open_assignment_of_a_seat(office: Database) -> None:
    refused(office, Assignment, assignment("asg-2"))
    put(office, Assignment, assignment("asg-2", seat="list"))
    put(office, Assignment, assignment("asg-3", state="moved"))


def test_a_step_has_a_rung_of_a_kind_once(office: Database) -> None:
    rung = {"step_id": "stp-1", "rung": "T-2", "change_id": "chg-1", "due_at": NOW, "dropped": False}
    put(office, Rung, rung)
    refused(office, Rung, rung)
    put(office, Rung, rung | {"rung": "T+0"})


def test_a_key_is_one_notice_whatever_became_of_it(office: Database) -> None:
    put(office, Notice, notice("ntc-1", state="sent"))
    refused(office, Notice, notice("ntc-2"))
    put(office, Notice, notice("ntc-3", key="step:stp-1:p-2"))


def test_a_person_has_one_live_link_to_a_change(office: Database) -> None:
    put(office, Link, link("lnk-1"))
    refused(office, Link, link("lnk-2"))
    put(office, Link, link("lnk-3", change_id="chg-2"))


def test_after_a_revoked_link_there_may_be_another(office: Database) -> None:
    put(office, Link, link("lnk-1", revoked_at=NOW))
    put(office, Link, link("lnk-2"))


def test_a_target_stands_in_a_change_once(office: Database) -> None:
    line = {
        "change_id": "chg-1",
        "ord": 0,
        "kind": "item",
        "item_id": "itm-1",
        "outcomes": "rename",
        "state": "drafting",
        "name": "",
        "revision": "",
        "declined": False,
        "reason": "",
        "uncertain": False,
        "hint": {},
    }
    put(office, Adjustment, {"id": "adj-1", **line, "state": "removed"})
    put(office, Adjustment, {"id": "adj-2", **line})
    refused(office, Adjustment, {"id": "adj-3", **line})
    put(office, Adjustment, {"id": "adj-4", **line, "change_id": "chg-2"})


def test_a_callers_key_is_one_change_for_ever(office: Database) -> None:
    refused(office, Change, change(3, idempotency_key="key-1"))
    refused(office, Change, change(3) | {"number": "2026-0001"})


def test_one_change_about_the_same_law_and_versions_is_open(office: Database) -> None:
    put(office, Change, change(3, subject="law_change|条例|2019|2026", state="closed"))
    put(office, Change, change(4, subject="law_change|条例|2019|2026"))
    refused(office, Change, change(5, subject="law_change|条例|2019|2026"))


def test_a_change_publishes_once_for_a_moment(office: Database) -> None:
    one = {"change_id": "chg-1", "title": "", "effective_at": NOW, "published_at": NOW, "state": "published"}
    put(office, Publication, {"id": "pub-1", "number": "1", **one})
    refused(office, Publication, {"id": "pub-2", "number": "2", **one})
    put(office, Publication, {"id": "pub-3", "number": "3", **one, "effective_at": NOW + DAY})


def test_more_work_than_there_is_cannot_be_consumed(office: Database) -> None:
    refused(office, Change, change(3, work_seq=1, consumed_seq=2))


def test_a_step_of_a_change_that_is_not_there_is_refused(office: Database) -> None:
    refused(office, Step, step("stp-9", change_id="chg-9", stage="list"))
