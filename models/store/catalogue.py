"""The catalogue: standing versions, who cites what, writing versions and lists as sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    case,
    func,
    insert,
    not_,
    or_,
    select,
    update,
)

from models.domain.content import ItemContent, content_hash
from models.domain.impact import CitedBasis
from models.domain.law_text import canonical_title, titles_named
from models.domain.seals import SUMS, list_hash, members_sum
from models.store.office import get_meta, set_meta
from models.store.pipeline import ALONG
from models.store.sealing import Insert
from models.store.sql import among, insert_all, table, written
from models.tables import (
    Basis,
    Code,
    Department,
    Item,
    ItemVersion,
    ListSnapshot,
    Publication,
    PublicationLine,
    new_id,
)

BASIS = table(Basis)
CODE = table(Code)
DEPARTMENT = table(Department)
ITEM = table(Item)
VERSION = table(ItemVersion)
SNAPSHOT = table(ListSnapshot)
PUBLICATION = table(Publication)
LINE = table(PublicationLine)

#: How many ids one `in` takes: SQLite allows 32,766 variables, short statements are parsed faster.
CHUNK = 20_000
STANDING: ColumnElement[bool] = and_(VERSION.c.valid_to.is_(None), VERSION.c.superseded_at.is_(None))
_NOT_CANCELLED: ColumnElement[bool] = VERSION.c.state != written("cancelled")
#: The derived lists of this release: name to the item type they hold.
LISTS: dict[str, str] = {"行政许可事项清单": "01"}
_KIND_ORDER = case((ITEM.c.kind == "item", 0), (ITEM.c.kind == "implementation", 1), else_=2)

T = TypeVar("T")


@dataclass(frozen=True)
class VersionRow:
    """One version of an item, implementation or handling item."""

    id: str
    item_id: str
    kind: str
    no: int
    name: str
    type: str
    code: str | None
    department_id: str | None
    department_text: str
    content: dict[str, Any]
    hash: str
    valid_from: datetime
    valid_to: datetime | None
    state: str
    publication_id: str | None


@dataclass(frozen=True)
class NewVersion:
    """A version to be written; an item not known yet is made with `kind` and `identity`."""

    item_id: str
    content: dict[str, Any]
    name: str
    type: str
    code: str | None
    department_id: str | None
    department_text: str
    state: str
    adjustment_id: str | None
    legal_since: date | None
    hash: str
    kind: str = "item"
    identity: str = ""
    parent_id: str | None = None
    #: (ord of the basis, last article) where a citation is a range; the content holds its first article only.
    ranges: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, item_id: str, content: ItemContent, **more: Any) -> NewVersion:
        """A standing version of an item with this content that no change made, where `more` says nothing else."""
        values: dict[str, Any] = {
            "content": content.model_dump(mode="json"), "name": content.name, "type": content.type,
            "code": content.code, "department_id": content.department, "department_text": "", "state": "active",
            "adjustment_id": None, "legal_since": None, "hash": content_hash(content),
        }  # fmt: skip
        return cls(item_id=item_id, **{**values, **more})


def chunks(values: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    """The values in pieces that one statement takes."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


# --- reading -----------------------------------------------------------------------------------------------------


def _versions() -> Select[Any]:
    v = VERSION.c
    return select(
        v.id, v.item_id, ITEM.c.kind, v.no, v.name, v.type, v.code, v.department_id, v.department_text, v.content,
        v.hash, v.valid_from, v.valid_to, v.state, v.publication_id,
    ).join(ITEM, ITEM.c.id == v.item_id)  # fmt: skip


def current_versions(connection: Connection, item_ids: Sequence[str]) -> dict[str, VersionRow]:
    """The standing versions of items by item id; an item without one is left out."""
    found: dict[str, VersionRow] = {}
    for some in chunks(list(item_ids)):
        for row in connection.execute(_versions().where(and_(STANDING, among(VERSION.c.item_id, some)))).all():
            found[row.item_id] = VersionRow(*row)
    return found


def standing_ids(connection: Connection, item_ids: Sequence[str]) -> dict[str, str]:
    """The id of the standing version of items by item id; an item without one is left out."""
    found: dict[str, str] = {}
    for some in chunks(list(item_ids)):
        query = select(VERSION.c.item_id, VERSION.c.id).where(and_(STANDING, among(VERSION.c.item_id, some)))
        found.update({item_id: version_id for item_id, version_id in connection.execute(query).all()})
    return found


def codes_given(connection: Connection, values: Sequence[str]) -> set[str]:
    """Which of these codes were ever given to an item."""
    found: set[str] = set()
    for some in chunks(list(values)):
        found |= set(connection.execute(select(CODE.c.value).where(among(CODE.c.value, some))).scalars())
        own = among(ITEM.c.identity, [f"own:{value}" for value in some])
        found |= {
            str(name).removeprefix("own:") for name in connection.execute(select(ITEM.c.identity).where(own)).scalars()
        }
    return found


def is_known(connection: Connection, item_id: str) -> bool:
    """Whether the catalogue's tables hold an item, whatever its state."""
    return connection.execute(select(ITEM.c.id).where(ITEM.c.id == item_id)).first() is not None


def versions_by_id(connection: Connection, version_ids: Sequence[str]) -> dict[str, VersionRow]:
    """Versions by their own ids, whether they stand or not: what an adjustment was based on."""
    found: dict[str, VersionRow] = {}
    for part in chunks(sorted(set(version_ids))):
        for row in connection.execute(_versions().where(among(VERSION.c.id, part))).mappings():
            found[row["id"]] = VersionRow(**row)
    return found


def current_hashes(connection: Connection) -> dict[str, tuple[str, str | None]]:
    """Identity of every target to its item id and the hash of its standing version."""
    query = select(ITEM.c.identity, ITEM.c.id, VERSION.c.hash).outerjoin(
        VERSION, and_(VERSION.c.item_id == ITEM.c.id, STANDING)
    )
    return {identity: (item_id, found) for identity, item_id, found in connection.execute(query)}


def find_target(connection: Connection, kind: str | None, code: str) -> VersionRow | None:
    """The standing version with a code, of a kind where one is given; a target without a code answers to its id."""
    query = _versions().where(and_(STANDING, or_(VERSION.c.code == code, VERSION.c.item_id == code)))
    if kind is not None:
        query = query.where(ITEM.c.kind == kind)
    query = query.order_by(case((VERSION.c.state == "cancelled", 1), else_=0), _KIND_ORDER, VERSION.c.item_id)
    row = connection.execute(query.limit(1)).first()
    return None if row is None else VersionRow(*row)


def cited_bases(connection: Connection, canonical: str) -> list[CitedBasis]:
    """Every citation of a law by a standing version that is not cancelled, in the order of item and basis."""
    return [CitedBasis(*row) for row in connection.execute(_bases().where(BASIS.c.canonical == canonical))]


def all_bases(connection: Connection) -> Iterator[CitedBasis]:
    """Every basis of every standing version that is not cancelled, in the order of item and basis."""
    return (CitedBasis(*row) for row in connection.execute(_bases()))


def _bases() -> Select[Any]:
    b, v = BASIS.c, VERSION.c
    return (
        select(
            v.item_id, v.code, v.name, b.ord, b.title, b.edition_on, b.article, b.to_article, b.sub, b.paragraph, b.item,
            b.annex, b.quoted,
        )
        .join(VERSION, v.id == b.version_id)
        .where(and_(STANDING, _NOT_CANCELLED))
        .order_by(v.item_id, b.ord)
    )  # fmt: skip


def quoting(connection: Connection, canonical: str) -> list[CitedBasis]:
    """The citations of other laws whose quoted text names this one: 依照《…法》的规定, in the order of item and basis."""
    # The index has the few bases that mention a law at all; asked alone first, it is not left out for a longer way.
    named = and_(BASIS.c.mentions.is_not(None), BASIS.c.mentions.contains(f"|{canonical}|", autoescape=True))
    versions = list(connection.execute(select(BASIS.c.version_id).where(named).distinct()).scalars())
    if not versions:
        return []
    here = and_(among(BASIS.c.version_id, versions), named, BASIS.c.canonical != canonical)
    return [CitedBasis(*row) for row in connection.execute(_bases().where(here))]


def is_cited(connection: Connection, canonical: str) -> bool:
    """Whether any basis of a standing version that is not cancelled names this law."""
    query = _bases().where(BASIS.c.canonical == canonical).limit(1)
    return connection.execute(query).first() is not None


def other_bases(connection: Connection, canonicals: Sequence[str]) -> dict[str, int]:
    """How many bases naming other laws each item has that cites one of these; items without any are left out."""
    other, mine = BASIS.alias("other"), BASIS.alias("mine")

    def names_one(column: ColumnElement[str]) -> ColumnElement[bool]:
        # One title the plain way: over a million bases a list costs more.
        return column == canonicals[0] if len(canonicals) == 1 else among(column, canonicals)

    naming = select(mine.c.version_id).where(names_one(mine.c.canonical))
    query: Select[Any] = (
        select(VERSION.c.item_id, func.count())
        .select_from(other)
        .join(VERSION, VERSION.c.id == other.c.version_id)
        .where(and_(other.c.version_id.in_(naming), not_(names_one(other.c.canonical)), STANDING))
        .group_by(VERSION.c.item_id)
    )
    return {item_id: count for item_id, count in connection.execute(query)}


def ranges_of(connection: Connection, version_ids: Sequence[str]) -> dict[str, list[tuple[str, int, int, int]]]:
    """The citations of these versions that are ranges: by version (canonical title, first article, sub, last article)."""
    b = BASIS.c
    found: dict[str, list[tuple[str, int, int, int]]] = {}
    for part in chunks(sorted(set(version_ids))):
        query = select(b.version_id, b.canonical, b.article, b.sub, b.to_article).where(
            and_(among(b.version_id, part), b.to_article.is_not(None))
        )
        for version_id, canonical, article, sub, last in connection.execute(query).all():
            found.setdefault(version_id, []).append((canonical, article, sub or 0, last))
    return found


def cited_titles(connection: Connection) -> list[str]:
    """The titles that bases name, each once, in their form for matching."""
    return list(connection.execute(select(BASIS.c.canonical).distinct().order_by(BASIS.c.canonical)).scalars())


def items(connection: Connection, department: str | None = None, limit: int | None = None) -> list[dict[str, Any]]:
    """`items list --json`: the standing catalogue; `department` is an id, a full or a short name."""
    v, d = VERSION.c, DEPARTMENT.c
    query = (
        select(v.code, v.name, v.type, v.department_id, d.short, v.department_text)
        .outerjoin(DEPARTMENT, d.id == v.department_id)
        .where(and_(STANDING, _NOT_CANCELLED))
        .order_by(v.code, v.name, v.id)
    )
    if department is not None:
        query = query.where(
            or_(
                v.department_id == department,
                d.full == department,
                d.short == department,
                v.department_text == department,
            )
        )
    if limit is not None:
        query = query.limit(limit)
    return [
        {"code": code, "name": name, "type": type_, "department": {"id": department_id, "name": short or text}}
        for code, name, type_, department_id, short, text in connection.execute(query)
    ]


def count_items(connection: Connection) -> int:
    """How many targets have a standing version."""
    return int(connection.execute(select(func.count()).select_from(VERSION).where(STANDING)).scalar_one())


# --- writing -----------------------------------------------------------------------------------------------------


def write_versions(
    connection: Connection,
    *,
    publication_id: str,
    versions: Sequence[NewVersion],
    effective_at: datetime,
    now: datetime,
    put: Insert | None = None,
    old: Mapping[str, tuple[str, int]] | None = None,
) -> dict[str, tuple[str | None, str]]:
    """Switch versions as sets: item id to (old version id or None, new version id).

    What stands is ended, unless `end_standing` did so: `old` is what that gave. Bases, codes and the publication's lines
    are written with the versions. `put` inserts versions and lines so that a log vouches for them.
    """
    ids = [version.item_id for version in versions]
    if old is None:
        old = end_standing(connection, ids, effective_at, now)
    # What stands of an item is its newest version.
    last = {item_id: number for item_id, (_, number) in old.items()}
    last |= _last_numbers(connection, [item_id for item_id in ids if item_id not in last])
    _make_items(connection, [version for version in versions if version.item_id not in last])
    written = {item_id: (old[item_id][0] if item_id in old else None, new_id("ver")) for item_id in ids}
    made = [(version, written[version.item_id][1]) for version in versions]
    put = put or partial(insert_all, connection)
    put(
        VERSION,
        (
            _version_values(version, version_id, last.get(version.item_id, 0) + 1, publication_id, effective_at, now)
            for version, version_id in made
        ),
    )
    insert_all(
        connection, BASIS, (basis for version, version_id in made for basis in _basis_values(version, version_id))
    )
    put(LINE, (_line_values(version, publication_id, written[version.item_id]) for version in versions))
    _keep_codes(connection, versions)
    return written


def _make_items(connection: Connection, versions: Sequence[NewVersion]) -> None:
    values = [
        {
            "id": version.item_id,
            "kind": version.kind,
            "identity": version.identity or f"made|{version.item_id}",
            "parent_id": version.parent_id,
        }
        for version in versions
    ]
    # Parents first: the foreign key of a child is checked row by row on SQLite.
    values.sort(key=lambda row: ("item", "implementation", "handling").index(str(row["kind"])))
    if values:
        connection.execute(insert(ITEM), values)


def end_standing(
    connection: Connection, ids: Sequence[str], effective_at: datetime, now: datetime
) -> dict[str, tuple[str, int]]:
    """End what stands of these items at a moment; item id to (id, number) of the version that stood. One that would begin
    only then or later is superseded instead, since a period may not be empty.
    """
    old: dict[str, tuple[str, int]] = {}
    over: list[str] = []
    replaced: list[str] = []
    later = or_(VERSION.c.valid_to.is_(None), VERSION.c.valid_to > effective_at)
    for some in chunks(ids):
        query = (
            select(VERSION.c.id, VERSION.c.item_id, VERSION.c.no, VERSION.c.valid_from)
            .where(and_(among(VERSION.c.item_id, some), VERSION.c.superseded_at.is_(None), later))
            .order_by(VERSION.c.no)
        )
        for version_id, item_id, number, valid_from in connection.execute(query).all():
            old[item_id] = (version_id, number)
            (over if valid_from < effective_at else replaced).append(version_id)
    for became, ids_of in (({"valid_to": effective_at}, over), ({"superseded_at": now}, replaced)):
        for some in chunks(ids_of):
            connection.execute(
                update(VERSION).where(among(VERSION.c.id, some)).values(**became), execution_options=ALONG
            )
    return old


def _last_numbers(connection: Connection, ids: Sequence[str]) -> dict[str, int]:
    """The number of the newest version of each of these items that is known, 0 where it has none."""
    last: dict[str, int] = {}
    newest = select(ITEM.c.id, func.max(VERSION.c.no)).outerjoin(VERSION, VERSION.c.item_id == ITEM.c.id)
    for some in chunks(ids):
        query = newest.where(among(ITEM.c.id, some)).group_by(ITEM.c.id)
        last.update({key: value or 0 for key, value in connection.execute(query).all()})
    return last


def _version_values(
    version: NewVersion, version_id: str, no: int, publication_id: str, effective_at: datetime, now: datetime
) -> dict[str, Any]:
    return {
        "id": version_id,
        "item_id": version.item_id,
        "no": no,
        "recorded_at": now,
        "superseded_at": None,
        "valid_from": effective_at,
        "valid_to": None,
        "legal_since": version.legal_since,
        "state": version.state,
        "name": version.name,
        "type": version.type,
        "code": version.code,
        "department_id": version.department_id,
        "department_text": version.department_text,
        "content": version.content,
        "hash": version.hash,
        "adjustment_id": version.adjustment_id,
        "publication_id": publication_id,
    }


def _basis_values(version: NewVersion, version_id: str) -> Iterator[dict[str, Any]]:
    ranges = dict(version.ranges)
    for number, basis in enumerate(version.content.get("bases") or [], start=1):
        title = str(basis.get("law") or "")
        canonical = canonical_title(title)
        edition = basis.get("edition")
        yield {
            "version_id": version_id,
            "ord": number,
            "canonical": canonical,
            "title": title,
            "edition_on": date.fromisoformat(edition) if isinstance(edition, str) and edition else edition or None,
            "article": basis.get("article"),
            "to_article": ranges.get(number),
            "sub": basis.get("sub"),
            "paragraph": basis.get("paragraph"),
            "item": basis.get("item"),
            "subitem": basis.get("subitem"),
            "annex": basis.get("annex"),
            "quoted": basis.get("quoted"),
            "mentions": _mentions(basis.get("quoted")),
            "rank": rank_of(canonical),
        }


def _mentions(quoted: str | None) -> str | None:
    named = titles_named(quoted) if quoted else []
    return f"|{'|'.join(named)}|" if named else None


def rank_of(title: str) -> int:
    """The place of a law in the order of bases by its title: law 1, regulation 3, rule 5, document 6.

    Source: 立法法 ch. 5; the title is only a hint, so a local regulation (its title names a place) comes after a national one.
    """
    if title.endswith("法") and not title.endswith("办法"):
        return 1
    if title.endswith("条例"):
        return 2 if title.startswith("中华人民共和国") else 3
    if title.endswith(("规定", "办法", "细则", "规则")):
        return 5
    return 6


def _line_values(version: NewVersion, publication_id: str, pair: tuple[str | None, str]) -> dict[str, Any]:
    return {
        "publication_id": publication_id,
        "item_id": version.item_id,
        "adjustment_id": version.adjustment_id,
        "old_version_id": pair[0],
        "new_version_id": pair[1],
    }


def _keep_codes(connection: Connection, versions: Sequence[NewVersion]) -> None:
    """Remember every code once given; the code of a cancelled item is retired, never free again."""
    coded = {(v.code, v.item_id): "retired" if v.state == "cancelled" else "in_use" for v in versions if v.code}
    known: dict[tuple[str, str], str] = {}
    for some in chunks(sorted({code for code, _ in coded})):
        for value, item_id, state in connection.execute(select(CODE).where(among(CODE.c.value, some))).all():
            known[(value, item_id)] = state
    fresh = [
        {"value": code, "item_id": item_id, "state": state}
        for (code, item_id), state in coded.items()
        if (code, item_id) not in known
    ]
    if fresh:
        connection.execute(insert(CODE), fresh)
    moved = [
        {"of_value": code, "of_item": item_id, "state": state}
        for (code, item_id), state in coded.items()
        if known.get((code, item_id), state) != state
    ]
    if moved:
        pair = and_(CODE.c.value == bindparam("of_value"), CODE.c.item_id == bindparam("of_item"))
        connection.execute(update(CODE).where(pair), moved)


def code_holder(connection: Connection, code: str) -> str | None:
    """The item that has or once had a code; None where it was never given."""
    return connection.execute(
        select(CODE.c.item_id).where(CODE.c.value == code).order_by(CODE.c.state, CODE.c.item_id)
    ).scalar()


def codes_like(connection: Connection, prefix: str) -> list[str]:
    """All codes ever given that begin with a prefix."""
    return list(connection.execute(select(CODE.c.value).where(CODE.c.value.startswith(prefix)).distinct()).scalars())


# --- derived lists -----------------------------------------------------------------------------------------------


def list_members(connection: Connection, name: str) -> list[dict[str, Any]]:
    """The items of a derived list as they stand: type of the list, active; items where there are any, else all kinds.

    Raises KeyError for a name that is not in LISTS.
    """
    return _rows_of(connection, name, _members(connection, name, STANDING), columns=_SHOWN)


def _in_list(
    query: Select[Any], name: str, when: ColumnElement[bool], through: ColumnElement[Any] | None = None
) -> Select[Any]:
    """The versions of a list that this holds for, in the order of the list; `through` a column of a publication's lines."""
    v = VERSION.c
    versions = query.select_from(VERSION)
    if through is not None:
        versions = query.select_from(LINE).join(VERSION, v.id == through)
    wanted = versions.join(ITEM, ITEM.c.id == v.item_id)
    wanted = wanted.where(and_(v.type == LISTS[name], v.state == "active", when))
    return wanted.order_by(v.code, v.name, v.item_id)


def _members(connection: Connection, name: str, when: ColumnElement[bool]) -> ColumnElement[bool]:
    """What tells the members of a list among the versions this holds for: items where there are any, else all kinds."""
    return and_(when, _ITEMS) if _of_items(connection, name, when) else when


_ITEMS: ColumnElement[bool] = ITEM.c.kind == "item"


def _of_items(connection: Connection, name: str, when: ColumnElement[bool]) -> bool:
    any_item = _in_list(select(VERSION.c.id), name, and_(when, _ITEMS)).order_by(None).limit(1)
    return connection.execute(any_item).first() is not None


#: What a page says of a member of a list, and what is needed of one that came or went.
_SHOWN: tuple[ColumnElement[Any], ...] = (
    VERSION.c.item_id, VERSION.c.id.label("version_id"), ITEM.c.kind, VERSION.c.code, VERSION.c.name, VERSION.c.type,
    VERSION.c.department_id, DEPARTMENT.c.short, VERSION.c.department_text, VERSION.c.hash, VERSION.c.valid_from,
)  # fmt: skip
_COMPARED: tuple[ColumnElement[Any], ...] = (
    VERSION.c.item_id, VERSION.c.code, VERSION.c.name, VERSION.c.department_id, DEPARTMENT.c.short,
    VERSION.c.department_text, VERSION.c.hash,
)  # fmt: skip


def _rows_of(
    connection: Connection,
    name: str,
    when: ColumnElement[bool],
    through: ColumnElement[Any] | None = None,
    columns: Sequence[ColumnElement[Any]] = _COMPARED,
) -> list[dict[str, Any]]:
    query = _in_list(select(*columns), name, when, through)
    wanted = query.outerjoin(DEPARTMENT, DEPARTMENT.c.id == VERSION.c.department_id)
    result = connection.execute(wanted)
    names = list(result.keys())
    found = [dict(zip(names, row, strict=True)) for row in result.all()]
    for row in found:
        row["department"] = {"id": row["department_id"], "name": row.pop("short") or row["department_text"]}
    return found


def snapshot_list(connection: Connection, *, name: str, publication_id: str) -> dict[str, Any]:
    """Keep a list as it stands after a publication, with what came and went with it.

    To be called in the transaction that writes the publication's versions, under its turn. What is read grows with what
    the publication changed, not with the list; one without items is looked through for one. Returns the row written
    (list, publication_id, hash, total, added, removed, changed, delta); the same publication again gives the row that
    stands.
    """
    known = (
        connection.execute(
            select(SNAPSHOT).where(and_(SNAPSHOT.c.list == name, SNAPSHOT.c.publication_id == publication_id))
        )
        .mappings()
        .first()
    )
    if known is not None:
        return dict(known)
    came, went, all_of_them = _came_and_went(connection, name, publication_id)
    new, old = ({row["item_id"]: row for row in rows} for rows in (came, went))
    delta = {
        "added": [_entry(row) for item_id, row in new.items() if item_id not in old],
        "removed": [_entry(row) for item_id, row in old.items() if item_id not in new],
        "changed": [
            {**_entry(row), "was": old[item_id]["name"]}
            for item_id, row in new.items()
            if item_id in old and old[item_id]["hash"] != row["hash"]
        ],
    }
    last = None if all_of_them else _sum_kept(connection, name)
    if last is None:
        now = _sum_of_all(connection, name)
    else:
        rest = last.sum + members_sum(map(_member, came)) - members_sum(map(_member, went))
        now = _Sum(last.total + len(came) - len(went), rest % SUMS, last.publications)
    values: dict[str, Any] = {
        "list": name,
        "publication_id": publication_id,
        "hash": list_hash(now.sum),
        "total": now.total,
        **{word: len(entries) for word, entries in delta.items()},
        "delta": delta,
    }
    connection.execute(insert(SNAPSHOT).values(**values))
    _keep_sum(connection, name, now)
    return values


def _came_and_went(
    connection: Connection, name: str, publication_id: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], bool]:
    """The members a publication brought and those it ended, and whether it concerns the whole list: because it is the
    first, or because items came into a list of other kinds or the last one left it.
    """
    v = VERSION.c
    if connection.execute(select(SNAPSHOT.c.list).where(SNAPSHOT.c.list == name).limit(1)).first() is None:
        return list_members(connection, name), [], True
    ended = v.id.in_(select(LINE.c.old_version_id).where(LINE.c.publication_id == publication_id))
    before = or_(and_(STANDING, v.publication_id.is_distinct_from(publication_id)), ended)
    of_items = _of_items(connection, name, STANDING)
    if _of_items(connection, name, before) != of_items:
        return list_members(connection, name), _rows_of(connection, name, _members(connection, name, before)), True
    its_lines = and_(LINE.c.publication_id == publication_id, *([_ITEMS] if of_items else []))
    came = _rows_of(connection, name, and_(STANDING, its_lines), LINE.c.new_version_id)
    return came, _rows_of(connection, name, its_lines, LINE.c.old_version_id), False


@dataclass(frozen=True)
class _Sum:
    """How many members a list has, their sum, and after how many publications it was kept."""

    total: int
    sum: int
    publications: int


def _member(row: Mapping[Any, Any]) -> str:
    return f"{row['code'] or row['item_id']}|{row['hash']}"


def _sum_of_all(connection: Connection, name: str) -> _Sum:
    columns = select(VERSION.c.item_id, VERSION.c.code, VERSION.c.hash)
    standing = _in_list(columns, name, _members(connection, name, STANDING)).order_by(None)
    members = [_member(row) for row in connection.execute(standing).mappings()]
    return _Sum(len(members), members_sum(members), _count_publications(connection))


def _sum_kept(connection: Connection, name: str) -> _Sum | None:
    """What was kept with the snapshot before; None where there is none, or where a publication came without one."""
    kept = get_meta(connection, f"list:{name}")
    if kept is None:
        return None
    publications, total, hexadecimal = kept.split("|")
    found = _Sum(int(total), int(hexadecimal, 16), int(publications) + 1)
    return found if found.publications == _count_publications(connection) else None


def _keep_sum(connection: Connection, name: str, now: _Sum) -> None:
    set_meta(connection, f"list:{name}", f"{now.publications}|{now.total}|{now.sum:x}")


def _count_publications(connection: Connection) -> int:
    return int(connection.execute(select(func.count()).select_from(PUBLICATION)).scalar_one())


def _entry(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"item": row["item_id"], "code": row["code"], "name": row["name"], "department": row["department"]}
