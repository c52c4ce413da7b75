"""A law of the library as pages show it: a dated text with its articles, and one article with everything that hangs on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection

from models.actions.comparing import compared, prepare
from models.actions.impact import known_edition, known_law
from models.domain.deadlines import SHANGHAI
from models.domain.differences import provision_text
from models.domain.errors import Unknown
from models.domain.impact import CitedBasis
from models.domain.law_compare import ArticleMatch
from models.domain.law_text import Article, canonical_title, former_titles
from models.domain.numerals import article_name
from models.domain.reach import CHANGE_WORDS
from models.store import catalogue, laws, touched
from models.store.change import Row
from models.store.database import Database

Key = tuple[int, int]
_OPENING = 60  # characters of an article in the list of a text's articles
#: How an adjustment ends that changed nothing: why is the office's business.
_UNCHANGED = ("removed", "declined", "rejected")


def law_page(db: Database, *, title: str, edition: date | None = None, now: datetime) -> dict[str, Any]:
    """A law's dated texts and the articles of one of them (the newest where none is named), each with how many items cite it.

    Raises `Unknown` law_unknown, law_version_unknown.
    """
    today = now.astimezone(SHANGHAI).date()
    with db.reader() as connection:
        law = known_law(connection, title)
        days = laws.editions(connection, law.id)
        if edition is not None:
            known_edition(connection, law, edition)
        shown = edition or (days[-1] if days else None)
        texts = [] if shown is None else laws.articles(connection, law.id, shown)
        version = None if shown is None else laws.law_version(connection, law.id, shown)
        cited = _cited(connection, _titles(connection, law, days))
    citing = {(key, one.item_id) for one in cited if _of_text(one, shown, days) for key in _keys(one, texts)}
    counted = Counter(key for key, _ in citing)
    division: tuple[str, ...] = ()
    rows = []
    for article in texts:
        fresh = article.division if article.division != division else ()
        division = article.division
        opening = article.text if len(article.text) <= _OPENING else article.text[:_OPENING] + "…"
        rows.append(
            {"no": article.no, "sub": article.sub, "name": article.name, "opening": opening,
             "division": " ".join(fresh), "cited": counted[article.key]}
        )  # fmt: skip
    effective = None if version is None else version.effective_on
    return {
        "title": law.title, "editions": list(reversed(days)), "edition": shown, "effective": effective,
        "not_yet": effective is not None and effective > today, "articles": rows,
        "whole": len({basis.item_id for basis in cited if basis.article is None}),
    }  # fmt: skip


def article_page(
    db: Database, *, title: str, edition: date, no: int, sub: int = 0, insider: bool, now: datetime
) -> dict[str, Any]:
    """One article of one dated text: its words and division, its neighbours, where it came from and went to, the items that
    cite it now, and the changes that touched it with what was decided.

    `insider`: a coordinator asks; only he is told who decided that no adjustment was needed, and why.
    Raises `Unknown` law_unknown, law_version_unknown, article_unknown.
    """
    with db.reader() as connection:
        law = known_law(connection, title)
        known_edition(connection, law, edition)
        days = laws.editions(connection, law.id)
        texts = laws.articles(connection, law.id, edition)
        titles = _titles(connection, law, days)
        over = _over(touched.spans(connection, titles), edition, days)
    place = next((number for number, one in enumerate(texts) if one.key == (no, sub)), None)
    if place is None:
        message = f"《{law.title}》{edition} 的文本没有{article_name(no, sub)}。请从该文本的目录中选择。"
        raise Unknown("article_unknown", message, law=law.title)
    here = days.index(edition)
    before, after = (days[here - 1] if here else None), (days[here + 1] if here + 1 < len(days) else None)
    for old, new in ((before, edition), (edition, after), *((first, edition) for first, _ in over)):
        if old is not None and new is not None:
            prepare(db, law_id=law.id, old=old, new=new)
    with db.reader() as connection:
        came = next((m for m in _matches(connection, law, before, edition) if m.new and m.new.key == (no, sub)), None)
        went = next((m for m in _matches(connection, law, edition, after) if m.old and m.old.key == (no, sub)), None)
        cited = _cited(connection, titles)
        history = touched.history_of_article(connection, titles, no, sub)
        passed = _passed(connection, law, over, edition, (no, sub))
        for key in sorted({key for _, _, key in passed} - {(no, sub)}):
            history += touched.history_of_article(connection, titles, *key)
        version = laws.law_version(connection, law.id, edition)
    citing = [one for one in cited if (no, sub) in _keys(one, texts) and _of_text(one, edition, days)]
    article = texts[place]
    effective = None if version is None else version.effective_on
    return {
        "title": law.title, "editions": list(reversed(days)), "edition": edition, "effective": effective,
        "not_yet": effective is not None and effective > now.astimezone(SHANGHAI).date(),
        "no": no, "sub": sub, "name": article.name, "text": article.text, "division": list(article.division),
        "previous": _neighbour(texts, place - 1), "next": _neighbour(texts, place + 1),
        "before": before, "came": None if came is None or before is None else pair_of(law.title, came, before, edition),
        "after": after, "went": None if went is None or after is None else pair_of(law.title, went, edition, after),
        "cited": [_citing(one, law.canonical) for one in citing], "items": len({one.item_id for one in citing}),
        "whole": len({basis.item_id for basis in cited if basis.article is None}),
        "history": _told(history, titles, edition, (no, sub), passed, insider=insider),
    }  # fmt: skip


def _titles(connection: Connection, law: laws.LawRow, days: Sequence[date]) -> list[str]:
    """The titles under which a law is cited: its own, and those it had before where they are no law of the library."""
    newest = laws.law_version(connection, law.id, days[-1]) if days else None
    before = [] if newest is None else former_titles(law.title, newest.header.split("\n"))
    return [law.canonical, *(one for one in before if laws.law_by_title(connection, one) is None)]


def _cited(connection: Connection, titles: Sequence[str]) -> list[CitedBasis]:
    return [basis for title in titles for basis in catalogue.cited_bases(connection, title)]


def _over(
    spans: Iterable[tuple[str, str | None]], edition: date, held: Sequence[date]
) -> list[tuple[date, str | None]]:
    """Of the changes, as from which text to which they went, those that passed over this one, with the day of the older text."""
    day = edition.isoformat()
    over = ((date.fromisoformat(old), new) for old, new in spans if old < day and (new is None or new > day))
    return sorted(((old, new) for old, new in over if old in held), key=str)


def _passed(
    connection: Connection, law: laws.LawRow, over: Sequence[tuple[date, str | None]], edition: date, key: Key
) -> set[tuple[str, str | None, Key]]:
    """For each change that passed over this text the number which the article had in the older one, from which it went."""
    found = set()
    for old, new in over:
        for match in _matches(connection, law, old, edition):
            if match.old is not None and match.new is not None and match.new.key == key:
                found.add((old.isoformat(), new, match.old.key))
    return found


def places(connection: Connection, bases: Sequence[Mapping[str, Any]], *, today: date) -> list[dict[str, Any] | None]:
    """For each basis where its words can be read: `title`, `edition`, and `no`, `sub` where that text has the article.

    It is the text that the basis names where the library has it, else the newest in force on a day. None for a law that the
    library does not have.
    """
    names = [canonical_title(str(basis.get("law") or "")) for basis in bases]
    held = laws.dated_texts(connection, [name for name in names if name])
    found: list[dict[str, Any] | None] = []
    asked: list[tuple[str, date, int, int]] = []
    for name, basis in zip(names, bases, strict=True):
        texts = held.get(name)
        if not texts:
            found.append(None)
            continue
        named = str(basis.get("edition") or "")[:10]
        in_force = [one for one in texts if one.effective_on is None or one.effective_on <= today]
        text = next((one for one in texts if one.edition_on.isoformat() == named), (in_force or texts)[-1])
        no, sub = _whole(basis.get("article")), _whole(basis.get("sub"))
        asked.append((text.law_id, text.edition_on, no, sub))
        found.append({"title": text.title, "edition": text.edition_on, "no": no, "sub": sub, "key": asked[-1]})
    there = laws.which_stand(connection, asked)
    for one in found:
        if one is not None and one.pop("key") not in there:
            one["no"] = one["sub"] = None
    return found


def _whole(value: Any) -> int:
    text = str(value or "")
    return int(text) if text.isdecimal() and len(text) < 6 else 0


def pair_of(title: str, match: ArticleMatch, old_edition: date, new_edition: date) -> dict[str, Any]:
    """A row of a comparison as pages show it: both sides (None where there is none), the change in a word, whether it is certain."""
    return {
        "old": None if match.old is None else side(match.old, old_edition),
        "new": None if match.new is None else side(match.new, new_edition),
        "title": title, "change": match.change, "certain": match.certain,
        "word": CHANGE_WORDS[match.change],
    }  # fmt: skip


def side(article: Article, edition: date) -> dict[str, Any]:
    """One article of one text as pages show it."""
    return {
        "article": article.name, "no": article.no, "sub": article.sub, "text": article.text,
        "edition": edition, "division": " ".join(article.division),
    }  # fmt: skip


def _neighbour(texts: Sequence[Article], place: int) -> dict[str, Any] | None:
    if not 0 <= place < len(texts):
        return None
    article = texts[place]
    return {"no": article.no, "sub": article.sub, "name": article.name}


def _matches(connection: Connection, law: laws.LawRow, old: date | None, new: date | None) -> Sequence[ArticleMatch]:
    """The rows of the comparison of two texts; none where there is no other text."""
    return () if old is None or new is None else compared(connection, law_id=law.id, old=old, new=new).matches


def _keys(basis: CitedBasis, texts: Sequence[Article]) -> list[Key]:
    """Which articles of a text a basis cites; a range cites all between its ends."""
    if basis.article is None:
        return []
    first = (basis.article, basis.sub or 0)
    if basis.to_article is None:
        return [first]
    return [one.key for one in texts if first <= one.key and one.no <= basis.to_article]


def _of_text(basis: CitedBasis, edition: date | None, held: Sequence[date]) -> bool:
    """A basis that names another text the library has cites that one; the number may be another article there."""
    return basis.edition_on is None or basis.edition_on == edition or basis.edition_on not in held


def _citing(basis: CitedBasis, canonical: str) -> dict[str, Any]:
    place = {"article": basis.article, "sub": basis.sub, "paragraph": basis.paragraph, "item": basis.item}
    text = provision_text(place)
    if basis.to_article is not None:
        text += f"至{article_name(basis.to_article)}"
    formerly = None if canonical_title(basis.title) == canonical else basis.title
    return {"code": basis.code, "name": basis.name, "place": text, "edition": basis.edition_on, "formerly": formerly}


def _told(
    history: Sequence[Row],
    titles: Sequence[str],
    edition: date,
    key: Key,
    passed: Collection[tuple[str, str | None, Key]],
    *,
    insider: bool,
) -> list[dict[str, Any]]:
    """Of what stands by this number that which concerns this text: the number may be another article in another text.

    `passed` are the changes that went over this text, with the number that the article had in the text they went from.
    """
    found = []
    for row in history:
        params, day = row["params"], edition.isoformat()
        if canonical_title(str(params.get("law") or "")) in titles:
            old = params.get("from_version") == day and (row["article"], row["sub"]) == key
            new = params.get("to_version") == day and (row["new_article"], row["new_sub"]) == key
            went = (str(params.get("from_version")), params.get("to_version"), (row["article"], row["sub"]))
            if not (old or new or went in passed):
                continue
        if not insider and (row["state"] in _UNCHANGED or row["change_state"] == "withdrawn"):
            continue
        names = ("change_id", "number", "title", "change_state", "code", "name", "state", "road", "rule", "kind")
        entry = {name: row[name] for name in names}
        entry["outcomes"] = row["outcomes"].split("+") if isinstance(row["outcomes"], str) else list(row["outcomes"])
        entry["old"] = article_name(row["article"], row["sub"])
        entry["new"] = article_name(row["new_article"], row["new_sub"])
        entry["effective_at"] = row["effective_at"] if row["state"] in ("published", "scheduled") else None
        entry["left"] = row["left"] if insider else None
        if entry not in found:
            found.append(entry)
    return found
