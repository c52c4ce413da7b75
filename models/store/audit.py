"""What `audit verify` reads: the chains, the rows they vouch for, the daily heads, in large portions; and what the log of a
change says beside what its tables say of the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, select, type_coerce, update
from sqlalchemy.types import NullType

from models.domain.audit import AUDITED, Rows, differing_lines, plain
from models.domain.seals import Version, line_hash
from models.store.catalogue import VERSION as VERSION
from models.store.change import (
    ADJUSTMENT,
    ASSIGNMENT,
    CHANGE,
    DECISION,
    DECISION_LINE,
    LOG,
    PROPOSAL,
    SHEET,
    STEP,
    Row,
    chunks,
    rows,
)
from models.store.publication import PUBLICATION
from models.store.sealing import OFFICE_LOG
from models.store.sql import among, table
from models.tables import PublicationLine

PUBLICATION_LINE = table(PublicationLine)
_BY_CHANGE: tuple[Table, ...] = (ADJUSTMENT, SHEET, STEP, ASSIGNMENT, DECISION, PUBLICATION)
#: Changes read together.
_PORTION = 200


def readable(connection: Connection, query: Select[Any]) -> list[Row]:
    """The rows of a query; a value that is none of its column's kind (SQLite keeps anything) comes as it stands."""
    try:
        return rows(connection, query)
    except (ValueError, TypeError):
        columns = list(query.selected_columns)
        bare = query.with_only_columns(*(type_coerce(c, NullType()).label(c.name) for c in columns))
        types = {c.name: c.type.dialect_impl(connection.dialect) for c in columns}
        makers = {name: kind.result_processor(connection.dialect, None) for name, kind in types.items()}
        return [{name: _made(makers[name], value) for name, value in row.items()} for row in rows(connection, bare)]


def _made(maker: Any, value: Any) -> Any:
    if maker is None:
        return value
    try:
        return maker(value)
    except (ValueError, TypeError):
        return value


def changes(connection: Connection, reference: str | None = None) -> list[Row]:
    """All changes by number, or the one with this id or number."""
    query = select(CHANGE).order_by(CHANGE.c.number)
    if reference is not None:
        query = query.where((CHANGE.c.id == reference) | (CHANGE.c.number == reference))
    return readable(connection, query)


def change_portions(connection: Connection, found: Sequence[Row]) -> Iterator[tuple[Row, dict[str, list[Row]]]]:
    """Each change with the lines of its log (`change_log`) and all its rows, by table."""

    def through(target: Table, of: Table, link: ColumnElement[bool]) -> Select[Any]:
        return select(target, of.c.change_id.label("of_change")).join(of, link)

    questions: list[tuple[Table, Table, Select[Any]]] = [(target, target, select(target)) for target in _BY_CHANGE]
    questions += [
        (LOG, LOG, select(LOG).order_by(LOG.c.change_id, LOG.c.seq)),
        (DECISION_LINE, DECISION, through(DECISION_LINE, DECISION, DECISION.c.id == DECISION_LINE.c.decision_id)),
        (PROPOSAL, ADJUSTMENT, through(PROPOSAL, ADJUSTMENT, ADJUSTMENT.c.id == PROPOSAL.c.adjustment_id)),
        (VERSION, ADJUSTMENT, through(VERSION, ADJUSTMENT, ADJUSTMENT.c.id == VERSION.c.adjustment_id)),
    ]
    for start in range(0, len(found), _PORTION):
        part = found[start : start + _PORTION]
        ids = [row["id"] for row in part]
        read: dict[str, dict[str, list[Row]]] = {key: {target.name: [] for target, _, _ in questions} for key in ids}
        for target, of, query in questions:
            for row in readable(connection, query.where(among(of.c.change_id, ids))):
                read[row.pop("of_change", None) or row["change_id"]][target.name].append(row)
        for row in part:
            yield row, read[row["id"]]


def standing_rows(connection: Connection, change_id: str) -> Rows:
    """The audited columns of everything that belongs to a change, in the shape of `Replay.rows`."""
    [(change, read)] = change_portions(connection, changes(connection, change_id))
    return audited(change, read)


def audited(change: Row, read: Mapping[str, Sequence[Row]]) -> Rows:
    """The same of what `change_portions` read."""
    said: dict[str, list[Row]] = defaultdict(list)
    for line in read[DECISION_LINE.name]:
        said[line["decision_id"]].append(line)
    found: dict[str, Sequence[Row]] = {kind: read.get(kind, ()) for kind in AUDITED}
    found[CHANGE.name] = [change]
    found[PROPOSAL.name] = [{**row, "id": f"{row['adjustment_id']}:{row['no']}"} for row in read[PROPOSAL.name]]
    found[DECISION.name] = [
        {**row, "lines": differing_lines(row["verdict"], said[row["id"]])} for row in read[DECISION.name]
    ]
    return {
        kind: {str(row["id"]): {name: plain(row[name]) for name in AUDITED[kind]} for row in there}
        for kind, there in found.items()
    }


def office_lines(connection: Connection) -> list[Row]:
    """The office's own log in order."""
    return readable(connection, select(OFFICE_LOG).order_by(OFFICE_LOG.c.seq))


def heads(connection: Connection, limit: int | None = None) -> list[Row]:
    """The daily heads, the newest first."""
    query = select(OFFICE_LOG).where(OFFICE_LOG.c.verb == "日结").order_by(OFFICE_LOG.c.seq.desc())
    return rows(connection, query if limit is None else query.limit(limit))


def moved(connection: Connection) -> dict[str, list[Any]]:
    """The changes whose log grew since the last head: the number and hash of its last line, by id.

    A change somebody writes to at this moment is left for the next head.
    """
    free = select(CHANGE.c.id, CHANGE.c.log_seq).where(CHANGE.c.log_seq > CHANGE.c.headed_seq)
    last = {str(key): int(seq) for key, seq in connection.execute(free.with_for_update(skip_locked=True))}
    found: dict[str, list[Any]] = {}
    for part in chunks(sorted(last)):
        query = (
            select(LOG.c.change_id, LOG.c.seq, LOG.c.hash)
            .join(CHANGE, and_(CHANGE.c.id == LOG.c.change_id, CHANGE.c.log_seq == LOG.c.seq))
            .where(among(LOG.c.change_id, part))
        )
        found.update({str(key): [seq, digest] for key, seq, digest in connection.execute(query)})
    return found


def set_headed(connection: Connection, change_ids: Sequence[str]) -> None:
    """A head fixes these changes as they stand."""
    for part in chunks(change_ids):
        connection.execute(update(CHANGE).where(among(CHANGE.c.id, part)).values(headed_seq=CHANGE.c.log_seq))


def publications(connection: Connection, publication_id: str | None = None) -> list[Row]:
    """All publications by number, or the one with this id."""
    query = select(PUBLICATION).order_by(PUBLICATION.c.number)
    return readable(connection, query if publication_id is None else query.where(PUBLICATION.c.id == publication_id))


def rows_of_publication(connection: Connection, target: Table, publication_id: str) -> Iterator[Row]:
    """The rows of a publication in `item_version` or `publication_line`, one after the other."""
    ids = select(target.c.item_id).where(target.c.publication_id == publication_id).order_by(target.c.item_id)
    for part in chunks(sorted(set(connection.execute(ids).scalars())), 1000):
        yield from readable(
            connection,
            select(target).where(and_(target.c.publication_id == publication_id, among(target.c.item_id, part))),
        )


def stray_versions(connection: Connection) -> list[str]:
    """Versions that no publication wrote."""
    written = select(PUBLICATION.c.id).where(PUBLICATION.c.id == VERSION.c.publication_id).exists()
    return list(connection.execute(select(VERSION.c.id).where(~written).order_by(VERSION.c.id)).scalars())


def version_ends(connection: Connection) -> Iterator[tuple[list[Version], dict[str, tuple[Any, Any]]]]:
    """The versions of each item, with (valid_to, superseded_at) of each as they stand."""
    query = (
        select(
            VERSION.c.item_id,
            VERSION.c.id,
            VERSION.c.no,
            VERSION.c.valid_from,
            PUBLICATION.c.published_at,
            VERSION.c.valid_to,
            VERSION.c.superseded_at,
        )
        .join(PUBLICATION, PUBLICATION.c.id == VERSION.c.publication_id)
        .order_by(VERSION.c.no)
    )
    by_item: dict[str, list[Row]] = defaultdict(list)
    for row in readable(connection, query):
        by_item[row["item_id"]].append(row)
    for found in by_item.values():
        versions = [Version(row["id"], row["no"], row["valid_from"], row["published_at"]) for row in found]
        yield versions, {row["id"]: (row["valid_to"], row["superseded_at"]) for row in found}


def chain_fault(lines: Sequence[Row]) -> tuple[int, str] | None:
    """The first line of a chain that was `altered`, `missing` or `inserted`: its number and which."""
    prev = ""
    for wanted, line in enumerate(lines, start=1):
        if line["seq"] != wanted:
            return (wanted, "missing") if line["seq"] > wanted else (int(line["seq"]), "inserted")
        if line["prev_hash"] != prev or not isinstance(line["at"], datetime) or line_hash(line) != line["hash"]:
            return wanted, "altered"
        prev = line["hash"]
    return None


def log_lines(connection: Connection, change_id: str) -> list[Row]:
    """The whole log of a change, in order."""
    return rows(connection, select(LOG).where(LOG.c.change_id == change_id).order_by(LOG.c.seq))
