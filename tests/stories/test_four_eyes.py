"""Nobody judges what he drafted, whichever door he tries: each door and each way in, one line of the table."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, update

from models.actions.desk import decide
from models.actions.steering import reassign
from models.domain.errors import Forbidden
from models.domain.four_eyes import FREE, barred
from models.domain.review import VERDICTS
from models.store.change import ASSIGNMENT, DECISION, STEP, rows
from models.store.database import Database
from models.store.sql import table
from models.tables import Contact, Person, Post, Substitute, metadata, new_id
from tests.factories import LAW, NEW, OLD, small_office
from tests.stories.driver import Story

LAW_CHANGE = {"title": "条例2026修订", "law": LAW, "from_version": OLD.isoformat(), "to_version": NEW.isoformat()}
PEOPLE = st.sets(st.sampled_from("abcd"))


@given(st.dictionaries(st.sampled_from(["x", "y"]), PEOPLE), st.sampled_from([*VERDICTS]), PEOPLE)
def test_the_rule_bars_exactly_who_wrote_and_never_a_draft(
    wrote: dict[str, set[str]], stage: str, people: set[str]
) -> None:
    found = barred(stage, wrote, None, *people)
    assert found == ([] if stage in FREE else sorted(key for key, who in wrote.items() if who & people))


@pytest.fixture
def story(db: Database) -> Story:
    """The drafter of the market department also holds every reviewer's and approver's post."""
    made = Story(db)
    metadata.drop_all(db.engine)
    small_office(db, made.now)
    for role, department in (("legality_reviewer", "d-law"), ("list_reviewer", "d-list"), ("coordinator", "d-service"),
                             ("approver", "d-market")):  # fmt: skip
        post(made, "p-he", role, department)
    return made


def post(story: Story, person: str, role: str, department: str, superior: str | None = None) -> None:
    with story.db.writer() as connection:
        connection.execute(
            insert(table(Post)).values(
                id=new_id("post"), person_id=person, department_id=department, role=role, from_on=date(2020, 1, 1),
                level="2", region="990000", superior_person_id=superior,
            )
        )  # fmt: skip


def share(story: Story, *people: str) -> None:
    """One mailbox for these people: two logins of one person look like this."""
    with story.db.writer() as connection:
        here = table(Contact)
        connection.execute(
            update(here).where(here.c.person_id.in_(people)).values(address="one@shili.example", shared=True)
        )


def to_review(story: Story) -> None:
    """A law change whose market sheet, drafted by 何晓岚, lies at legality ∥ list."""
    story.start("law_change", LAW_CHANGE)
    story.says("p-zhou", "confirm")
    drafts(story)
    story.says("p-zhou", "pass", only="form")


def drafts(story: Story) -> None:
    """何晓岚 submits his draft, signed in (his mailbox may be shared)."""
    sends(story, "p-he", *[one for one in story.open_for("p-he") if one["stage"] == "draft"], verdict="submit")
    story.wake()


def asked(story: Story, stage: str) -> set[str]:
    with story.db.reader() as connection:
        query = select(ASSIGNMENT.c.person_id).join(STEP, STEP.c.id == ASSIGNMENT.c.step_id)
        return set(connection.execute(query.where(STEP.c.stage == stage, STEP.c.state == "open")).scalars())


def open_step(story: Story, stage: str) -> str:
    with story.db.reader() as connection:
        return str(connection.execute(select(STEP.c.id).where(STEP.c.stage == stage, STEP.c.state == "open")).scalar())


def force(story: Story, stage: str, person: str, acting_for: str | None = None) -> dict[str, Any]:
    """Put an assignment before somebody as no verb would: what is left is the last gate."""
    with story.db.writer() as connection:
        connection.execute(
            insert(ASSIGNMENT).values(
                id=new_id("asg"), change_id=story.change_id, step_id=open_step(story, stage), seat=stage, person_id=person,
                acting_for_id=acting_for, state="open", opened_at=story.now,
            )
        )  # fmt: skip
    return next(one for one in story.open_for(person) if one["stage"] == stage)


def sends(story: Story, person: str, *taken: dict[str, Any], via: str = "link", verdict: str = "pass") -> None:
    body = {
        "request_id": new_id("q"),
        "decisions": [{"assignment": a["id"], "revision": a["revision"], "verdict": verdict} for a in taken],
    }
    decide(story.db, person_id=person, change_id=story.change_id, body=body, via=via, proof="session", now=story.now)


def by_post(story: Story) -> None:
    """He holds the reviewer's post: he is not asked."""
    to_review(story)
    assert asked(story, "legality") == {"p-lu", "p-ding"} and asked(story, "list") == {"p-gao"}
    sends(story, "p-he", force(story, "legality", "p-he"))


def by_page_and_interface(story: Story) -> None:
    """Whatever way in the decision names."""
    to_review(story)
    mine = force(story, "list", "p-he")
    for via in ("page", "api", "cli", "portal", "entered"):
        with pytest.raises(Forbidden):
            sends(story, "p-he", mine, via=via)
    sends(story, "p-he", mine)


def in_bulk(story: Story) -> None:
    """Among others that he may decide: nothing of the whole is recorded."""
    story.start("law_change", LAW_CHANGE)
    story.says("p-zhou", "confirm")
    story.says("p-he", "submit", only="draft")
    story.says("p-wen", "submit", only="draft")
    story.says("p-zhou", "pass", only="form")
    mine = [one for one in story.open_for("p-he") if one["stage"] == "legality"]
    assert {one["department"] for one in mine} == {"市商务局"}, "another department's draft he may review"
    with story.db.reader() as connection:
        his = select(ASSIGNMENT.c.id).where(ASSIGNMENT.c.step_id == STEP.c.id, ASSIGNMENT.c.person_id == "p-he")
        query = select(STEP).where(STEP.c.stage == "legality", STEP.c.state == "open", ~his.exists())
        step = rows(connection, query)[0]
    with story.db.writer() as connection:
        connection.execute(
            insert(ASSIGNMENT).values(
                id="asg-forced", change_id=story.change_id, step_id=step["id"], seat="legality", person_id="p-he",
                state="open", opened_at=story.now,
            )
        )  # fmt: skip
    sends(story, "p-he", *[one for one in story.open_for("p-he") if one["stage"] == "legality"])


def as_substitute(story: Story) -> None:
    """He stands in for the reviewer; or a reviewer stands in for him."""
    stands_in(story, "p-he", "p-gao")
    to_review(story)
    assert "p-he" not in asked(story, "list") | asked(story, "legality")
    with pytest.raises(Forbidden):
        sends(story, "p-xu", force(story, "list", "p-xu", acting_for="p-he"))
    sends(story, "p-he", force(story, "list", "p-he", acting_for="p-gao"))


def stands_in(story: Story, by: str, for_whom: str) -> None:
    with story.db.writer() as connection:
        connection.execute(
            insert(table(Substitute)).values(id="sub-1", person_id=for_whom, by_person_id=by, from_on=date(2021, 1, 1))
        )


def for_whom_it_was_drafted(story: Story) -> None:
    """Somebody drafted standing in for him: it was drafted in his name."""
    stands_in(story, "p-xu", "p-he")
    story.start("law_change", LAW_CHANGE)
    story.says("p-zhou", "confirm")
    story.says("p-xu", "submit", only="draft")
    with story.db.writer() as connection:
        connection.execute(delete(table(Substitute)))
    story.says("p-zhou", "pass", only="form")
    assert asked(story, "legality") == {"p-lu", "p-ding"} and asked(story, "list") == {"p-gao"}
    sends(story, "p-he", force(story, "list", "p-he"))


def with_a_second_login(story: Story) -> None:
    """Another entry in the register with the same mailbox is the same person."""
    with story.db.writer() as connection:
        connection.execute(insert(table(Person)).values(id="p-he-2", name="何晓岚"))
        connection.execute(
            insert(table(Contact)).values(id="c-2", person_id="p-he-2", kind="mail", address="x", shared=True)
        )
    post(story, "p-he-2", "legality_reviewer", "d-law")
    share(story, "p-he", "p-he-2")
    to_review(story)
    assert asked(story, "legality") == {"p-lu", "p-ding"}
    sends(story, "p-he-2", force(story, "legality", "p-he-2"))


def as_administrator(story: Story) -> None:
    """The coordinator's post opens no door either, at the form check and at the approval."""
    story.start("law_change", LAW_CHANGE)
    story.says("p-zhou", "confirm")
    story.says("p-he", "submit", only="draft")
    assert asked(story, "form") == {"p-zhou"}
    sends(story, "p-he", force(story, "form", "p-he"))


def by_reassignment(story: Story) -> None:
    """The coordinator gives it to him, or to somebody who shares his mailbox."""
    to_review(story)
    share(story, "p-he", "p-bian")
    for person in ("p-he", "p-bian"):
        with pytest.raises(Forbidden) as refused:
            reassign(
                story.db, step_id=open_step(story, "legality"), to=person, by="p-zhou", reason="岗位调整", now=story.now
            )
        assert refused.value.code == "four_eyes"
    sends(story, "p-bian", force(story, "legality", "p-bian"))


def as_superior(story: Story) -> None:
    """Nobody else holds the seat and he is the superior: it stays without an owner."""
    with story.db.writer() as connection:
        here = table(Post)
        connection.execute(delete(here).where(here.c.role == "list_reviewer"))
    post(story, "p-xu", "list_reviewer", "d-list", superior="p-he")
    share(story, "p-he", "p-xu")
    to_review(story)
    assert asked(story, "list") == set()
    sends(story, "p-he", force(story, "list", "p-he"))


DOORS: list[Callable[[Story], None]] = [
    by_post, by_page_and_interface, in_bulk, as_substitute, for_whom_it_was_drafted, with_a_second_login,
    as_administrator, by_reassignment, as_superior,
]  # fmt: skip


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_who_drafted_does_not_judge_by_any_door(story: Story, door: Callable[[Story], None]) -> None:
    with pytest.raises(Forbidden) as refused:
        door(story)
    assert refused.value.code == "four_eyes"
    with story.db.reader() as connection:
        judged = rows(
            connection,
            select(DECISION.c.person_id, STEP.c.stage).join(STEP, STEP.c.id == DECISION.c.step_id).where(
                DECISION.c.person_id.in_(["p-he", "p-he-2", "p-bian", "p-xu"]), STEP.c.stage.not_in(sorted(FREE))
            ),
        )  # fmt: skip
    assert judged == []
