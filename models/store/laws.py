"""The law library: laws by canonical title, their dated texts, their articles."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select

from models.domain.law_text import Article, LawText, canonical_title, shelf
from models.store.sql import among, insert_all, table
from models.store.turns import take_turn
from models.tables import Article as ArticleTable
from models.tables import Law, LawComparison, LawVersion, new_id

LAW = table(Law)
LAW_VERSION = table(LawVersion)
ARTICLE = table(ArticleTable)
COMPARISON = table(LawComparison)


@dataclass(frozen=True)
class LawRow:
    """A law of the library."""

    id: str
    canonical: str
    title: str


@dataclass(frozen=True)
class LawVersionRow:
    """One dated text of a law; `certainty` says whether `effective_on` can be relied on."""

    law_id: str
    edition_on: date
    promulgated_on: date | None
    effective_on: date | None
    ended_on: date | None
    certainty: str
    header: str
    hash: str


def law_by_title(connection: Connection, title: str) -> LawRow | None:
    """A law by any form of its title; None where the library does not have it."""
    row = connection.execute(
        select(LAW.c.id, LAW.c.canonical, LAW.c.title).where(LAW.c.canonical == canonical_title(title))
    ).first()
    return None if row is None else LawRow(*row)


def editions(connection: Connection, law_id: str) -> list[date]:
    """The dates of a law's texts, oldest first."""
    query = select(LAW_VERSION.c.edition_on).where(LAW_VERSION.c.law_id == law_id).order_by(LAW_VERSION.c.edition_on)
    return list(connection.execute(query).scalars())


def law_version(connection: Connection, law_id: str, edition: date) -> LawVersionRow | None:
    """One dated text of a law without its articles."""
    v = LAW_VERSION.c
    row = connection.execute(
        select(
            v.law_id, v.edition_on, v.promulgated_on, v.effective_on, v.ended_on, v.certainty, v.header, v.hash
        ).where(and_(v.law_id == law_id, v.edition_on == edition))
    ).first()
    return None if row is None else LawVersionRow(*row)


def articles(connection: Connection, law_id: str, edition: date) -> list[Article]:
    """The articles of a dated text in the order of their numbers; empty where there is no such text."""
    a = ARTICLE.c
    here = and_(a.law_id == law_id, a.edition_on == edition)
    query = select(a.no, a.sub, a.text, a.division).where(here).order_by(a.no, a.sub)
    return [
        Article(no=no, sub=sub, text=text, division=tuple(division.split("\n")) if division else ())
        for no, sub, text, division in connection.execute(query)
    ]


def named_after(connection: Connection, canonical: str) -> list[LawRow]:
    """Laws whose titles hold another's: its implementing rules (保守国家秘密法实施条例)."""
    query = select(LAW.c.id, LAW.c.canonical, LAW.c.title).where(
        and_(LAW.c.canonical.contains(canonical, autoescape=True), LAW.c.canonical != canonical)
    )
    return [LawRow(*row) for row in connection.execute(query.order_by(LAW.c.canonical))]


@dataclass(frozen=True)
class TextOf:
    """A dated text, the law it is of, and since when it is in force."""

    law_id: str
    title: str
    edition_on: date
    effective_on: date | None


def dated_texts(connection: Connection, canonicals: Iterable[str]) -> dict[str, list[TextOf]]:
    """The dated texts of some laws by canonical title, oldest first; a law the library does not have is left out."""
    query = (
        select(LAW.c.canonical, LAW.c.id, LAW.c.title, LAW_VERSION.c.edition_on, LAW_VERSION.c.effective_on)
        .join(LAW_VERSION, LAW_VERSION.c.law_id == LAW.c.id)
        .where(among(LAW.c.canonical, sorted(set(canonicals))))
        .order_by(LAW.c.canonical, LAW_VERSION.c.edition_on)
    )
    found: dict[str, list[TextOf]] = {}
    for canonical, *text in connection.execute(query):
        found.setdefault(canonical, []).append(TextOf(*text))
    return found


def which_stand(connection: Connection, asked: Iterable[tuple[str, date, int, int]]) -> set[tuple[str, date, int, int]]:
    """Of articles by law, text, number and sub-number those that the library has."""
    a = ARTICLE.c
    found: set[tuple[str, date, int, int]] = set()
    by_text: dict[tuple[str, date], set[int]] = {}
    for law_id, edition, no, _ in asked:
        by_text.setdefault((law_id, edition), set()).add(no)
    for (law_id, edition), numbers in by_text.items():
        here = and_(a.law_id == law_id, a.edition_on == edition, a.no.in_(sorted(numbers)))
        found.update((law_id, edition, no, sub) for no, sub in connection.execute(select(a.no, a.sub).where(here)))
    return found


@dataclass(frozen=True)
class TextRow:
    """A dated text with its law."""

    law_id: str
    canonical: str
    title: str
    edition_on: date
    effective_on: date | None
    header: str


def texts(connection: Connection) -> list[TextRow]:
    """Every dated text of the library, by law, oldest first."""
    query = (
        select(
            LAW.c.id,
            LAW.c.canonical,
            LAW.c.title,
            LAW_VERSION.c.edition_on,
            LAW_VERSION.c.effective_on,
            LAW_VERSION.c.header,
        )
        .join(LAW_VERSION, LAW_VERSION.c.law_id == LAW.c.id)
        .order_by(LAW.c.canonical, LAW_VERSION.c.edition_on)
    )
    return [TextRow(*row) for row in connection.execute(query)]


def articles_saying(connection: Connection, words: str) -> list[tuple[str, date, Article]]:
    """The articles of all texts that hold these words, with law and date."""
    a = ARTICLE.c
    query = select(a.law_id, a.edition_on, a.no, a.sub, a.text).where(a.text.contains(words, autoescape=True))
    query = query.order_by(a.law_id, a.edition_on, a.no, a.sub)
    return [
        (law_id, edition, Article(no=no, sub=sub, text=text))
        for law_id, edition, no, sub, text in connection.execute(query)
    ]


def laws(connection: Connection) -> list[dict[str, Any]]:
    """Every law with the dates of its texts and of those it lacks (`shelf`)."""
    query = (
        select(LAW.c.id, LAW.c.title, LAW.c.canonical, LAW_VERSION.c.edition_on, LAW_VERSION.c.header)
        .outerjoin(LAW_VERSION, LAW_VERSION.c.law_id == LAW.c.id)
        .order_by(LAW.c.canonical, LAW_VERSION.c.edition_on)
    )
    return shelf(tuple(row) for row in connection.execute(query))


def count_editions(connection: Connection) -> int:
    """How many dated texts the library holds."""
    return int(connection.execute(select(func.count()).select_from(LAW_VERSION)).scalar_one())


def comparison_mark(connection: Connection, law_id: str, old: date, new: date, rules: str) -> str:
    """What a comparison of these two texts by these rules is known by; it changes with either text. "" where one is missing."""
    v = LAW_VERSION.c
    query = select(v.edition_on, v.hash).where(and_(v.law_id == law_id, v.edition_on.in_([old, new])))
    marks = {edition: mark for edition, mark in connection.execute(query)}
    if len(marks) < len({old, new}):
        return ""
    return hashlib.sha256(f"{marks[old]} {marks[new]} {rules}".encode()).hexdigest()


def is_kept(connection: Connection, law_id: str, old: date, new: date, mark: str) -> bool:
    """Whether a comparison of this mark is kept."""
    here = _this_comparison(law_id, old, new, mark)
    return connection.execute(select(COMPARISON.c.law_id).where(here)).first() is not None


def kept_comparison(connection: Connection, law_id: str, old: date, new: date, mark: str) -> list[list[Any]] | None:
    """The rows of a comparison worked out before (`comparison.packed`), None where none of this mark is kept."""
    return connection.execute(select(COMPARISON.c.rows).where(_this_comparison(law_id, old, new, mark))).scalar()


def _this_comparison(law_id: str, old: date, new: date, mark: str) -> ColumnElement[bool]:
    c = COMPARISON.c
    return and_(c.law_id == law_id, c.old_edition == old, c.new_edition == new, c.mark == mark)


def keep_comparison(
    connection: Connection, law_id: str, old: date, new: date, mark: str, rows: list[list[Any]]
) -> None:
    """Keep a comparison in place of what was kept of these two texts."""
    c = COMPARISON.c
    here = {"law_id": law_id, "old_edition": old, "new_edition": new}
    take_turn(connection, "comparison")
    connection.execute(delete(COMPARISON).where(and_(c.law_id == law_id, c.old_edition == old, c.new_edition == new)))
    connection.execute(insert(COMPARISON).values(**here, mark=mark, rows=rows))


def text_hash(law: LawText) -> str:
    """A mark of a dated text: title, dates, header and every article."""
    parts = [law.title, str(law.promulgated_on), str(law.effective_on), law.certainty, *law.header]
    for article in law.articles:
        parts += article.division
        parts.append(f"{article.no}.{article.sub} {article.text}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def save_law(connection: Connection, law: LawText) -> Literal["added", "changed", "unchanged"]:
    """Store a dated text; the same date again replaces its text where that differs.

    `changed` text of a date is a correction of the import, not a new edition.
    """
    law_id = _law_id(connection, law.title)
    mark = text_hash(law)
    standing = law_version(connection, law_id, law.edition_on)
    if standing is not None and standing.hash == mark:
        return "unchanged"
    here = {"law_id": law_id, "edition_on": law.edition_on}
    if standing is not None:
        for target in (ARTICLE, LAW_VERSION):
            connection.execute(
                delete(target).where(and_(target.c.law_id == law_id, target.c.edition_on == law.edition_on))
            )
        c = COMPARISON.c
        stale = or_(c.old_edition == law.edition_on, c.new_edition == law.edition_on)
        connection.execute(delete(COMPARISON).where(and_(c.law_id == law_id, stale)))
    connection.execute(insert(LAW_VERSION).values(**here, **_version_values(law, mark)))
    values = [
        {**here, "no": a.no, "sub": a.sub, "text": a.text, "division": "\n".join(a.division)} for a in law.articles
    ]
    insert_all(connection, ARTICLE, values)
    return "added" if standing is None else "changed"


def _law_id(connection: Connection, title: str) -> str:
    known = law_by_title(connection, title)
    if known is not None:
        return known.id
    law_id = new_id("law")
    bare = title.strip().strip("《》")
    connection.execute(insert(LAW).values(id=law_id, canonical=canonical_title(title), title=bare))
    return law_id


def _version_values(law: LawText, mark: str) -> Mapping[str, Any]:
    return {
        "promulgated_on": law.promulgated_on,
        "effective_on": law.effective_on,
        "ended_on": None,
        "certainty": law.certainty,
        "header": "\n".join(law.header),
        "hash": mark,
    }
