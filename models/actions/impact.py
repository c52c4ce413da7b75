"""Which items a law's new text, or its repeal, touches; which bases no longer stand. Reads only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime

from sqlalchemy import Connection

from models.actions.comparing import compared, prepare
from models.domain.basis_check import BasisProblem, KnownLaw, LawLibrary, check_bases
from models.domain.deadlines import SHANGHAI
from models.domain.errors import BadInput, Unknown
from models.domain.impact import (
    Amendment,
    Impact,
    candidates_of,
    impact_of_amendment,
    impact_of_repeal,
    implementing,
)
from models.domain.law_text import Article, LawText, canonical_title, former_titles
from models.domain.law_titles import Library
from models.domain.numerals import NUMERAL_CHARS, chinese_to_int
from models.domain.repeals import repeals
from models.store import catalogue, laws
from models.store.database import Database


def impact(
    db: Database,
    *,
    law: str,
    from_edition: date,
    to_edition: date | None,
    by: str | None = None,
    now: datetime,
) -> Impact:
    """Follow every citation of a law from one text to the next (`to_edition` None: it is repealed, perhaps `by` another).

    Raises `Unknown` law_unknown, law_version_unknown; `BadInput` field_invalid.
    """
    if to_edition is not None:
        with db.reader() as connection:
            asked = known_law(connection, law).id
        prepare(db, law_id=asked, old=from_edition, new=to_edition)
    with db.reader() as connection:
        return find_impact(connection, law=law, from_edition=from_edition, to_edition=to_edition, by=by, now=now)


def find_impact(
    connection: Connection,
    *,
    law: str,
    from_edition: date,
    to_edition: date | None,
    by: str | None = None,
    now: datetime,
) -> Impact:
    """As `impact`, within a transaction."""
    today = now.astimezone(SHANGHAI).date()
    row = known_law(connection, law)
    known_edition(connection, row, from_edition)
    cited = catalogue.cited_bases(connection, row.canonical)
    bases_of = catalogue.other_bases(connection, row.canonical)
    if to_edition is None:
        successor = None if by is None else known_law(connection, by).title
        found = impact_of_repeal(row.title, cited, bases_of=bases_of, by=successor)
    else:
        if to_edition <= from_edition:
            message = f"新文本（{to_edition}）应晚于旧文本（{from_edition}）。"
            raise BadInput("field_invalid", message, field="to")
        known_edition(connection, row, to_edition)
        change = Amendment(
            title=row.title,
            from_edition=from_edition,
            to=_text(connection, row, to_edition),
            old=laws.articles(connection, row.id, from_edition),
            held=frozenset(laws.editions(connection, row.id)),
            compared=compared(connection, law_id=row.id, old=from_edition, new=to_edition),
        )
        found = impact_of_amendment(change, cited, bases_of=bases_of, today=today)
        _add_implementing(connection, found, row)
    _add_uncertain(connection, found, row)
    return found


def known_law(connection: Connection, title: str) -> laws.LawRow:
    """A law of the library by any form of its title. Raises `Unknown` law_unknown, naming similar ones."""
    row = laws.law_by_title(connection, title)
    if row is not None:
        return row
    known = laws.laws(connection)
    meant = Library((one["title"] for one in known), {one["title"]: one["formerly"] for one in known}).resolve(title)
    similar = meant.candidates
    message = f"法规库中没有《{title}》。请核对名称，或者先导入（`shixiang law import`）。"
    if meant.renamed:
        message += f"该法现名《{meant.law}》。"
    if similar:
        message += f"名称相近的有：{'、'.join(f'《{one}》' for one in similar)}。"
    raise Unknown("law_unknown", message, title=title)


def known_edition(connection: Connection, law: laws.LawRow, edition: date) -> None:
    """Raises `Unknown` law_version_unknown where the library has no text of that day."""
    known = laws.editions(connection, law.id)
    if edition not in known:
        dates = "、".join(one.isoformat() for one in known)
        raise Unknown("law_version_unknown", f"《{law.title}》没有 {edition} 的文本，现有：{dates}。")


def _text(connection: Connection, law: laws.LawRow, edition: date) -> LawText:
    version = laws.law_version(connection, law.id, edition)
    assert version is not None
    return LawText(
        title=law.title,
        edition_on=edition,
        promulgated_on=version.promulgated_on,
        effective_on=version.effective_on,
        certainty="certain" if version.certainty == "certain" else "uncertain",
        header=tuple(version.header.split("\n")),
        articles=tuple(laws.articles(connection, law.id, edition)),
    )


def _add_implementing(connection: Connection, found: Impact, law: laws.LawRow) -> None:
    """Regulations named after the law whose articles cite its affected ones."""
    if not found.affected:
        return
    for regulation in laws.named_after(connection, law.canonical):
        newest = laws.editions(connection, regulation.id)[-1:]
        texts = laws.articles(connection, regulation.id, newest[0]) if newest else []
        by_article = _citing_articles(texts, law.canonical)
        if by_article:
            cited = catalogue.cited_bases(connection, regulation.canonical)
            found.indirect.extend(implementing(cited, by_article, regulation.title, law.title, found.affected))


def _citing_articles(texts: Iterable[Article], canonical: str) -> dict[tuple[int, int], list[int]]:
    """Which articles of the law each article of a regulation cites, by the law's title or the short one it was given."""
    texts = list(texts)
    names = {re.escape(canonical)}
    for article in texts[:3]:
        named = rf"{re.escape(canonical)}》?[（(]以下(?:简称|称)《?([^《》（）()]{{2,20}})》?[）)]"
        names |= {re.escape(short) for short in re.findall(named, article.text)}
    wanted = re.compile(rf"(?:{'|'.join(sorted(names, key=len, reverse=True))})》?第([{NUMERAL_CHARS}]{{1,12}})条")
    found: dict[tuple[int, int], list[int]] = {}
    for article in texts:
        for number in wanted.findall(article.text):
            try:
                found.setdefault(article.key, []).append(chinese_to_int(number))
            except ValueError:
                continue
    return found


def _add_uncertain(connection: Connection, found: Impact, law: laws.LawRow) -> None:
    """Bases under titles the library does not have that resemble this law's, or that it had before."""
    newest = [laws.law_version(connection, law.id, day) for day in laws.editions(connection, law.id)[-1:]]
    before = former_titles(law.title, newest[0].header.split("\n")) if newest and newest[0] else []
    library = Library([law.title], {law.title: before})
    for canonical in catalogue.cited_titles(connection):
        meant = None if canonical == law.canonical else library.resolve(canonical)
        if meant is None or not (meant.renamed or meant.candidates):
            continue
        if laws.law_by_title(connection, canonical) is None:
            cited = catalogue.cited_bases(connection, canonical)
            found.uncertain.extend(candidates_of(cited, law.title, renamed=meant.renamed))


def check(db: Database, *, now: datetime) -> list[BasisProblem]:
    """Every basis of the standing catalogue that is repealed, superseded, unknown, misquoted or out of order."""
    today = now.astimezone(SHANGHAI).date()
    with db.reader() as connection:
        known: dict[str, KnownLaw] = {}
        ids: dict[str, str] = {}
        for row in laws.texts(connection):
            law = known.get(row.canonical) or KnownLaw(row.title, (), None)
            in_force = row.edition_on if row.effective_on is None or row.effective_on <= today else law.in_force
            before = tuple(former_titles(row.title, row.header.split("\n")))
            known[row.canonical] = KnownLaw(row.title, (*law.editions, row.edition_on), in_force, before)
            ids[row.canonical] = row.law_id
        library = LawLibrary(
            laws=known,
            void=_void(connection, known, ids),
            articles=lambda canonical, edition: laws.articles(connection, ids[canonical], edition),
        )
        return check_bases(catalogue.all_bases(connection), library)


def _void(connection: Connection, known: Mapping[str, KnownLaw], ids: Mapping[str, str]) -> dict[str, str]:
    """Titles that a text in force repeals, by the law that does it; a law's own older namesakes are not among them."""
    found: dict[str, str] = {}
    titles = {ids[canonical]: (law.title, law.in_force) for canonical, law in known.items()}
    for law_id, edition, article in laws.articles_saying(connection, "废止"):
        title, in_force = titles[law_id]
        if edition == in_force:
            for repeal in repeals(title, [article]):
                if not repeal.namesake:
                    found.setdefault(canonical_title(repeal.title), title)
    return found
