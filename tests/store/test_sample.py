"""The sample office: whole, the same every time, and fit for a demonstration."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import select

from models.actions.opening import Room
from models.actions.sample import (
    COORDINATOR_ADDRESS,
    DEMO_FROM,
    DEMO_LAW,
    DEMO_TO,
    EFFECTIVE,
    LAW_ARTICLES,
    SampleSummary,
    make_sample,
)
from models.actions.starting import Preview, preview
from models.domain.codes import code_problems, parse_code, uscc_ok
from models.domain.content import ItemContent, content_hash
from models.domain.errors import BadInput, Conflict
from models.domain.law_text import Article
from models.intake.office import address_ok
from models.reference.procedures import shipped
from models.store import catalogue, laws, office
from models.store.database import Database
from models.store.publication import DOCUMENT, PUBLICATION
from models.tables import metadata

NOW = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
TODAY = NOW.date()


def sample(db: Database, items: int = 300, **options: Any) -> SampleSummary:
    metadata.create_all(db.engine)
    return make_sample(db, items=items, now=NOW, **options)


@pytest.fixture(scope="module")
def full() -> Iterator[Database]:
    """The office of a first start, which these tests only read; both databases get the same contents."""
    db = Database("sqlite://")
    sample(db, items=3000)
    yield db
    db.close()


def versions(db: Database) -> list[Any]:
    with db.reader() as connection:
        return list(connection.execute(select(catalogue.VERSION).order_by(catalogue.VERSION.c.code)))


def law_change(db: Database, law: str, old: str, new: str | None) -> Preview:
    params = {"title": f"《{law}》修订", "law": law, "from_version": old, "to_version": new}
    return preview(db, trigger="law_change", params=params, now=NOW)


def hashes(items: int = 120, seed: int = 2026, now: datetime = NOW) -> dict[str, str]:
    db = Database("sqlite://")
    metadata.create_all(db.engine)
    make_sample(db, items=items, seed=seed, now=now)
    found = {row.code: row.hash for row in versions(db)}
    db.close()
    return found


def test_the_same_seed_gives_the_same_contents_on_any_day_and_another_seed_others() -> None:
    first = hashes()
    assert first == hashes(now=datetime(2027, 3, 1, tzinfo=UTC))
    assert first != hashes(seed=7)


def test_both_databases_get_the_same_contents(db: Database) -> None:
    sample(db, items=120)
    assert {row.code: row.hash for row in versions(db)} == hashes()


def test_the_summary_counts_what_was_written(db: Database) -> None:
    made = sample(db)
    assert (made.place, made.departments, made.people, made.items) == ("示例市", 30, 80, 300)
    with db.reader() as connection:
        assert office.is_sample(connection) and office.get_meta(connection, "place") == "示例市"
        assert len(office.departments(connection)) == made.departments
        assert len(office.people(connection)) == made.people
        assert catalogue.count_items(connection) == made.items
        assert laws.count_editions(connection) == made.law_versions
        assert len(laws.laws(connection)) == made.laws >= 12
        bases = connection.execute(select(catalogue.BASIS)).all()
    assert len(bases) == made.bases
    assert made.faults == int((300 - 9) * 0.02)


def test_every_seat_of_every_shipped_procedure_has_a_person_for_every_department_with_items(db: Database) -> None:
    sample(db, items=600, departments=50)
    with db.reader() as connection:
        case = SimpleNamespace(now=NOW)
        room = Room(connection, cast(Any, case), cast(Any, SimpleNamespace(people={})))
        departments = {row.department_id for row in versions(db)}
        assert len(departments) > 40
        for department in departments:
            drafters = {holder.person_id for holder in room.holders("drafter", department_id=department)}
            for procedure in shipped().values():
                for rule in procedure.stages:
                    if rule.role == "engine":
                        continue
                    for seat, holders in room.seats(rule, {"department_id": department}):
                        people = {holder.person_id for holder in holders}
                        if rule.code != "draft":
                            people -= drafters
                        assert people, f"{department} {procedure.key} {rule.code} {seat}"
        assert room.holders("connection_owner")


def test_overdue_notices_find_a_superior_up_to_the_head_of_the_government(db: Database) -> None:
    sample(db)
    with db.reader() as connection:
        posts = connection.execute(select(office.POST)).all()
        for post in posts:
            superior = office.superior_of(connection, post.person_id, TODAY)
            assert (superior is None) == (post.role == "department_head")
            assert superior != post.person_id


def test_there_are_two_coordinators_and_changes_go_to_the_first(db: Database) -> None:
    sample(db)
    with db.reader() as connection:
        holders = office.coordinators(connection, TODAY)
        assert len(holders) == 2
        assert office.person(connection, COORDINATOR_ADDRESS).id == holders[0].person_id
        assert holders[0].name == "周敏"


def test_one_person_is_away_and_another_stands_in_outside_the_demonstration(db: Database) -> None:
    sample(db)
    with db.reader() as connection:
        away = list(office.substitutes_on(connection, TODAY))
        assert len(away) == 1
        assert office.person(connection, away[0]).department_id not in {"d-market", "d-trade", "d-urban"}


def test_codes_names_and_addresses_are_unique_and_of_the_right_shape(full: Database) -> None:
    found = versions(full)
    assert len({row.code for row in found}) == len({row.name for row in found}) == 3000
    for row in found:
        assert not code_problems(row.code)
        assert row.code.startswith("99") and parse_code(row.code).type_segment == row.type
        assert content_hash(ItemContent.model_validate(row.content)) == row.hash
    with full.reader() as connection:
        people = office.people(connection)
        departments = connection.execute(select(office.DEPARTMENT)).all()
    assert len({p["email"] for p in people}) == len({p["name"] for p in people}) == len(people)
    assert all(p["email"].isascii() and address_ok(p["email"]) for p in people)
    assert all(p["email"].endswith("@shili.example") for p in people)
    for values in zip(*((d.full, d.short, d.uscc) for d in departments), strict=True):
        assert len(set(values)) == len(departments)
    assert all(uscc_ok(d.uscc) for d in departments)


def test_the_law_of_the_demonstration_concerns_nine_items_of_three_departments(db: Database) -> None:
    sample(db)
    found = law_change(db, DEMO_LAW, DEMO_FROM.isoformat(), DEMO_TO.isoformat())
    assert (found.count, found.departments, found.uncertain) == (9, 3, 0)
    assert Counter(outcome for row in found.rows for outcome in row["outcomes"]) == {"change_basis": 8, "cancel": 1}
    with db.reader() as connection:
        law = laws.law_by_title(connection, DEMO_LAW)
        version = None if law is None else laws.law_version(connection, law.id, DEMO_TO)
    assert version is not None and version.effective_on == EFFECTIVE


def test_any_other_law_in_two_texts_concerns_some_items_of_several_departments(full: Database) -> None:
    with full.reader() as connection:
        library = laws.laws(connection)
    single = [law["title"] for law in library if len(law["editions"]) == 1]
    assert single == ["示例市政务服务办理规定"]
    for law in library:
        if law["title"] in {DEMO_LAW, *single}:
            continue
        found = law_change(full, law["title"], *law["editions"])
        assert 8 <= found.count <= 60, law["title"]
        assert found.departments >= 4, law["title"]


def test_a_new_text_moves_and_amends_a_few_articles_and_leaves_most(full: Database) -> None:
    with full.reader() as connection:
        for law in laws.laws(connection):
            days = [datetime.fromisoformat(day).date() for day in law["editions"]]
            texts = [laws.articles(connection, law["id"], day) for day in days]
            for articles in texts:
                assert LAW_ARTICLES[0] <= len(articles) <= LAW_ARTICLES[1]
                assert [article.no for article in articles] == list(range(1, len(articles) + 1))
            if len(texts) == 2 and law["title"] != DEMO_LAW:
                old, new = (_texts(articles) for articles in texts)
                assert len(old & new) > len(old) / 2
                assert old - new and new - old


def _texts(articles: list[Article]) -> set[str]:
    return {article.text for article in articles}


def test_quoted_articles_are_those_of_the_old_text_but_for_the_faults(db: Database) -> None:
    made = sample(db)
    with db.reader() as connection:
        library = {
            (law["title"], law["editions"][0]): {
                a.no: a.text
                for a in laws.articles(connection, law["id"], datetime.fromisoformat(law["editions"][0]).date())
            }
            for law in laws.laws(connection)
        }
    wrong = 0
    for row in versions(db):
        content = ItemContent.model_validate(row.content)
        assert len(content.bases) <= 3
        cited = [basis for basis in content.bases if basis.article is not None]
        wrong += not content.bases or any(
            library[basis.law, str(basis.edition)][cast(int, basis.article)] != basis.quoted for basis in cited
        )
    assert 0 < wrong <= made.faults


def test_the_catalogue_is_one_publication_with_its_document_some_months_old(db: Database) -> None:
    made = sample(db)
    with db.reader() as connection:
        publication = connection.execute(select(PUBLICATION)).one()
        document = connection.execute(select(DOCUMENT)).one()
        members = catalogue.list_members(connection, "行政许可事项清单")
        snapshot = connection.execute(select(catalogue.SNAPSHOT)).one()
    assert (publication.title, publication.number) == ("初始目录", made.publication)
    assert publication.document_id == document.id and len(document.sha256) == 64
    assert 90 < (NOW - publication.effective_at).days < 200
    assert snapshot.total == len(members) > 0
    assert {row.publication_id for row in versions(db)} == {publication.id}


def test_a_database_that_holds_anything_is_refused_and_stays_as_it_was(db: Database) -> None:
    sample(db, items=60)
    before = versions(db)
    with pytest.raises(Conflict) as caught:
        make_sample(db, items=60, seed=7, now=NOW)
    assert caught.value.code == "home_not_empty"
    assert versions(db) == before


@pytest.mark.parametrize("options", [{"departments": 6}, {"items": 8}])
def test_less_than_the_demonstration_needs_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(BadInput) as caught:
        make_sample(Database("sqlite://"), **{"items": 60, **options}, now=NOW)
    assert caught.value.code == "field_invalid"


@pytest.mark.parametrize(("items", "departments"), [(9, 7), (700, 7), (400, 60)])
def test_small_and_large_offices_have_exactly_the_size_asked_for(items: int, departments: int) -> None:
    db = Database("sqlite://")
    made = sample(db, items=items, departments=departments, people=10)
    assert (made.items, made.departments) == (items, departments)
    found = law_change(db, DEMO_LAW, DEMO_FROM.isoformat(), DEMO_TO.isoformat())
    assert (found.count, found.departments) == (9, 3)
    db.close()


def test_three_hundred_items_are_made_quickly(db: Database) -> None:
    metadata.create_all(db.engine)
    begun = time.perf_counter()
    make_sample(db, items=300, now=NOW)
    assert time.perf_counter() - begun < 3
