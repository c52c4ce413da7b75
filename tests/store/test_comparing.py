"""Two texts of a law are compared once, and again when one of them is replaced."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from models.actions import comparing
from models.actions.comparing import compared, prepare
from models.actions.impact import check, impact
from models.actions.load import load
from models.domain.comparison import Comparison, compare
from models.domain.errors import Unknown, Unusable
from models.domain.law_text import Article, LawText
from models.store import laws
from models.store.database import Database
from models.store.migrate import migrate
from tests.factories import dated_law

NOW = datetime(2026, 11, 27, 2, 0, tzinfo=UTC)
TITLE, OLD, NEW = "示例市餐饮服务管理条例", date(2019, 3, 28), date(2026, 9, 25)
TEXTS = {
    OLD: "餐饮服务提供者应当自变更之日起二十日内向原登记部门办理变更手续。",
    NEW: "餐饮服务提供者应当自变更之日起十五日内向原登记部门办理变更手续。",
}


def text(day: date, words: str) -> LawText:
    return dated_law(TITLE, day, [Article(no=1, text=words, division=("第一章 总则",))])


@pytest.fixture
def library(db: Database) -> Database:
    """Two texts of one law."""
    migrate(db)
    with db.writer() as connection:
        for day, words in TEXTS.items():
            laws.save_law(connection, text(day, words))
    return db


def law_id(db: Database) -> str:
    with db.reader() as connection:
        row = laws.law_by_title(connection, TITLE)
    assert row is not None
    return row.id


def read(db: Database) -> Comparison:
    with db.reader() as connection:
        return compared(connection, law_id=law_id(db), old=OLD, new=NEW)


def count(db: Database) -> int:
    with db.reader() as connection:
        return int(connection.execute(select(func.count()).select_from(laws.COMPARISON)).scalar_one())


def ask(db: Database) -> None:
    impact(db, law=TITLE, from_edition=OLD, to_edition=NEW, now=NOW)


def kind(found: Comparison) -> str | None:
    told = found.kind(found.matches[0])
    return None if told is None else told.kind


def test_what_was_compared_once_is_read_and_not_compared_again(
    library: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(library)
    assert count(library) == 1
    first = read(library)

    def never(old: object, new: object) -> Comparison:
        raise AssertionError("compared again")

    monkeypatch.setattr("models.domain.comparison.compare", never)
    ask(library)
    assert read(library) == first and kind(first) == "time_limit"


def test_a_text_that_is_replaced_is_compared_anew(library: Database) -> None:
    ask(library)
    with library.writer() as connection:
        assert laws.save_law(connection, text(NEW, TEXTS[OLD])) == "changed"
    assert count(library) == 0
    ask(library)
    assert count(library) == 1 and read(library).matches[0].change == "unchanged"


def test_what_other_rules_worked_out_counts_for_nothing(library: Database) -> None:
    ask(library)
    with library.writer() as connection:
        connection.execute(update(laws.COMPARISON).values(mark="of other rules", rows=[]))
    assert kind(read(library)) == "time_limit"
    ask(library)
    assert count(library) == 1
    with library.reader() as connection:
        assert connection.execute(select(laws.COMPARISON.c.rows)).scalar_one() != []


def test_where_nothing_can_be_written_the_answer_is_the_same(
    library: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(verb: object) -> None:
        raise Unusable("disk_full", "磁盘空间不足。")

    monkeypatch.setattr(library, "write", full)
    ask(library)
    assert count(library) == 0 and kind(read(library)) == "time_limit"


def test_a_text_replaced_while_it_was_compared_is_not_kept(library: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def compare_late(old: list[Article], new: list[Article]) -> Comparison:
        with library.writer() as connection:
            laws.save_law(connection, text(NEW, TEXTS[OLD]))
        return compare(old, new)

    monkeypatch.setattr("models.domain.comparison.compare", compare_late)
    prepare(library, law_id=law_id(library), old=OLD, new=NEW)
    assert count(library) == 0


def test_the_divisions_of_an_article_are_read_as_they_were_stored(library: Database) -> None:
    with library.reader() as connection:
        assert laws.articles(connection, law_id(library), OLD)[0].division == ("第一章 总则",)


def test_the_mark_of_the_rules_names_files_that_are_there() -> None:
    folder = Path(comparing.__file__).parent.parent / "domain"
    assert all((folder / f"{name}.py").is_file() for name in comparing._RULES)


def test_a_basis_under_a_former_title_is_found_and_marked(db: Database, tmp_path: Path) -> None:
    migrate(db)
    decided = "2026年9月25日第二届代表大会第九次会议《关于修改〈示例市饮食服务管理条例〉的决定》修正"
    with db.writer() as connection:
        for day, words in TEXTS.items():
            laws.save_law(connection, text(day, words).model_copy(update={"header": (decided,) if day == NEW else ()}))
    items = tmp_path / "items.csv"
    items.write_text(
        "name,type,code,department,依据\n变更登记,01,990100000001,D,《示例市饮食服务管理条例》第一条\n", "utf-8"
    )
    load(db, paths=[items], now=NOW)
    found = impact(db, law=TITLE, from_edition=OLD, to_edition=NEW, now=NOW)
    [row] = found.uncertain
    assert not found.rows and "现名《示例市餐饮服务管理条例》" in row.reason and row.outcome == "check"
    with pytest.raises(Unknown, match="该法现名《示例市餐饮服务管理条例》"):
        impact(db, law="示例市饮食服务管理条例", from_edition=OLD, to_edition=NEW, now=NOW)
    assert [problem.problem for problem in check(db, now=NOW)] == ["superseded"]
