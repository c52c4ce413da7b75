"""Starting a change: see its reach first, then register it once."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, insert, select, update

from models.actions.comparing import prepare
from models.actions.impact import find_impact, known_edition, known_law, repealed_law
from models.actions.operating import refuse_where_paused
from models.domain.audit import AUDITED
from models.domain.deadlines import SHANGHAI
from models.domain.errors import BadInput, Conflict, Unknown
from models.domain.law_reach import LISTS, RULES, LawFacts, earlier_of, reach_of_law, take_out_of
from models.domain.law_text import Article
from models.domain.outside import check_storable
from models.domain.reach import Hidden, Reach, ReachRow, grouped, reach_of_request
from models.domain.requests import AgencyRequest, LawChange, read_request
from models.reference.procedures import SHORT
from models.store import catalogue, laws, office, touched
from models.store.change import CHANGE, Case, change_row, next_number, rows
from models.store.database import Database
from models.store.turns import take_turn
from models.tables import new_id

#: Longer ones fit no index of PostgreSQL.
LONGEST_KEY = 200


@dataclass(frozen=True)
class Registered:
    """What the caller of `register` gets; `existing` is true where the change stood already."""

    id: str
    number: str
    flow_run_id: str | None
    existing: bool


@dataclass(frozen=True)
class Preview:
    """The reach of a change before anything is registered."""

    trigger: str
    title: str
    rows: list[dict[str, Any]]
    count: int
    departments: int
    uncertain: int
    whole_law: list[dict[str, Any]] = field(default_factory=list)
    sheets: list[dict[str, Any]] = field(default_factory=list)
    existing: dict[str, str] | None = None
    #: Items pre-selected as "no adjustment needed", in the shape of `rows`.
    left: list[dict[str, Any]] = field(default_factory=list)
    #: How many items by rule, kind, department, confidence and road; an item counts once for each of its rules and kinds.
    counts: dict[str, Any] = field(default_factory=dict)
    #: What rules that are switched off would have found, and who switched them off, when and why.
    hidden: list[dict[str, Any]] = field(default_factory=list)
    #: What was to be taken out and is not in the reach.
    not_found: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The preview as JSON of the CLI and the API."""
        return asdict(self)


def preview(db: Database, *, trigger: str, params: dict[str, Any], now: datetime) -> Preview:
    """What a change would touch: the same finding as when it runs, and nothing is written."""
    request = read_request(trigger, params)
    _compare(db, request)
    with db.reader() as connection:
        reach = find_reach(connection, request, now)
        names = office.departments(connection)
        off = touched.rules_off(connection)
        existing = _open_with_subject(connection, subject_of(trigger, request))
    shown = [_preview_row(row, names) for row in reach.rows]
    left = [_preview_row(row, names) for row in reach.left]
    return Preview(
        trigger=trigger,
        title=request.title,
        rows=shown,
        count=len(shown),
        departments=len({row.department_id for row in reach.rows}),
        uncertain=sum(1 for row in reach.rows if not row.certain),
        whole_law=[asdict(row) for row in reach.left if row.hint["list"] == "whole_law"],
        sheets=_sheets(reach, names),
        existing=None
        if existing is None
        else {"id": existing["id"], "number": existing["number"], "title": existing["title"]},
        left=left,
        counts=_counts(shown, left),
        hidden=[_hidden(one, off) for one in reach.hidden],
        not_found=list(reach.not_found),
    )


def _compare(db: Database, request: LawChange | AgencyRequest) -> None:
    """Work out and keep how the two texts of a law change compare: the leg that assesses it holds a transaction open."""
    if isinstance(request, LawChange) and request.to_version is not None:
        with db.reader() as connection:
            law = laws.law_by_title(connection, request.law)
        if law is not None:
            prepare(db, law_id=law.id, old=request.from_version, new=request.to_version)


def _sheets(reach: Reach, names: dict[str, Any]) -> list[dict[str, Any]]:
    """The sheets that will be made of what is not taken out, with their number of items."""
    lines = [
        {"department_id": row.department_id, "outcomes": "+".join(sorted(row.outcomes)), "road": row.road, "row": row}
        for row in reach.rows
        if not row.hint.get("taken_out")
    ]
    found = []
    for key, members in grouped(lines):
        theirs = {member["department_id"]: member["row"].department_text for member in members}
        department_id, text = next(iter(theirs.items())) if len(theirs) == 1 else (None, f"{len(theirs)} 个部门")
        procedure = SHORT if key.short else key.outcomes
        department = _department(names, department_id, text)
        found.append({"department": department, "procedure": procedure, "count": len(members)})
    return found


def _counts(shown: Sequence[dict[str, Any]], left: Sequence[dict[str, Any]]) -> dict[str, Any]:
    every = [*shown, *left]
    departments: dict[str, dict[str, Any]] = {}
    for row in shown:
        here = departments.setdefault(str(row["department"]["id"]), {**row["department"], "count": 0})
        here["count"] += 1
    return {
        "rules": dict(Counter(rule for row in every for rule in row["rules"])),
        "kinds": dict(Counter(kind for row in every for kind in row["kinds"])),
        "departments": sorted(departments.values(), key=lambda one: (-one["count"], one["name"])),
        "confidence": {
            "certain": sum(1 for row in shown if row["certain"]),
            "to_check": sum(1 for row in shown if not row["certain"]),
        },
        "roads": dict(Counter(row["road"] or "full" for row in every)),
    }


def _hidden(one: Hidden, off: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    by = off[one.rule]
    return {
        "rule": one.rule, "name": RULES[one.rule], "rows": one.rows, "items": one.items,
        "by": {"id": by["person_id"], "name": by["name"]},
        "at": by["at"].astimezone(SHANGHAI).isoformat(timespec="seconds"), "reason": by["reason"],
    }  # fmt: skip


def _department(names: dict[str, Any], department_id: str | None, text: str) -> dict[str, str | None]:
    row = names.get(department_id or "")
    return {"id": department_id, "name": row.short if row else text}


def _preview_row(row: ReachRow, names: dict[str, Any]) -> dict[str, Any]:
    return {
        "item": row.item_id,
        "code": row.code,
        "name": row.name,
        "department": _department(names, row.department_id, row.department_text),
        "outcomes": list(row.outcomes),
        "article": row.article,
        "change": row.change,
        "certain": row.certain,
        "selected": row.road != "none" and not row.hint.get("taken_out"),
        "reason": row.reason,
        "road": row.road,
        "list": row.hint.get("list", "rows"),
        "rules": row.hint.get("rules", []),
        "kinds": row.hint.get("kinds", []),
        "confidence": row.hint.get("confidence", 1.0),
        "gap": row.hint.get("gap"),
        "articles": row.hint.get("articles", []),
        "earlier": row.hint.get("earlier", []),
        "taken_out": row.hint.get("taken_out"),
    }


def find_reach(connection: Connection, request: LawChange | AgencyRequest, now: datetime) -> Reach:
    """The items concerned by a request with what is proposed for each."""
    if isinstance(request, LawChange):
        return _law_reach(connection, request, now)
    targets: list[catalogue.VersionRow | None] = []
    for wanted in request.items:
        if wanted.target is None:
            targets.append(None)
            continue
        found = catalogue.find_target(connection, wanted.target.kind, wanted.target.code)
        if found is None:
            raise Unknown("item_unknown", f"没有编码为 {wanted.target.code} 的事项。", code=wanted.target.code)
        targets.append(found)
    known = {d.id for d in office.departments(connection).values()}
    resolved = []
    for wanted in request.items:
        values = dict(wanted.set)
        if isinstance(values.get("department"), str):
            department_id = office.find_department(connection, values["department"])
            if department_id is None:
                raise Unknown(
                    "department_unknown", f"没有名为“{values['department']}”的部门。", name=values["department"]
                )
            values["department"] = department_id
        resolved.append(wanted.model_copy(update={"set": values}))
    return reach_of_request(resolved, targets, known)


def _law_reach(connection: Connection, request: LawChange, now: datetime) -> Reach:
    law, old, new = _texts(connection, request)
    found = find_impact(
        connection, law=request.law, from_edition=request.from_version, to_edition=request.to_version, now=now
    )
    ids = sorted({row.item_id for part in LISTS for row in getattr(found, part)})
    reach = reach_of_law(
        found,
        LawFacts(law.canonical, law.title, request.from_version, request.to_version, old, new),
        catalogue.current_versions(connection, ids),
        off=touched.rules_off(connection),
    )
    before = touched.left_before(connection, ids)
    for row in reach.every:
        row.hint["earlier"] = earlier_of(row.hint["articles"], before.get(row.item_id or "", ()))
    return take_out_of(reach, {one.item: one.reason for one in request.take_out})


def _texts(connection: Connection, request: LawChange) -> tuple[laws.LawRow, list[Article], list[Article] | None]:
    """The law with its old and its new text; refuses what the library does not have."""
    law = _known(connection, request)
    old = laws.articles(connection, law.id, request.from_version)
    new = None if request.to_version is None else laws.articles(connection, law.id, request.to_version)
    return law, old, new


def _known(connection: Connection, request: LawChange) -> laws.LawRow:
    """The law of a change; of a repealed one that is cited no text need be held."""
    known = known_law if request.to_version else repealed_law
    law = known(connection, request.law)
    for edition in (request.from_version, request.to_version):
        if edition is not None and law.id:
            known_edition(connection, law, edition)
    if request.to_version is not None and request.to_version <= request.from_version:
        message = f"“新文本”（{request.to_version}）应晚于“旧文本”（{request.from_version}）。"
        raise BadInput("field_invalid", message, field="to_version")
    return law


def subject_of(trigger: str, request: LawChange | AgencyRequest) -> str | None:
    """What one open change is enough for: a law with its two versions."""
    if isinstance(request, LawChange):
        return f"{trigger}|{request.law}|{request.from_version}|{request.to_version}"
    return None


def _open_with_subject(connection: Connection, subject: str | None) -> dict[str, Any] | None:
    if subject is None:
        return None
    found = rows(connection, select(CHANGE).where(and_(CHANGE.c.subject == subject, CHANGE.c.state == "open")))
    return found[0] if found else None


def register(
    db: Database,
    *,
    trigger: str,
    params: dict[str, Any],
    by: str | None,
    via: str,
    key: str | None = None,
    again: bool = False,
    now: datetime,
) -> Registered:
    """Register a change once: the same key, or the same open law and versions, answers with the one that stands.

    Raises `Unknown` (law, version, item, department, person), `BadInput`, `Conflict request_reused` and `Unusable
    starts_paused`.
    """
    request = read_request(trigger, params)
    check_storable(key)
    if key is not None and not 1 <= len(key) <= LONGEST_KEY:
        raise BadInput("field_invalid", f"请求编号应为 1 至 {LONGEST_KEY} 个字符，现为 {len(key)} 个。", field="key")
    stored = request.stored()
    body_hash = hashlib.sha256(json.dumps([trigger, stored], sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    _compare(db, request)

    def verb(connection: Connection) -> Registered:
        take_turn(connection, "register")
        if key is not None:
            found = rows(connection, select(CHANGE).where(CHANGE.c.idempotency_key == key))
            if found:
                _same_request(found[0], body_hash)
                return _registered(found[0], True)
        subject = subject_of(trigger, request)
        standing = None if again else _open_with_subject(connection, subject)
        if standing is not None:
            return _registered(standing, True)
        refuse_where_paused(connection)
        starter = None if by is None else office.person(connection, by)
        _check_names(connection, request, now)
        return _insert(
            connection, trigger, request, stored, starter, via, key, None if again else subject, body_hash, now
        )

    return db.write(verb)


def _same_request(row: dict[str, Any], body_hash: str) -> None:
    if row["params"].get("_hash") not in (None, body_hash):
        raise Conflict("request_reused", "同一请求编号已用于另一份内容，本次未记录。请刷新页面后重新提交。")


def _registered(row: dict[str, Any], existing: bool) -> Registered:
    return Registered(id=row["id"], number=row["number"], flow_run_id=row["flow_run_id"], existing=existing)


def _check_names(connection: Connection, request: LawChange | AgencyRequest, now: datetime) -> None:
    """A law, a version or an item nobody knows is refused before anything is registered."""
    if isinstance(request, AgencyRequest):
        find_reach(connection, request, now)
        return
    _known(connection, request)


def _insert(
    connection: Connection,
    trigger: str,
    request: LawChange | AgencyRequest,
    stored: dict[str, Any],
    starter: Any,
    via: str,
    key: str | None,
    subject: str | None,
    body_hash: str,
    now: datetime,
) -> Registered:
    change_id = new_id("chg")
    number = next_number(connection, now.year)
    coordinator = _coordinator(connection, starter, now)
    connection.execute(
        insert(CHANGE).values(
            id=change_id,
            number=number,
            idempotency_key=key or change_id,
            subject=subject,
            trigger=trigger,
            title=request.title,
            reason=request.reason or _cause(request),
            params={**stored, "_hash": body_hash},
            phase="registered",
            state="open",
            starter_id=None if starter is None else starter.id,
            coordinator_id=coordinator,
            via=via,
            effective_on=request.effective_on,
            created_at=now,
            log_seq=0,
            work_seq=0,
            consumed_seq=0,
            attempt=1,
            leg_no=0,
        )
    )
    case = Case(connection, change_id, now)
    case.became("change", [change_id], **{name: case.row[name] for name in AUDITED["change"]})
    case.vouch(CHANGE, [case.row])
    case.log("登记", who=None if starter is None else starter.id, via=via, about=number, work=True, title=request.title)
    case.flush()
    return Registered(id=change_id, number=number, flow_run_id=None, existing=False)


def _cause(request: LawChange | AgencyRequest) -> str:
    if isinstance(request, LawChange):
        what = "废止" if request.to_version is None else f"{request.to_version.year}年文本"
        return f"《{request.law}》{what}"
    return request.title


def _coordinator(connection: Connection, starter: Any, now: datetime) -> str | None:
    """The change's coordinator: the starter if he is one, else the first of the catalogue office."""
    holders: Sequence[Any] = office.coordinators(connection, now.astimezone(SHANGHAI).date())
    ids = [holder.person_id for holder in holders]
    if starter is not None and starter.id in ids:
        return str(starter.id)
    return ids[0] if ids else None


def started(db: Database, *, change_id: str, attempt: int, flow_run_id: str) -> None:
    """Remember the run of a change; an older attempt's run is not taken."""

    def verb(connection: Connection) -> None:
        connection.execute(
            update(CHANGE)
            .where(and_(CHANGE.c.id == change_id, CHANGE.c.attempt == attempt))
            .values(flow_run_id=flow_run_id)
        )

    db.write(verb)


def find_change(db: Database, *, change_id: str) -> dict[str, Any]:
    """The row of a change by id or number, for the ways in."""
    with db.reader() as connection:
        return change_row(connection, change_id)
