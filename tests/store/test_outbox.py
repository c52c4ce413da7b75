"""The outbox: when a notice leaves, that it leaves once, and the one live link of a person to a change."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from models.domain.errors import Conflict
from models.store import outbox
from models.store.change import rows
from models.store.database import Database
from models.store.outbox import LINK_DAYS, URGENT, HandOver, SqlOutbox, cancel, enqueue, live_link, resend
from models.store.sql import table
from models.tables import Change, Contact, Link, Notice, Person, metadata
from tests.conftest import emptied

NOW = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NOTICE, LINK = table(Notice), table(Link)
LEASE = 30.0


def furnish(database: Database) -> None:
    """Two people who can be written to, one who cannot, and a change with its coordinator."""
    metadata.create_all(database.engine)
    with database.writer() as connection:
        connection.execute(
            insert(table(Person)),
            [{"id": "p-lu", "name": "陆清"}, {"id": "p-gao", "name": "高远"}, {"id": "p-zhou", "name": "周敏"}],
        )
        connection.execute(
            insert(table(Contact)),
            [
                {
                    "id": f"c-{name}",
                    "person_id": name,
                    "kind": "mail",
                    "address": f"{name}@shili.example",
                    "shared": False,
                }
                for name in ("p-lu", "p-zhou")
            ],
        )
        connection.execute(
            insert(table(Change)).values(
                id="chg-1",
                number="2026-0001",
                idempotency_key="k",
                trigger="law_change",
                title="修订",
                reason="",
                params={},
                phase="running",
                state="open",
                via="cli",
                coordinator_id="p-zhou",
                created_at=NOW,
                log_seq=0,
                work_seq=0,
                consumed_seq=0,
                attempt=1,
                leg_no=0,
            )
        )


@pytest.fixture
def office(db: Database) -> Database:
    furnish(db)
    return db


@pytest.fixture(params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An office whose database several threads use at the same moment."""
    if request.param == "postgresql":
        yield request.getfixturevalue("office_on_postgres")
        return
    database = Database(f"sqlite:///{tmp_path / 'office.db'}")
    furnish(database)
    yield database
    database.close()


@pytest.fixture
def office_on_postgres(postgres_address: str) -> Iterator[Database]:
    database = emptied(postgres_address)
    furnish(database)
    yield database
    database.close()


def notice(key: str, **other: Any) -> dict[str, Any]:
    return {
        "key": key,
        "person_id": "p-lu",
        "change_id": "chg-1",
        "step_id": "stp-1",
        "kind": "review_opened",
        "payload": {"due_on": "2026-03-09", "due": "3月9日", "count": 3, "key": key},
        **other,
    }


def put(db: Database, at: datetime, *notices: dict[str, Any], minutes: float = 20) -> int:
    with db.writer() as connection:
        return enqueue(connection, notices=notices, now=at, collect_minutes=minutes).count


def post(db: Database) -> SqlOutbox:
    return SqlOutbox(db, "k1", dict)


def send(db: Database, at: datetime) -> list[dict[str, Any]]:
    """Claim what is due and have it accepted at the same moment."""
    claimed: list[dict[str, Any]] = post(db).claim(at, 100, LEASE)
    for one in claimed:
        post(db).accepted(one["id"], at)
    return claimed


def states(db: Database) -> dict[str, str]:
    with db.reader() as connection:
        return {row["key"]: row["state"] for row in rows(connection, select(NOTICE))}


def moments(db: Database) -> dict[str, datetime]:
    with db.reader() as connection:
        return {row["key"]: row["next_at"] for row in rows(connection, select(NOTICE))}


def test_the_first_notice_about_a_change_leaves_at_once(office: Database) -> None:
    put(office, NOW, notice("a"))
    assert [one["payload"]["key"] for one in send(office, NOW)] == ["a"]
    assert states(office) == {"a": "sent"}


def test_a_second_within_the_collecting_time_is_held_until_it_is_over(office: Database) -> None:
    put(office, NOW, notice("a"))
    send(office, NOW + MINUTE)
    put(office, NOW + 5 * MINUTE, notice("b"))
    assert states(office)["b"] == "held"
    assert send(office, NOW + 20 * MINUTE) == []
    assert [one["kind"] for one in send(office, NOW + 21 * MINUTE)] == ["review_opened"]


def test_what_was_held_together_goes_in_one_digest(office: Database) -> None:
    put(office, NOW, notice("a"))
    send(office, NOW)
    put(office, NOW + 5 * MINUTE, notice("b"))
    put(office, NOW + 15 * MINUTE, notice("c"), notice("d"))
    (one,) = send(office, NOW + 20 * MINUTE)
    assert (one["kind"], one["payload"]["n"]) == ("digest", 3)
    assert states(office) == dict.fromkeys("abcd", "sent")
    assert send(office, NOW + 60 * MINUTE) == []


def test_a_digest_leads_with_the_earliest_due_day_and_lists_at_most_five(office: Database) -> None:
    put(office, NOW, notice("a"))
    send(office, NOW)
    days = ["2026-03-12", "2026-03-05", "2026-03-10", "2026-03-11", "2026-03-13", "2026-03-14", "2026-03-15"]
    put(office, NOW + MINUTE, *(notice(day, payload={"due_on": day, "due": day, "count": 1}) for day in days))
    (one,) = send(office, NOW + 20 * MINUTE)
    assert (one["payload"]["due"], one["payload"]["n"], one["payload"]["more_lines"]) == ("2026-03-05", 7, 2)
    assert [line["due"] for line in one["payload"]["lines"]] == sorted(days)[:5]


def test_after_a_digest_the_collecting_time_begins_anew(office: Database) -> None:
    put(office, NOW, notice("a"))
    send(office, NOW)
    put(office, NOW + 5 * MINUTE, notice("b"), notice("c"))
    send(office, NOW + 20 * MINUTE)
    put(office, NOW + 30 * MINUTE, notice("d"))
    assert (states(office)["d"], moments(office)["d"]) == ("held", NOW + 40 * MINUTE)


def test_a_notice_after_the_collecting_time_leaves_at_once(office: Database) -> None:
    put(office, NOW, notice("a"))
    send(office, NOW)
    put(office, NOW + 20 * MINUTE, notice("b"))
    assert states(office)["b"] == "queued"


def test_of_two_in_one_transaction_the_first_leaves_and_the_second_waits(office: Database) -> None:
    put(office, NOW, notice("a"), notice("b"))
    assert states(office) == {"a": "queued", "b": "held"}
    assert moments(office) == {"a": NOW, "b": NOW + 20 * MINUTE}


def test_a_notice_not_yet_sent_counts_as_the_first(office: Database) -> None:
    put(office, NOW, notice("a"))
    put(office, NOW + MINUTE, notice("b"))
    assert states(office) == {"a": "queued", "b": "held"}


def test_other_people_and_other_changes_have_their_own_collecting_time(office: Database) -> None:
    put(office, NOW, notice("a"))
    put(office, NOW, notice("b", person_id="p-gao"), notice("c", change_id="chg-2"))
    assert states(office) == dict.fromkeys("abc", "queued")


def test_without_a_collecting_time_every_notice_leaves_at_once(office: Database) -> None:
    put(office, NOW, notice("a"), notice("b"), minutes=0)
    put(office, NOW + MINUTE, notice("c"), minutes=0)
    assert [one["kind"] for one in send(office, NOW + MINUTE)] == ["review_opened"] * 3


def test_a_cancelled_notice_does_not_hold_back_the_next(office: Database) -> None:
    put(office, NOW, notice("a", step_id="stp-0"))
    with office.writer() as connection:
        cancel(connection, change_id="chg-1", step_ids=["stp-0"])
    put(office, NOW + MINUTE, notice("b"))
    assert states(office) == {"a": "cancelled", "b": "queued"}


def test_a_notice_that_could_not_be_delivered_does_not_hold_back_the_next(office: Database) -> None:
    put(office, NOW, notice("a"))
    (one,) = post(office).claim(NOW, 10, LEASE)
    post(office).undeliverable(one["id"], "no address")
    put(office, NOW + MINUTE, notice("b"))
    assert states(office) == {"a": "undeliverable", "b": "queued"}


def test_the_coordinator_is_told_once_of_a_notice_that_could_not_be_delivered(office: Database) -> None:
    put(office, NOW, notice("a"))
    (one,) = post(office).claim(NOW, 10, LEASE)
    post(office).undeliverable(one["id"], "550 no such user", NOW, "【请审查】修订")
    assert states(office) == {"a": "undeliverable", f"{one['id']}:undeliverable:0": "queued"}
    (told,) = post(office).claim(NOW, 10, LEASE)
    assert (told["person_id"], told["kind"], told["address"]) == ("p-zhou", "undeliverable", "p-zhou@shili.example")
    said = {name: told["payload"][name] for name in ("recipient", "subject", "error", "tries")}
    assert said == {
        "recipient": {"id": "p-lu", "name": "陆清"}, "subject": "【请审查】修订", "error": "550 no such user", "tries": 1,
    }  # fmt: skip
    post(office).undeliverable(told["id"], "550", NOW, "【无法送达】")
    assert len(states(office)) == 2


def test_a_notice_sent_again_is_a_repeat_and_goes_by_the_live_link(office: Database) -> None:
    put(office, NOW, notice("a"))
    (one,) = post(office).claim(NOW, 10, LEASE)
    post(office).undeliverable(one["id"], "550", NOW, "")
    with office.writer() as connection:
        resend(connection, one["id"], NOW + timedelta(days=100))
    with pytest.raises(Conflict), office.writer() as connection:
        resend(connection, one["id"], NOW)
    again = [row for row in post(office).claim(NOW + timedelta(days=100), 10, LEASE) if row["id"] == one["id"]]
    assert [(row["repeat"], row["tries"], row["link_id"] != one["link_id"]) for row in again] == [(1, 1, True)]


def test_the_next_try_of_a_notice_holds_back_no_other_longer_than_the_collecting_time(office: Database) -> None:
    put(office, NOW, notice("a"))
    (one,) = post(office).claim(NOW, 10, LEASE)
    post(office).retry(one["id"], NOW + 240 * MINUTE, "busy")
    put(office, NOW + MINUTE, notice("b"))
    assert moments(office)["b"] == NOW + 21 * MINUTE


def test_an_urgent_kind_never_waits(office: Database) -> None:
    put(office, NOW, notice("a"))
    send(office, NOW)
    twice = sorted([*URGENT, *URGENT])
    put(office, NOW + MINUTE, *(notice(f"n-{number}", kind=kind) for number, kind in enumerate(twice)))
    assert sorted(one["kind"] for one in send(office, NOW + MINUTE)) == twice


def test_returns_rungs_and_sign_in_codes_are_urgent() -> None:
    assert {"returned", "reminder", "overdue_superior", "supervise", "sign_in", "code"} <= URGENT
    assert not {"draft_opened", "review_opened", "naming_opened", "approval_opened", "published"} & URGENT


def test_an_urgent_notice_leaves_what_is_held_where_it_is(office: Database) -> None:
    put(office, NOW, notice("a"))
    send(office, NOW)
    put(office, NOW + MINUTE, notice("b"))
    put(office, NOW + 2 * MINUTE, notice("c", kind="returned"))
    assert [one["kind"] for one in send(office, NOW + 2 * MINUTE)] == ["returned"]
    assert states(office) == {"a": "sent", "b": "held", "c": "sent"}


def test_one_key_is_one_notice(office: Database) -> None:
    assert put(office, NOW, notice("a")) == 1
    assert put(office, NOW, notice("a"), notice("b")) == 1
    send(office, NOW + 20 * MINUTE)
    assert put(office, NOW + 60 * MINUTE, notice("a"), notice("b")) == 0
    assert send(office, NOW + 120 * MINUTE) == []


def test_a_thousand_notices_go_in_and_are_known_again(office: Database) -> None:
    many = [notice(f"n-{number}", kind="returned") for number in range(1001)]
    assert put(office, NOW, *many) == 1001
    assert put(office, NOW, *many) == 0


def test_one_key_twice_in_one_transaction_is_one_notice(office: Database) -> None:
    assert put(office, NOW, notice("a"), notice("a")) == 1


def test_a_claimed_notice_is_not_claimed_again_while_its_lease_runs(office: Database) -> None:
    put(office, NOW, notice("a"))
    assert len(post(office).claim(NOW, 10, LEASE)) == 1
    assert post(office).claim(NOW + timedelta(seconds=LEASE - 1), 10, LEASE) == []


def test_a_notice_whose_lease_lapsed_is_sent_again_and_marked_as_a_repeat(office: Database) -> None:
    put(office, NOW, notice("a"))
    (first,) = post(office).claim(NOW, 10, LEASE)
    (again,) = post(office).claim(NOW + timedelta(seconds=LEASE), 10, LEASE)
    assert again["id"] == first["id"]
    assert ((first["repeat"], first["tries"]), (again["repeat"], again["tries"])) == ((0, 1), (1, 2))


def test_a_notice_tried_again_after_a_refusal_is_no_repeat(office: Database) -> None:
    put(office, NOW, notice("a"))
    (first,) = post(office).claim(NOW, 10, LEASE)
    post(office).retry(first["id"], NOW + 5 * MINUTE, "451 try later")
    assert post(office).claim(NOW + 4 * MINUTE, 10, LEASE) == []
    (again,) = post(office).claim(NOW + 5 * MINUTE, 10, LEASE)
    assert (again["repeat"], again["tries"]) == (0, 2)


def test_a_digest_whose_lease_lapsed_stays_the_same_digest(office: Database) -> None:
    put(office, NOW, notice("a"))
    send(office, NOW)
    put(office, NOW + MINUTE, notice("b"), notice("c"))
    (first,) = post(office).claim(NOW + 20 * MINUTE, 10, LEASE)
    (again,) = post(office).claim(NOW + 21 * MINUTE, 10, LEASE)
    assert (again["kind"], again["payload"], again["repeat"]) == ("digest", first["payload"], 1)


def test_what_cannot_be_delivered_is_not_tried_again(office: Database) -> None:
    put(office, NOW, notice("a", person_id="p-gao"))
    (one,) = post(office).claim(NOW, 10, LEASE)
    assert one["address"] is None
    post(office).undeliverable(one["id"], "no address")
    assert post(office).claim(NOW + 600 * MINUTE, 10, LEASE) == []
    assert states(office) == {"a": "undeliverable"}


def test_a_notice_is_addressed_and_answers_go_to_the_coordinator(office: Database) -> None:
    put(office, NOW, notice("a"))
    (one,) = send(office, NOW)
    assert (one["address"], one["reply_to"]) == ("p-lu@shili.example", "p-zhou@shili.example")


def test_a_disabled_person_is_not_written_to(office: Database) -> None:
    with office.writer() as connection:
        connection.execute(update(table(Person)).where(table(Person).c.id == "p-lu").values(disabled_at=NOW))
    put(office, NOW, notice("a"))
    assert [one["address"] for one in send(office, NOW)] == [None]


def test_the_oldest_leave_first_and_no_more_than_asked_for(office: Database) -> None:
    for number in (3, 1, 2):
        put(office, NOW + number * MINUTE, notice(f"n-{number}", kind="returned"))
    claimed = post(office).claim(NOW + 5 * MINUTE, 2, LEASE)
    assert [one["payload"]["key"] for one in claimed] == ["n-1", "n-2"]


def test_several_deliverers_send_every_notice_once(shared: Database) -> None:
    put(shared, NOW, *(notice(f"n-{number}", kind="returned") for number in range(60)))
    sent: list[str] = []

    def deliver() -> None:
        mine = SqlOutbox(shared, "k1", dict)
        for _ in range(60):
            for one in mine.claim(NOW, 4, LEASE):
                mine.accepted(one["id"], NOW)
                sent.append(one["payload"]["key"])

    threads = [threading.Thread(target=deliver) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert Counter(sent) == {f"n-{number}": 1 for number in range(60)}


def test_what_waits_about_a_closed_step_is_not_sent(office: Database) -> None:
    put(office, NOW, notice("a"), notice("b"), notice("c", step_id="stp-2", person_id="p-gao"))
    with office.writer() as connection:
        cancel(connection, change_id="chg-1", step_ids=["stp-1"])
    assert states(office) == {"a": "cancelled", "b": "cancelled", "c": "queued"}
    assert [one["payload"]["key"] for one in send(office, NOW + 60 * MINUTE)] == ["c"]


def test_a_held_notice_of_a_closed_step_is_left_out_of_the_digest(office: Database) -> None:
    put(office, NOW, notice("a"))
    send(office, NOW)
    put(office, NOW + MINUTE, notice("b"), notice("c", step_id="stp-2"), notice("d", step_id="stp-3"))
    with office.writer() as connection:
        cancel(connection, change_id="chg-1", step_ids=["stp-2"])
    (one,) = send(office, NOW + 20 * MINUTE)
    assert one["payload"]["n"] == 2
    assert states(office)["c"] == "cancelled"


def test_closing_a_step_leaves_what_was_sent(office: Database) -> None:
    put(office, NOW, notice("a"))
    send(office, NOW)
    with office.writer() as connection:
        cancel(connection, change_id="chg-1", step_ids=["stp-1"])
    assert states(office) == {"a": "sent"}


def test_all_notices_to_a_person_about_a_change_carry_one_link(office: Database) -> None:
    put(office, NOW, notice("a", kind="returned"), notice("b", kind="returned"))
    first = {one["link_id"] for one in send(office, NOW)}
    put(office, NOW + 60 * MINUTE, notice("c"))
    later = {one["link_id"] for one in send(office, NOW + 60 * MINUTE)}
    assert len(first) == 1 and later == first


def test_another_person_or_change_has_another_link(office: Database) -> None:
    put(office, NOW, notice("a"), notice("b", person_id="p-gao"), notice("c", change_id="chg-2"))
    assert len({one["link_id"] for one in send(office, NOW)}) == 3


def link_at(db: Database, at: datetime) -> dict[str, Any]:
    with db.writer() as connection:
        return live_link(connection, person_id="p-lu", change_id="chg-1", key_id="k1", now=at)


def test_a_live_link_is_given_again_and_lives_ninety_days(office: Database) -> None:
    first = link_at(office, NOW)
    assert LINK_DAYS == 90
    assert link_at(office, NOW + timedelta(days=89))["id"] == first["id"]


@pytest.mark.parametrize(("days", "same"), [(89, True), (91, False)])
def test_a_link_lives_on_for_ninety_days_after_the_last_notice_with_it(office: Database, days: int, same: bool) -> None:
    put(office, NOW, notice("a"))
    (first,) = send(office, NOW)
    late = NOW + timedelta(days=80)
    put(office, late, notice("b", kind="returned"))
    (second,) = send(office, late)
    assert second["link_id"] == first["link_id"]
    later = late + timedelta(days=days)
    put(office, later, notice("c", kind="returned"))
    (third,) = send(office, later)
    assert (third["link_id"] == first["link_id"]) is same


def test_after_a_dead_link_there_is_a_new_one_and_the_old_one_stays_dead(office: Database) -> None:
    first = link_at(office, NOW)
    second = link_at(office, NOW + timedelta(days=90))
    assert second["id"] != first["id"] and second["nonce"] != first["nonce"]
    with office.reader() as connection:
        living = rows(connection, select(LINK).where(LINK.c.revoked_at.is_(None)))
        assert [row["id"] for row in living] == [second["id"]]


def test_a_revoked_link_is_never_given_again(office: Database) -> None:
    first = link_at(office, NOW)
    with office.writer() as connection:
        connection.execute(update(LINK).where(LINK.c.id == first["id"]).values(revoked_at=NOW))
    assert link_at(office, NOW + MINUTE)["id"] != first["id"]


def test_a_notice_without_a_change_has_no_desk_link(office: Database) -> None:
    put(office, NOW, notice("a", change_id=None, step_id=None, kind="code"))
    (one,) = send(office, NOW)
    assert (one["link_id"], one["reply_to"]) == (None, None)


def test_a_link_is_found_by_its_id(office: Database) -> None:
    first = link_at(office, NOW)
    with office.reader() as connection:
        assert outbox.link_row(connection, first["id"]) == first
        assert outbox.link_row(connection, "lnk-lost") is None


def test_what_leaves_at_once_is_handed_over_as_being_sent_with_its_link(office: Database) -> None:
    hand_over = HandOver("k1", LEASE, 2, dict)
    told = [notice(key, kind="returned") for key in ("a", "b", "c")]
    with office.writer() as connection:
        queued = enqueue(connection, notices=told, now=NOW, collect_minutes=20, hand_over=hand_over)
    assert (queued.count, len(queued.handed)) == (3, 2)
    first = queued.handed[0]
    assert (first["address"], first["reply_to"], first["tries"]) == ("p-lu@shili.example", "p-zhou@shili.example", 1)
    assert first["link"]["id"] == first["link_id"]
    assert [one["id"] for one in send(office, NOW)] not in ([], [one["id"] for one in queued.handed])
    again = send(office, NOW + timedelta(seconds=LEASE))
    assert {one["id"] for one in again} >= {one["id"] for one in queued.handed}
    assert {one["repeat"] for one in again if one["id"] == first["id"]} == {1}


def test_a_notice_held_back_for_the_collecting_time_is_not_handed_over(office: Database) -> None:
    put(office, NOW, notice("a"))
    with office.writer() as connection:
        queued = enqueue(
            connection,
            notices=[notice("b")],
            now=NOW + MINUTE,
            collect_minutes=20,
            hand_over=HandOver("k1", LEASE, 8, dict),
        )
    assert (queued.count, list(queued.handed)) == (1, [])


def test_a_disabled_person_is_handed_over_without_an_address(office: Database) -> None:
    with office.writer() as connection:
        connection.execute(update(table(Person)).where(table(Person).c.id == "p-lu").values(disabled_at=NOW))
        queued = enqueue(
            connection, notices=[notice("a")], now=NOW, collect_minutes=20, hand_over=HandOver("k1", LEASE, 8, dict)
        )
    assert queued.handed[0]["address"] is None
