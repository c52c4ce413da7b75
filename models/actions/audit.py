"""The audit log proved: chains, what they vouch for, daily heads, and what publications made of the catalogue.

seal_day(db) -> bool              the daily head over all changes, once a day
verify(db) -> Report              the first altered, missing or inserted row of each chain
"""

from __future__ import annotations

import hmac
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from models.domain.audit import Rows, differences, replay
from models.domain.deadlines import SHANGHAI
from models.domain.errors import BadInput, Unknown, Unusable
from models.domain.seals import compare, ends, key_of
from models.domain.vocabulary import VERDICT_RECORD
from models.store import audit as store
from models.store.change import Row
from models.store.database import Database
from models.store.migrate import current, head
from models.store.sealing import OfficeLog

TABLES = {
    "office_log": "机关日志",
    "change_log": "变更日志",
    "change": "变更",
    "adjustment": "调整",
    "sheet": "调整单",
    "step": "环节",
    "assignment": "待办",
    "proposal": "拟调整内容",
    "decision": "意见",
    "decision_line": "逐项意见",
    "publication": "发布",
    "publication_line": "发布明细",
    "item_version": "事项版本",
}
WHAT = {"altered": "被改动", "missing": "缺失", "inserted": "多出"}
#: The tables of a publication that a line of a log vouches for.
_PUBLISHED = {"publication_line": store.PUBLICATION_LINE, "item_version": store.VERSION}
_CATALOGUE = {*_PUBLISHED, "publication"}


@dataclass(frozen=True)
class Finding:
    """A row that is `altered`, `missing` or `inserted`; `seq` is the line of the log that vouches for it."""

    change: str | None
    seq: int | None
    table: str
    row: str
    what: str
    detail: str = ""

    @property
    def message(self) -> str:
        """The finding as a sentence."""
        where = f"变更 {self.change} " if self.change else ""
        line = f"日志第 {self.seq} 行" if self.seq else ""
        of = (
            ""
            if self.table in {"change_log", "office_log"}
            else f"{'所记的' if line else ''}{TABLES[self.table]} {self.row} "
        )
        name = "机关" if self.table == "office_log" or (line and not where) else ""
        return f"{where}{name}{line}{of}{WHAT[self.what]}{f'（{self.detail}）' if self.detail else ''}。"


@dataclass
class Report:
    """What was looked at and what was found; `unsealed` rows were written before logs vouched for rows."""

    changes: int = 0
    lines: int = 0
    rows: int = 0
    unsealed: int = 0
    head: dict[str, Any] | None = None
    findings: list[Finding] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The answer of `audit verify --json`."""
        found = [{**asdict(one), "message": one.message} for one in self.findings]
        return {"ok": not found, **{name: value for name, value in vars(self).items()}, "findings": found}


# --- the daily head ------------------------------------------------------------------------------------------------


def seal_day(db: Database, *, now: datetime) -> bool:
    """Write today's head if there is none: the last line of every change whose log grew since the last head."""
    today = now.astimezone(SHANGHAI).date().isoformat()
    with db.reader() as connection:
        if _newest_day(connection) == today:
            return False

    def verb(connection: Connection) -> bool:
        log = OfficeLog(connection, now)
        log.wait()
        if _newest_day(connection) == today:
            return False
        moved = store.moved(connection)
        store.set_headed(connection, sorted(moved))
        log.line("日结", about=today, day=today, changes=moved)
        return True

    return db.write(verb)


def _newest_day(connection: Connection) -> str | None:
    found = store.heads(connection, limit=1)
    return str(found[0]["object"]) if found else None


def newest_head(db: Database) -> dict[str, Any] | None:
    """The newest daily head, to be kept outside: `day`, `seq`, `hash`; None before the first day."""
    with db.reader() as connection:
        return _head(store.heads(connection, limit=1))


def _head(found: Sequence[Row]) -> dict[str, Any] | None:
    return {"day": found[0]["object"], "seq": found[0]["seq"], "hash": found[0]["hash"]} if found else None


# --- verify --------------------------------------------------------------------------------------------------------


def verify(db: Database, *, change: str | None = None, kept: Sequence[str] = ()) -> Report:
    """Prove the log and what it vouches for, of everything or of one change (id or number).

    `kept` are heads that were kept outside, `SEQ:HASH`. Raises `Unknown change_unknown`, `Unusable schema_old`,
    `BadInput field_invalid`.
    """
    wanted = [_kept(text) for text in kept]
    with db.snapshot() as connection:
        if current(connection) not in {None, head()}:
            raise Unusable("schema_old", "数据的版本与程序不一致，请先启动一次系统完成升级，再校验。")
        return prove(connection, change, wanted)


def prove(connection: Connection, change: str | None = None, kept: Sequence[tuple[int, str]] = ()) -> Report:
    """As `verify`, on what this connection sees."""
    proof = _Proof(connection)
    proof.office(kept)
    found = store.changes(connection, change)
    if change is not None and not found:
        raise Unknown("change_unknown", f"没有编号为 {change} 的变更。")
    proof.changes(found, alone=change is not None)
    if change is None:
        proof.catalogue()
    return proof.report


def _kept(text: str) -> tuple[int, str]:
    seq, _, digest = text.strip().partition(":")
    # A slip of the hand must not read as somebody's tampering.
    if not re.fullmatch(r"[0-9]{1,18}", seq) or not re.fullmatch(r"[0-9a-fA-F]{64}", digest.strip()):
        raise BadInput("field_invalid", f"“--head”应为 `audit head` 打印的“序号:校验值”，现为“{text}”。", field="head")
    return int(seq), digest.strip().lower()


class _Proof:
    """One walk over everything, on one snapshot."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.report = Report()
        self.fixed: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
        self.sealed_by_office: list[Row] = []
        self.claimed: set[str] = set()
        self.earlier: set[str] | None = None

    def say(
        self,
        table: str,
        what: str,
        *,
        change: Row | None = None,
        seq: int | None = None,
        row: str = "",
        detail: str = "",
    ) -> None:
        number = None if change is None else str(change["number"])
        self.report.findings.append(Finding(number, seq, table, row, what, detail))

    # --- the office's log

    def office(self, kept: Sequence[tuple[int, str]]) -> None:
        lines = store.office_lines(self.connection)
        self.report.lines += len(lines)
        fault = store.chain_fault(lines)
        if fault is not None:
            self.say("office_log", fault[1], seq=fault[0])
            lines = lines[: fault[0] - 1]
        by_number = {int(line["seq"]): line for line in lines}
        for seq, digest in kept:
            if seq not in by_number:
                self.say("office_log", "missing", seq=seq, detail="与另存的日结不符")
            elif not hmac.compare_digest(str(by_number[seq]["hash"]).encode(), digest.encode()):
                self.say("office_log", "altered", seq=seq, detail="与另存的日结不符")
        for line in lines:
            if line["verb"] == "启用":
                self.earlier = set(line["data"]["publications"])
            elif line["verb"] == "日结":
                for change_id, (last, digest) in line["data"]["changes"].items():
                    self.fixed[change_id].append((int(last), str(digest), str(line["object"])))
        self.report.head = _head([line for line in reversed(lines) if line["verb"] == "日结"][:1])
        self.sealed_by_office = [line for line in lines if line["sealed"]]

    # --- changes

    def changes(self, found: Sequence[Row], *, alone: bool) -> None:
        for change, read in store.change_portions(self.connection, found):
            self.report.changes += 1
            lines = read["change_log"]
            self.report.lines += len(lines)
            sound = self._chain(change, lines)
            self._heads(change, lines)
            if sound:
                self._rows(change, read)
                self._replayed(change, lines, store.audited(change, read))
        if not alone:
            here = {row["id"] for row in found}
            for change_id in sorted(set(self.fixed) - here):
                seq, _, day = self.fixed[change_id][-1]
                self.say("change", "missing", row=change_id, detail=f"{day} 日结时有 {seq} 行日志")

    def _chain(self, change: Row, lines: Sequence[Row]) -> bool:
        """Whether what the lines say can be relied on."""
        fault = store.chain_fault(lines)
        if fault is not None:
            self.say("change_log", fault[1], change=change, seq=fault[0])
        elif not isinstance(change["log_seq"], int):
            self.say("change", "altered", change=change, row=change["id"], detail="log_seq")
        elif change["log_seq"] > len(lines):
            self.say("change_log", "missing", change=change, seq=len(lines) + 1)
        elif change["log_seq"] < len(lines):
            self.say("change_log", "inserted", change=change, seq=change["log_seq"] + 1)
        return fault is None

    def _heads(self, change: Row, lines: Sequence[Row]) -> None:
        by_number = {int(line["seq"]): str(line["hash"]) for line in lines}
        fixed = self.fixed.get(change["id"], [])
        for seq, digest, day in fixed:
            if by_number.get(seq) != digest:
                what = "altered" if seq in by_number else "missing"
                self.say("change_log", what, change=change, seq=seq, detail=f"与 {day} 日结不符")
                return
        if change["headed_seq"] != (fixed[-1][0] if fixed else 0):
            self.say("change", "altered", change=change, row=change["id"], detail="headed_seq")

    def _replayed(self, change: Row, lines: Sequence[Row], standing: Rows) -> None:
        """What the log says became of everything is what the tables say."""
        named = {(finding.table, finding.row) for finding in self.report.findings}
        for one in differences(replay(lines), standing):
            if (one.kind, one.id) not in named:
                what = (
                    "missing"
                    if one.standing is None and not one.column
                    else "inserted"
                    if not one.column
                    else "altered"
                )
                self.say(one.kind, what, change=change, seq=one.seq, row=one.id, detail=one.column)
                named.add((one.kind, one.id))

    def _rows(self, change: Row, read: Mapping[str, list[Row]]) -> None:
        decisions = {row["id"]: row for row in read["decision"]}
        of_decision: dict[str, list[Row]] = defaultdict(list)
        of_line: dict[int | None, list[Row]] = defaultdict(list)
        for row in read["decision_line"]:
            of_decision[row["decision_id"]].append(row)
        for row in read["proposal"]:
            of_line[row["log_seq"]].append(row)
        loose = {"decision": dict(decisions), "proposal": {key_of("proposal", row): row for row in read["proposal"]}}
        before: datetime | None = None
        for line in read["change_log"]:
            made = line["data"].get("decision")
            if line["sealed"] is None:
                if made is not None or line["verb"] in {"梳理", "暂存"}:
                    before = line["at"]
                if made is not None and loose["decision"].pop(made, None) is not None:
                    self.report.unsealed += 1
                self._unsealed_publication(line)
                continue
            members: dict[str, list[Row]] = {
                "change": [change],
                "proposal": of_line[line["seq"]],
                "decision": [decisions[made]] if made in decisions else [],
                "decision_line": of_decision.pop(made, []) if made else [],
            }
            loose["decision"].pop(made, None)
            for row in members["proposal"]:
                loose["proposal"].pop(key_of("proposal", row), None)
            self._sealed(line, members, change)
        for row in list(loose["proposal"].values()):
            dated = before is not None and isinstance(row["at"], datetime)
            if row["log_seq"] is None and dated and row["at"] <= before:
                self.report.unsealed += 1
            else:
                self.say("proposal", "inserted", change=change, row=key_of("proposal", row))
        for key in loose["decision"]:
            self.say("decision", "inserted", change=change, row=key)
        for row in decisions.values():
            if row["undone_at"] is not None and not _undone(row, read["change_log"]):
                self.say("decision", "altered", change=change, row=row["id"], detail="undone_at")

    def _unsealed_publication(self, line: Row) -> None:
        publication = line["data"].get("publication")
        if publication is not None and self.earlier is not None:
            self.earlier.add(publication)

    # --- rows

    def _sealed(self, line: Row, members: Mapping[str, list[Row]], change: Row | None) -> None:
        """What a line vouches for is there as it was written."""
        publication = line["data"].get("publication")
        for name, seal in line["sealed"].items():
            found: Iterable[Row] = members.get(name, [])
            if name in _PUBLISHED:
                found = store.rows_of_publication(self.connection, _PUBLISHED[name], str(publication))
            elif name == "publication":
                found = store.publications(self.connection, str(publication))
                self.claimed.add(str(publication))
            self.report.rows += seal["n"]
            difference = compare(name, seal, found)
            if difference is not None:
                detail = _column(members["decision"], line) if name == "decision" else ""
                key = difference.key or (line["data"].get("decision") or publication or "")
                self.say(name, difference.what, change=change, seq=line["seq"], row=key, detail=detail)

    # --- the catalogue

    def catalogue(self) -> None:
        """Publications no change made, and the ends of all versions."""
        for line in self.sealed_by_office:
            self._sealed(line, {}, None)
        for row in store.publications(self.connection):
            if row["id"] in self.claimed:
                continue
            if self.earlier is None or row["id"] in self.earlier:
                self.report.unsealed += 1
            else:
                self.say("publication", "inserted", row=row["number"])
        for version_id in store.stray_versions(self.connection):
            self.say("item_version", "inserted", row=version_id)
        if any(finding.table in _CATALOGUE for finding in self.report.findings):
            return  # the ends are reckoned from rows that were proved
        for versions, standing in store.version_ends(self.connection):
            for version_id, wanted in ends(versions).items():
                for column, here, there in zip(
                    ("valid_to", "superseded_at"), standing[version_id], wanted, strict=True
                ):
                    if here != there:
                        self.say("item_version", "altered", row=version_id, detail=column)


def _undone(decision: Row, lines: Iterable[Row]) -> bool:
    return any(line["data"].get("undone") == decision["id"] and line["at"] == decision["undone_at"] for line in lines)


def _column(found: Sequence[Row], line: Row) -> str:
    """The column in which a decision differs from the words of its line, where the line says it too."""
    for row in found:
        told: Iterator[tuple[str, bool]] = iter(
            [
                ("verdict", VERDICT_RECORD.get(row["verdict"]) == line["verb"]),
                ("person_id", row["person_id"] == line["who"]),
                ("acting_for_id", row["acting_for_id"] == line["acting_for"]),
                ("via", row["via"] == line["via"]),
                ("at", row["at"] == line["at"]),
                ("step_id", row["step_id"] == line["object"]),
                *((name, row[name] == line["data"].get(name)) for name in ("comment", "revision", "proof")),
            ]
        )
        return next((name for name, same in told if not same), "")
    return ""
