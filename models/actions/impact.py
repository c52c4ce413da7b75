"""Which items a law's new text, or its repeal, touches; which bases no longer stand. Reads only."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime

from sqlalchemy import Connection

from models.actions.comparing import compared, prepare
from models.domain.basis_check import BasisProblem, KnownLaw, LawLibrary, check_bases
from models.domain.deadlines import SHANGHAI
from models.domain.errors import BadInput, Unknown
from models.domain.impact import (
    NOT_YET,
    Amendment,
    Impact,
    candidates_of,
    impact_of_amendment,
    impact_of_repeal,
    implementing,
    mentioned,
    together,
)
from models.domain.law_text import Article, LawText, canonical_title, former_titles
from models.domain.law_titles import Library
from models.domain.numerals import NUMERAL_CHARS, chinese_to_int
from models.domain.repeals import Repeal, repeals
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
    if to_edition is None:
        row = repealed_law(connection, law)
        if row.id:
            known_edition(connection, row, from_edition)
        found = _repeal(connection, [row], by=None if by is None else known_law(connection, by), today=today)
    else:
        row = known_law(connection, law)
        known_edition(connection, row, from_edition)
        if to_edition <= from_edition:
            message = f"新文本（{to_edition}）应晚于旧文本（{from_edition}）。"
            raise BadInput("field_invalid", message, field="to")
        known_edition(connection, row, to_edition)
        text, old = _text(connection, row, to_edition), laws.articles(connection, row.id, from_edition)
        texts = old, text.articles
        change = Amendment(
            title=row.title,
            from_edition=from_edition,
            to=text,
            old=old,
            held=frozenset(laws.editions(connection, row.id)),
            compared=compared(connection, law_id=row.id, old=from_edition, new=to_edition, texts=texts),
        )
        cited, bases_of = (
            catalogue.cited_bases(connection, row.canonical),
            catalogue.other_bases(connection, [row.canonical]),
        )
        found = impact_of_amendment(change, cited, bases_of=bases_of, today=today)
        _add_implementing(connection, found, row)
        quoting = catalogue.quoting(connection, row.canonical)
        whole, indirect = mentioned(quoting, row.canonical, row.title, found, {one.item_id for one in cited})
        found.whole_law.extend(whole)
        found.indirect.extend(indirect)
    _add_uncertain(connection, found, row)
    return found


def impact_of_repeals(db: Database, *, by: str, now: datetime) -> tuple[list[str], Impact]:
    """Every law that a law's text repeals, and what that does to all their citations at once.

    An item that stands on several of them only is to be cancelled. Raises `Unknown` law_unknown, `BadInput` field_invalid
    where the text repeals nothing.
    """
    today = now.astimezone(SHANGHAI).date()
    with db.reader() as connection:
        law = known_law(connection, by)
        gone = [repeal.title for repeal in _repealed_by(connection, law) if not repeal.namesake]
        if not gone:
            raise BadInput("field_invalid", f"《{law.title}》的文本没有写明废止其他法规。", field="by")
        rows = [laws.law_by_title(connection, title) or _unheld(title) for title in gone]
        found = _repeal(connection, rows, by=law, today=today)
        for row in rows:
            _add_uncertain(connection, found, row)
        return [row.title for row in rows], found


def _repeal(connection: Connection, gone: Sequence[laws.LawRow], *, by: laws.LawRow | None, today: date) -> Impact:
    bases_of = catalogue.other_bases(connection, [law.canonical for law in gone])
    named = set() if by is None else {canonical_title(one.title) for one in _repealed_by(connection, by)}
    pending = None if by is None else _pending(connection, by, today)
    return together(
        impact_of_repeal(
            law.title,
            catalogue.cited_bases(connection, law.canonical),
            bases_of=bases_of,
            by=None if by is None else by.title,
            gap=_gap_of_repeal(law, by, named) or pending,
        )
        for law in gone
    )


def _gap_of_repeal(law: laws.LawRow, by: laws.LawRow | None, named: Collection[str]) -> str | None:
    """What is not known of a repeal: what the library holds does not say it."""
    if by is not None and law.canonical not in named:
        return f"《{by.title}》的文本没有写明废止《{law.title}》"
    if by is None and not law.id:
        return f"法规库没有《{law.title}》的文本"
    return None


def _pending(connection: Connection, by: laws.LawRow, today: date) -> str | None:
    """That the repealing law's only text is not in force yet."""
    days = laws.editions(connection, by.id)
    text = _text(connection, by, days[0]) if len(days) == 1 else None
    if text is None or text.certainty != "certain" or text.effective_on is None or text.effective_on <= today:
        return None
    return f"《{by.title}》自 {text.effective_on} 起施行，{NOT_YET}"


def _repealed_by(connection: Connection, law: laws.LawRow) -> list[Repeal]:
    """What any text of a law repeals, each law once; a later text may have left the sentence out."""
    found: dict[str, Repeal] = {}
    for day in reversed(laws.editions(connection, law.id)):
        for repeal in repeals(law.title, laws.articles(connection, law.id, day)):
            found.setdefault(canonical_title(repeal.title), repeal)
    return list(found.values())


def repealed_law(connection: Connection, title: str) -> laws.LawRow:
    """A law that is repealed. Its text need not be held (`id` is then empty): that it is cited is enough.

    Raises `Unknown` law_unknown.
    """
    row = laws.law_by_title(connection, title)
    if row is None and catalogue.is_cited(connection, canonical_title(title)):
        row = _unheld(title)
    return row or known_law(connection, title)


def _unheld(title: str) -> laws.LawRow:
    return laws.LawRow("", canonical_title(title), title.strip().strip("《》"))


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
            found.indirect.extend(
                implementing(cited, by_article, regulation.title, law.title, found.affected, found.gap)
            )


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
    # A law without a text has no history.
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
    """Titles that a text repeals which is or was in force, by the law that does it: what is repealed stays so when a later
    text leaves the sentence out. A law's own older namesakes are not among them, nor one of which a later text is held.
    """
    found: dict[str, str] = {}
    titles = {ids[canonical]: (law.title, law.in_force) for canonical, law in known.items()}
    for law_id, edition, article in laws.articles_saying(connection, "废止"):
        title, in_force = titles[law_id]
        if in_force is None or edition > in_force:
            continue
        for repeal in repeals(title, [article]):
            canonical = canonical_title(repeal.title)
            later = canonical in known and known[canonical].editions[-1] > edition
            if not repeal.namesake and not later:
                found.setdefault(canonical, title)
    return found
