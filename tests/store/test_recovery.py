"""What the engine asks after a death or a jump of the clock: who is dead, what is due, which notice is sent again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.exc import OperationalError

from models.actions.engine import (
    bury_engines,
    changes_to_wake,
    engine_alive,
    engine_seen,
    orphans,
    take_over_notices,
)
from models.actions.starting import register, started
from models.domain.errors import Unusable
from models.store.change import CHANGE
from models.store.database import Database
from models.store.outbox import NOTICE, SqlOutbox
from tests.factories import small_office

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
DAYS = timedelta(days=3)


def seen(db: Database, name: str, pid: int, at: datetime = NOW, host: str = "here") -> None:
    engine_seen(db, engine_id=name, pid=pid, host=host, now=at)


def change(db: Database) -> str:
    small_office(db, NOW)
    item = {"target": {"kind": "item", "code": "990700188000"}, "outcomes": ["change_guide"]}
    params = {"title": "压缩时限", "reason": "", "effective_on": None, "items": [{**item, "set": {"promised_days": 7}}]}
    return register(db, trigger="agency_request", params=params, by="p-zhou", via="test", now=NOW).id


def test_an_engine_whose_process_is_gone_is_dead_at_once_and_others_are_not(db: Database) -> None:
    change_id = change(db)
    for name, pid, host in (("dead", 11, "here"), ("living", 12, "here"), ("elsewhere", 11, "there")):
        seen(db, name, pid, host=host)
    with db.writer() as connection:
        connection.execute(update(CHANGE).where(CHANGE.c.id == change_id).values(leg_no=1, leg_engine="dead"))
    later = NOW + timedelta(seconds=1)
    assert not orphans(db, now=later, engine_id="new", carried=lambda _: False)
    assert bury_engines(db, host="here", gone=lambda pid: pid == 11) == 1
    assert [wake.change_id for wake in orphans(db, now=later, engine_id="new", carried=lambda _: False)] == [change_id]
    assert engine_alive(db, now=later, engine_id="living")
    assert engine_alive(db, now=later, engine_id="elsewhere")
    assert not engine_alive(db, now=later, engine_id="dead")


def test_an_engine_seen_by_a_clock_that_ran_ahead_is_not_alive_for_days(db: Database) -> None:
    change(db)
    seen(db, "ahead", 11, NOW + DAYS)
    assert not engine_alive(db, now=NOW)
    assert engine_alive(db, now=NOW + DAYS)


def test_work_and_starts_noted_by_a_clock_that_ran_ahead_are_taken_up_at_once(db: Database) -> None:
    change_id = change(db)
    values: dict[str, Any] = {"created_at": NOW + DAYS}
    with db.writer() as connection:
        connection.execute(update(CHANGE).where(CHANGE.c.id == change_id).values(**values))
    assert [wake.change_id for wake in changes_to_wake(db, now=NOW)] == [change_id]
    started(db, change_id=change_id, attempt=1, flow_run_id="run")
    values = {"created_at": NOW, "work_seq": CHANGE.c.consumed_seq + 1, "work_since": NOW + DAYS, "log_seq": 9}
    with db.writer() as connection:
        connection.execute(update(CHANGE).where(CHANGE.c.id == change_id).values(**values))
    assert [wake.change_id for wake in changes_to_wake(db, now=NOW)] == [change_id]
    assert not changes_to_wake(db, now=NOW + DAYS + timedelta(seconds=1))


def notice(db: Database, **values: Any) -> None:
    row = {
        "id": "ntc-1", "key": "k", "person_id": "p-zhou", "kind": "sign_in", "payload": {}, "state": "queued",
        "created_at": NOW, "next_at": NOW, "tries": 0, "repeat": 0, "error": "",
    }  # fmt: skip
    with db.writer() as connection:
        connection.execute(insert(NOTICE).values(**{**row, **values}))


@pytest.mark.parametrize(
    "row",
    [
        {"state": "queued", "created_at": NOW + DAYS, "next_at": NOW + DAYS},
        {"state": "held", "created_at": NOW + DAYS, "next_at": NOW + DAYS + timedelta(minutes=20)},
        {"state": "retrying", "next_at": NOW + DAYS},
        {"state": "sending", "lease_until": NOW + DAYS},
    ],
)
def test_a_notice_does_not_wait_for_a_clock_that_was_set_back(db: Database, row: dict[str, Any]) -> None:
    small_office(db, NOW)
    notice(db, **row)
    outbox = SqlOutbox(db, "key", dict)
    assert [one["id"] for one in outbox.claim(NOW, 8, 25)] == ["ntc-1"]


@pytest.mark.parametrize(
    "row",
    [
        {"state": "held", "next_at": NOW + timedelta(minutes=20)},
        {"state": "retrying", "next_at": NOW + timedelta(hours=1)},
        {"state": "sending", "lease_until": NOW + timedelta(seconds=25)},
    ],
)
def test_a_notice_waits_for_its_moment(db: Database, row: dict[str, Any]) -> None:
    small_office(db, NOW)
    notice(db, **row)
    assert SqlOutbox(db, "key", dict).claim(NOW, 8, 25) == []


def test_a_doubtful_notice_comes_back_as_a_repeat_and_one_still_being_sent_is_left_alone(db: Database) -> None:
    small_office(db, NOW)
    notice(db)
    outbox = SqlOutbox(db, "key", dict)
    outbox.claim(NOW, 8, 25)
    later = NOW + timedelta(seconds=30)
    outbox.renew(["ntc-1"], later + timedelta(seconds=25))
    assert outbox.claim(later, 8, 25) == []
    outbox.retry("ntc-1", later, "silence", doubtful=True)
    assert [one["repeat"] for one in outbox.claim(later, 8, 25)] == [1]
    outbox.accepted("ntc-1", later)
    outbox.renew(["ntc-1"], later)
    with db.reader() as connection:
        assert connection.execute(select(NOTICE.c.state, NOTICE.c.lease_until)).one() == ("sent", None)


def test_a_new_engine_that_is_alone_sends_at_once_what_a_dead_one_was_sending(db: Database) -> None:
    small_office(db, NOW)
    notice(db)
    outbox, soon = SqlOutbox(db, "key", dict), NOW + timedelta(seconds=1)
    seen(db, "dead", 11)
    outbox.claim(NOW, 8, 25)
    seen(db, "new", 12, soon)
    assert take_over_notices(db, engine_id="new", now=soon) == 0, "the other may still be at it"
    assert outbox.claim(soon, 8, 25) == []
    bury_engines(db, host="here", gone=lambda pid: pid == 11)
    assert take_over_notices(db, engine_id="new", now=soon) == 1
    assert [one["repeat"] for one in outbox.claim(soon, 8, 25)] == [1]


def test_a_full_disk_is_a_refusal_with_a_sentence_and_nothing_is_written() -> None:
    db = Database("sqlite://")

    def full(connection: Any) -> None:
        raise OperationalError("insert", {}, Exception("disk I/O error"))

    with pytest.raises(Unusable) as refused:
        db.write(full)
    assert (refused.value.code, refused.value.status) == ("disk_full", 503)
    assert "未作任何改动" in refused.value.message
    db.close()
