"""`audit verify`: untouched it says ok; one column of one row altered by SQL and it names the row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Table, and_, delete, insert, select, update
from sqlalchemy.exc import DBAPIError

from models.actions import tokens
from models.actions.audit import Report, newest_head, prove, seal_day, verify
from models.actions.signing import ask_sign_in, sign_out, spend_sign_in
from models.domain.audit import AUDITED
from models.domain.errors import BadInput, Forbidden, Unknown
from models.domain.seals import line_hash
from models.store.audit import PUBLICATION_LINE, VERSION
from models.store.change import (
    ADJUSTMENT,
    ASSIGNMENT,
    CHANGE,
    DECISION,
    DECISION_LINE,
    LOG,
    PROPOSAL,
    SHEET,
    STEP,
    Row,
    rows,
)
from models.store.database import Database
from models.store.migrate import migrate
from models.store.outbox import LINK
from models.store.publication import PUBLICATION
from models.store.sealing import OFFICE_LOG
from tests.conftest import emptied
from tests.factories import LAW, NEW, OLD, PEOPLE, small_office
from tests.stories.driver import START, Story

LAW_CHANGE = {
    "title": "餐饮条例修订",
    "law": LAW,
    "from_version": OLD.isoformat(),
    "to_version": NEW.isoformat(),
    "effective_on": None,
}
VERDICTS = {"scope": "confirm", "draft": "submit", "approval": "approve"}
RENAME = {
    "title": "更名",
    "reason": "名称与条例不一致",
    "effective_on": None,
    "items": [
        {"target": {"kind": "item", "code": "990100356000"}, "outcomes": ["rename"], "set": {"name": "早餐车占道许可"}}
    ],
}
SEALED = (
    LOG, ADJUSTMENT, SHEET, STEP, ASSIGNMENT, CHANGE, DECISION, DECISION_LINE, PROPOSAL, VERSION, PUBLICATION,
    PUBLICATION_LINE, OFFICE_LOG,
)  # fmt: skip
#: What may change later without a line, and what is only for showing or for the engine.
UNPROVED = {
    "publication": {"state", "document_id"},
    **{
        target.name: {column.name for column in target.c} - {"id", "change_id", *AUDITED[target.name]}
        for target in (ADJUSTMENT, SHEET, STEP, ASSIGNMENT)
    },
    "change": {"subject", "closed_at", "work_seq", "consumed_seq", "work_since", "next_due", "leg_no", "leg_engine",
               "parked_leg", "flow_run_id", "stuck"},
}  # fmt: skip


@dataclass(frozen=True)
class Proved:
    """An office with one published change, fixed by a daily head; each test undoes what it did."""

    db: Database
    story: Story


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def closed(request: pytest.FixtureRequest) -> Iterator[Proved]:
    sqlite = request.param == "sqlite"
    db = Database("sqlite://") if sqlite else emptied(request.getfixturevalue("postgres_address"))
    migrate(db)
    small_office(db, START - timedelta(days=30), schema=False)
    story = Story(db)
    story.start("law_change", LAW_CHANGE)
    while not story.passes[-1].ended:
        person, stage = next((person, a["stage"]) for person, *_ in PEOPLE for a in story.open_for(person))
        story.says(person, VERDICTS.get(stage, "pass"), only=stage)
    assert seal_day(db, now=story.now)
    yield Proved(db, story)
    db.close()


@pytest.fixture
def hand(closed: Proved) -> Iterator[Connection]:
    """A transaction of somebody who has the database and switched every key off; never committed."""
    with closed.db.engine.connect() as connection, behind_the_back(connection, closed.db.sqlite):
        yield connection


@contextmanager
def behind_the_back(connection: Connection, sqlite: bool) -> Iterator[None]:
    if sqlite:
        connection.exec_driver_sql("pragma foreign_keys=off")
        connection.exec_driver_sql("begin immediate")
    else:
        connection.exec_driver_sql("set local session_replication_role = replica")
    try:
        yield
    finally:
        connection.rollback()
        if sqlite:
            connection.exec_driver_sql("pragma foreign_keys=on")


def all_rows(connection: Connection, target: Table) -> list[Row]:
    return rows(connection, select(target).order_by(*target.primary_key.columns))


def other(value: Any, column: Any) -> Any:
    """Another value of the same kind."""
    empty = getattr(column.type, "impl", column.type).python_type
    kind = empty if value is None else type(value)
    if kind is datetime:
        return (value or START) + timedelta(seconds=1)
    if kind is date:
        return date(2020, 2, 2)
    if kind is bool:
        return not value
    if kind is int:
        return (value or 0) + 1000
    if kind in (dict, list):
        return {**(value or {}), "x": 1}
    return f"{value or ''}x"


def its(target: Table, row: Row) -> Any:
    return and_(*(key == row[key.name] for key in target.primary_key.columns))


def set_column(connection: Connection, target: Table, row: Row, column: str, value: Any) -> None:
    """Set one column of one row by SQL."""
    assert connection.execute(update(target).where(its(target, row)).values({column: value})).rowcount == 1


def take(connection: Connection, target: Table, row: Row) -> None:
    """Delete one row by SQL."""
    assert connection.execute(delete(target).where(its(target, row))).rowcount == 1


def put(connection: Connection, target: Table, row: Row) -> None:
    """Insert one row by SQL."""
    connection.execute(insert(target).values(**row))


def told(report: Report) -> list[tuple[str, str]]:
    return [(finding.table, finding.what) for finding in report.findings]


def test_untouched_data_is_proved(closed: Proved) -> None:
    report = verify(closed.db)
    assert report.as_json()["ok"], report.findings
    assert report.changes == 1
    assert report.rows > 20
    assert report.head == newest_head(closed.db)
    assert verify(closed.db, change=closed.story.change_id).findings == []
    with pytest.raises(Unknown):
        verify(closed.db, change="2026-9999")


def test_any_column_of_any_row_altered_is_found(hand: Connection) -> None:
    held = {target.name: (target, all_rows(hand, target)) for target in SEALED}
    seen: set[tuple[str, str]] = set()

    @settings(max_examples=150, database=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def altered(data: st.DataObject) -> None:
        target, found = held[data.draw(st.sampled_from(sorted(held)))]
        row = found[data.draw(st.integers(0, len(found) - 1))]
        column = data.draw(st.sampled_from(sorted(set(row) - UNPROVED.get(target.name, set()))))
        value = other(row[column], target.c[column])
        with hand.begin_nested() as point:
            try:
                set_column(hand, target, row, column, value)
            except DBAPIError:
                assume(False)  # a key of the database refuses it
            findings = prove(hand).findings
            assert findings, f"{target.name}.{column}: {row[column]!r} -> {value!r}"
            assert all(finding.message.endswith("。") for finding in findings)
            point.rollback()
        seen.add((target.name, column))

    altered()
    assert prove(hand).findings == []
    assert len(seen) > 40


def test_a_value_no_column_of_its_kind_could_hold_is_found(closed: Proved, hand: Connection) -> None:
    if not closed.db.sqlite:
        pytest.skip("the database itself refuses it")
    for target, column in (
        (LOG, "data"), (LOG, "at"), (LOG, "sealed"), (OFFICE_LOG, "data"), (OFFICE_LOG, "at"), (DECISION, "at"),
        (PROPOSAL, "content"), (PROPOSAL, "log_seq"), (VERSION, "content"), (VERSION, "superseded_at"),
        (VERSION, "recorded_at"), (PUBLICATION, "effective_at"), (CHANGE, "params"), (CHANGE, "log_seq"),
    ):  # fmt: skip
        with hand.begin_nested() as point:
            hand.exec_driver_sql(f'update "{target.name}" set "{column}" = \'nonsense\' where rowid = 2 or rowid = 1')
            assert prove(hand).findings, f"{target.name}.{column}"
            point.rollback()


def test_a_decision_that_was_turned_round_is_named_with_its_line_and_column(hand: Connection) -> None:
    row = next(row for row in all_rows(hand, DECISION) if row["verdict"] == "pass")
    set_column(hand, DECISION, row, "verdict", "return")
    [finding] = prove(hand).findings
    line = next(line for line in all_rows(hand, LOG) if line["data"].get("decision") == row["id"])
    assert (finding.table, finding.what, finding.seq, finding.row) == ("decision", "altered", line["seq"], row["id"])
    assert finding.detail == "verdict"
    assert finding.message == f"变更 2026-0001 日志第 {line['seq']} 行所记的意见 {row['id']} 被改动（verdict）。"


def test_a_row_of_a_large_set_is_named(hand: Connection) -> None:
    row = all_rows(hand, VERSION)[2]
    set_column(hand, VERSION, row, "content", {**row["content"], "name": "另一事项"})
    [finding] = prove(hand).findings
    assert (finding.table, finding.what, finding.row) == ("item_version", "altered", row["id"])


def test_the_first_altered_line_is_named_even_if_its_hash_was_made_anew(hand: Connection) -> None:
    row = all_rows(hand, LOG)[4]
    forged = {**row, "via": "paper"}
    hand.execute(update(LOG).where(its(LOG, row)).values(via="paper", hash=line_hash(forged)))
    finding = prove(hand).findings[0]
    assert (finding.table, finding.seq, finding.what) == ("change_log", 6, "altered")


def test_a_whole_chain_made_anew_is_found_by_the_daily_head(hand: Connection) -> None:
    prev = ""
    for row in all_rows(hand, LOG):
        forged = {**row, "prev_hash": prev, "who": row["who"] and "p-lu"}
        prev = line_hash(forged)
        hand.execute(
            update(LOG).where(its(LOG, row)).values(who=forged["who"], prev_hash=forged["prev_hash"], hash=prev)
        )
    assert any("日结不符" in finding.message for finding in prove(hand).findings)


@pytest.mark.parametrize("target", [LOG, DECISION, DECISION_LINE, PROPOSAL, VERSION, OFFICE_LOG], ids=lambda t: t.name)
def test_a_row_that_is_gone_is_missed(hand: Connection, target: Table) -> None:
    take(hand, target, all_rows(hand, target)[1])
    finding = prove(hand).findings[0]
    assert (finding.table, finding.what) == (target.name, "missing")


def test_a_row_that_was_slipped_in_is_found(hand: Connection) -> None:
    decision = all_rows(hand, DECISION)[0]
    put(hand, DECISION, {**decision, "id": "dec-x", "request_id": "x", "assignment_id": "asg-x"})
    assert ("decision", "inserted") in told(prove(hand))
    proposal = all_rows(hand, PROPOSAL)[0]
    put(hand, PROPOSAL, {**proposal, "no": 99, "log_seq": None})
    assert ("proposal", "inserted") in told(prove(hand))
    version = all_rows(hand, VERSION)[0]
    put(hand, VERSION, {**version, "id": "ver-x", "no": 99, "superseded_at": START, "publication_id": None})
    assert ("item_version", "inserted") in told(prove(hand))
    publication = all_rows(hand, PUBLICATION)[0]
    put(hand, PUBLICATION, {**publication, "id": "pub-x", "number": "F2020-0001", "effective_at": START})
    assert ("publication", "inserted") in told(prove(hand))


def test_the_cut_end_of_a_chain_and_a_whole_change_that_is_gone_are_noticed(hand: Connection) -> None:
    last = all_rows(hand, LOG)[-1]
    take(hand, LOG, last)
    set_column(hand, CHANGE, all_rows(hand, CHANGE)[0], "log_seq", last["seq"] - 1)
    assert told(prove(hand))[0] == ("change_log", "missing")
    for target in (DECISION_LINE, DECISION, PROPOSAL, LOG, CHANGE):
        hand.execute(delete(target))
    assert ("change", "missing") in told(prove(hand))


def test_a_cut_end_of_the_offices_log_is_noticed_by_a_head_kept_outside(closed: Proved, hand: Connection) -> None:
    head = prove(hand).head
    assert head is not None
    kept = [(head["seq"], head["hash"])]
    assert prove(hand, kept=kept).findings == []
    take(hand, OFFICE_LOG, all_rows(hand, OFFICE_LOG)[-1])
    hand.execute(update(CHANGE).values(headed_seq=0))
    assert prove(hand).findings == []
    assert told(prove(hand, kept=kept)) == [("office_log", "missing")]


def test_a_head_that_nobody_printed_is_refused_with_a_sentence(closed: Proved) -> None:
    with pytest.raises(BadInput) as refused:
        verify(closed.db, kept=["yesterday"])
    assert "audit head" in refused.value.message


def test_a_day_has_one_head_and_the_next_one_holds_what_moved_since(db: Database) -> None:
    small_office(db, START)
    one = Story(db)
    one.start("law_change", LAW_CHANGE)
    assert seal_day(db, now=one.now)
    assert not seal_day(db, now=one.now + timedelta(hours=3))
    other = Story(db, now=one.now + timedelta(days=1))
    other.start("agency_request", RENAME)
    assert seal_day(db, now=other.now)
    with db.reader() as connection:
        heads = [row for row in all_rows(connection, OFFICE_LOG) if row["verb"] == "日结"]
    assert [list(row["data"]["changes"]) for row in heads] == [[one.change_id], [other.change_id]]
    assert verify(db).findings == []


def test_refusals_sign_ins_and_tokens_stand_in_the_offices_log(db: Database) -> None:
    small_office(db, START)
    one = Story(db)
    one.start("law_change", LAW_CHANGE)
    one.says("p-zhou", "confirm")
    one.says("p-he", "submit")
    with db.writer() as connection:
        its_step = select(ASSIGNMENT.c.id).where(ASSIGNMENT.c.person_id == "p-zhou", ASSIGNMENT.c.state == "open")
        assignment = connection.execute(its_step).scalar_one()
        connection.execute(update(ASSIGNMENT).where(ASSIGNMENT.c.id == assignment).values(person_id="p-he"))
    with pytest.raises(Forbidden):
        one.says("p-he", "pass")
    token_id, _ = tokens.issue(db, person="p-zhou", scopes=["read"], expires=None, now=one.now)
    tokens.revoke(db, token_id=token_id, now=one.now)
    ask_sign_in(db, address="p-zhou@shili.example", key_id="k1", now=one.now)
    with db.reader() as connection:
        link = connection.execute(select(LINK.c.id).where(LINK.c.purpose == "sign_in")).scalar_one()
    session, _ = spend_sign_in(db, link_id=link, now=one.now)
    sign_out(db, token=session, now=one.now)
    with db.reader() as connection:
        lines = all_rows(connection, OFFICE_LOG)
    assert [row["verb"] for row in lines[-5:]] == ["拒绝", "发凭证", "停用凭证", "登录", "退出"]
    assert lines[-5]["who"] == "p-he"
    assert lines[-5]["data"]["code"] == "four_eyes"
    # The seat this test moved by SQL is all that differs.
    assert [(finding.table, finding.row) for finding in verify(db).findings] == [("assignment", assignment)]
