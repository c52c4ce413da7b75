"""What the audit log of a change says, and what its tables say of the same: the two sides of an audit."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table, select

from models.domain.audit import AUDITED, Rows, differing_lines, plain
from models.store.catalogue import VERSION
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
    rows,
)
from models.store.publication import PUBLICATION

_BY_CHANGE: tuple[Table, ...] = (ADJUSTMENT, SHEET, STEP, ASSIGNMENT, DECISION, PUBLICATION)


def log_lines(connection: Connection, change_id: str) -> list[Row]:
    """The whole log of a change, in order."""
    return rows(connection, select(LOG).where(LOG.c.change_id == change_id).order_by(LOG.c.seq))


def standing_rows(connection: Connection, change_id: str) -> Rows:
    """The audited columns of everything that belongs to a change, in the shape of `Replay.rows`."""
    its_own = ADJUSTMENT.c.change_id == change_id
    found = {CHANGE.name: rows(connection, select(CHANGE).where(CHANGE.c.id == change_id))}
    for target in _BY_CHANGE:
        found[target.name] = rows(connection, select(target).where(target.c.change_id == change_id))
    proposals = select(PROPOSAL).join(ADJUSTMENT, ADJUSTMENT.c.id == PROPOSAL.c.adjustment_id).where(its_own)
    found[PROPOSAL.name] = [{**row, "id": f"{row['adjustment_id']}:{row['no']}"} for row in rows(connection, proposals)]
    versions = select(VERSION).join(ADJUSTMENT, ADJUSTMENT.c.id == VERSION.c.adjustment_id).where(its_own)
    found[VERSION.name] = rows(connection, versions)
    said: dict[str, list[Row]] = {}
    lines = select(DECISION_LINE).join(DECISION, DECISION.c.id == DECISION_LINE.c.decision_id)
    for line in rows(connection, lines.where(DECISION.c.change_id == change_id)):
        said.setdefault(line["decision_id"], []).append(line)
    for row in found[DECISION.name]:
        row["lines"] = differing_lines(row["verdict"], said.get(row["id"], ()))
    return {kind: {str(row["id"]): _audited(kind, row) for row in there} for kind, there in found.items()}


def _audited(kind: str, row: Row) -> dict[str, Any]:
    return {name: plain(row[name]) for name in AUDITED[kind]}
