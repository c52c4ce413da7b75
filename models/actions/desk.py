"""The desk: what lies open for one person in one change, and the decisions given there.

All or nothing in one transaction; the same request id gives the same answer; a race has a friendly loser.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Connection, Select, and_, bindparam, exists, func, or_, select
from sqlalchemy.exc import IntegrityError

from models.actions.notices import at_text, contact_of
from models.actions.supervising import supervised
from models.domain.audit import differing_lines
from models.domain.content import FIELDS, ItemContent, apply_set, changed_fields, fields_for
from models.domain.errors import BadInput, Conflict, Forbidden, Refusal
from models.domain.four_eyes import FREE, barred
from models.domain.outside import check_storable, one_line
from models.domain.procedure import StageRule, one_is_enough
from models.domain.proof import asked_proof, check_shown
from models.domain.reach import proposal_hash
from models.domain.review import (
    LINE_VERDICTS,
    REASON_NEEDED,
    accepted,
    revision_of,
    scope_preset,
    stamp_of,
    verdicts_of,
)
from models.domain.vocabulary import STAGE_NAMES, VERDICT_RECORD
from models.store import office
from models.store.catalogue import versions_by_id
from models.store.change import (
    ASSIGNMENT,
    DECISION,
    DECISION_LINE,
    SHEET,
    STEP,
    Case,
    Row,
    Wake,
    add_proposals,
    add_rows,
    adjustments_of_step,
    adjustments_of_steps,
    ask_of_proposals,
    ask_of_steps,
    change_row,
    chunks,
    drafters,
    is_drafted,
    procedure_of,
    proposals_before_round,
    rows,
    set_adjustments,
    set_assignments,
    standing_proposals,
    step_lines,
    wake_of,
)
from models.store.database import Database
from models.store.pipeline import ask_ahead
from models.store.sealing import OfficeLog
from models.store.sql import among, among_named, insert_all, stands_already, table, written
from models.tables import Request, new_id

REQUEST = table(Request)
#: Of how much of what was said, and of how many steps, a desk shows what came of it: the newest.
REMARKS, DECIDED = 20, 20
_OF_STEP = tuple(column.name for column in STEP.c)


class LineIn(BaseModel):
    """What is said of one adjustment."""

    model_config = ConfigDict(extra="ignore")
    verdict: str | None = None
    remark: str = Field(default="", max_length=4000)
    proposal: dict[str, Any] | None = None
    revision: str | None = None


class DecisionIn(BaseModel):
    """What is said of one assignment."""

    model_config = ConfigDict(extra="ignore")
    assignment: str
    revision: str = ""
    verdict: str
    comment: str = Field(default="", max_length=4000)
    adjustments: dict[str, LineIn] = Field(default_factory=dict)


class Submission(BaseModel):
    """One POST of a desk."""

    model_config = ConfigDict(extra="ignore")
    request_id: str = Field(min_length=1, max_length=100)
    decisions: list[DecisionIn] = Field(min_length=1, max_length=200)


@dataclass(frozen=True)
class Decided:
    """The answer, and whom to wake (nobody, if nothing was decided)."""

    answer: dict[str, Any]
    wake: Wake | None


# --- reading -------------------------------------------------------------------------------------------------------


def desk(db: Database, *, person_id: str, change_id: str, now: datetime, office_proof: str = "none") -> dict[str, Any]:
    """The desk as JSON of the contract; what the page shows besides stands under further keys.

    `office_proof` is the office's setting; each assignment says which proof it asks for.
    """
    with db.reader() as connection:
        change = change_row(connection, change_id)
        person = office.person(connection, person_id)
        shared = office.shares_address(connection, person_id)
        lies_open = rows(connection, _lies_open(), change_id=change["id"], person_id=person_id)
        found = [_assignment(connection, change, row, now) for row in lies_open if not _settled(connection, row)]
        for one in found:
            one["proof"] = asked_proof(one["stage"], one["proof"], office_proof, shared=shared)
        return {
            "person": {"id": person.id, "name": person.name},
            "change": {
                "id": change["id"],
                "number": change["number"],
                "title": change["title"],
                "trigger": change["trigger"],
                "state": change["state"],
                "reason": change["reason"],
                "coordinator": _person_json(connection, change["coordinator_id"]),
            },
            "assignments": found,
            "shared": shared,
            "supervised": supervised(connection, change, person_id, now, office_proof),
            "decided": decided_by(connection, change["id"], person_id),
        }


@cache
def _lies_open() -> Select[Any]:
    said = exists().where(DECISION.c.step_id == STEP.c.id, DECISION.c.undone_at.is_(None)).label("said")
    return (
        select(ASSIGNMENT, STEP.c.stage, STEP.c.round, STEP.c.due_on, STEP.c.provisional, STEP.c.sheet_id, said)
        .join(STEP, STEP.c.id == ASSIGNMENT.c.step_id)
        .where(
            and_(
                ASSIGNMENT.c.change_id == bindparam("change_id"),
                ASSIGNMENT.c.person_id == bindparam("person_id"),
                ASSIGNMENT.c.state == "open",
                STEP.c.state == "open",
            )
        )
        .order_by(STEP.c.due_on, ASSIGNMENT.c.opened_at)
    )


def _settled(connection: Connection, row: Row) -> bool:
    """Whether a colleague has decided for all, though no leg has taken it up: nobody should work on it in vain meanwhile."""
    return bool(row["said"]) and one_is_enough(_stage_rule(connection, row["stage"], _sheet_of(connection, row)))


def _person_json(connection: Connection, person_id: str | None) -> dict[str, str] | None:
    if person_id is None:
        return None
    return {"id": person_id, "name": office.name_of(connection, person_id)}


def _assignment(connection: Connection, change: Row, row: Row, now: datetime) -> dict[str, Any]:
    members = adjustments_of_step(connection, row["step_id"])
    proposals = standing_proposals(connection, [a["id"] for a in members])
    returned = proposals_before_round(connection, proposals, row["round"]) if row["round"] > 1 else {}
    bases = versions_by_id(connection, [a["base_version_id"] for a in members if a["base_version_id"]])
    remarks = _remarks(connection, row, [a["id"] for a in members])
    sheet = _sheet_of(connection, row)
    verdicts = verdicts_of(row["stage"], drafted=is_drafted(connection, sheet))
    return {
        "id": row["id"],
        "acting_for": _person_json(connection, row["acting_for_id"]),
        "sheet": row["sheet_id"],
        "stage": row["stage"],
        "stage_name": STAGE_NAMES[row["stage"]],
        "round": row["round"],
        "revision": _revision(row["step_id"], members, proposals),
        "due": None if row["due_on"] is None else row["due_on"].isoformat(),
        "provisional": row["provisional"],
        "verdicts": list(verdicts),
        "line_verdicts": list(LINE_VERDICTS.get(row["stage"], verdicts)),
        "proof": _own_proof(connection, row["stage"], sheet),
        "department": "" if sheet is None else sheet["department_name"],
        "procedure": "" if sheet is None else sheet["procedure_key"],
        "others": _others(connection, row),
        "next_stage": _next_stage(connection, sheet),
        "adjustments": [
            _adjustment(
                a,
                proposals.get(a["id"]),
                returned.get(a["id"]),
                bases.get(a["base_version_id"] or ""),
                remarks.get(a["id"], []),
                now,
            )
            | (_preset(a) if row["stage"] == "scope" else {})
            for a in members
        ],
    }


def _preset(row: Row) -> dict[str, str]:
    """What the scope step proposes for a row: a `confirm` of the whole takes it so."""
    verdict, reason = scope_preset(row["road"], row["hint"], row["reason"])
    return {"preset": verdict, "preset_reason": reason}


def _others(connection: Connection, row: Row) -> list[dict[str, Any]]:
    """Who else was asked for the same step."""
    query = (
        select(ASSIGNMENT.c.person_id, ASSIGNMENT.c.state, office.PERSON.c.name)
        .join(office.PERSON, office.PERSON.c.id == ASSIGNMENT.c.person_id)
        .where(and_(ASSIGNMENT.c.step_id == row["step_id"], ASSIGNMENT.c.id != row["id"]))
    )
    return [
        {"person": {"id": other["person_id"], "name": other["name"]}, "state": other["state"]}
        for other in rows(connection, query)
    ]


def _next_stage(connection: Connection, sheet: Row | None) -> str:
    """What follows when this position is passed; of a parallel group all its stages."""
    if sheet is None:
        return STAGE_NAMES["draft"]
    positions = procedure_of(connection, sheet).positions()
    if sheet["position"] + 1 >= len(positions):
        return STAGE_NAMES["publishing"]
    return "、".join(STAGE_NAMES[rule.code] for rule in positions[sheet["position"] + 1])


def _adjustment(
    row: Row, proposal: Row | None, returned: Row | None, base: Any, remarks: list[dict[str, Any]], now: datetime
) -> dict[str, Any]:
    declined = proposal is not None and proposal["kind"] == "decline"
    return {
        "id": row["id"],
        "target": {"kind": row["kind"], "code": row["code"], "name": row["name"]},
        "outcomes": row["outcomes"].split("+"),
        "before": fields_json(None if base is None else base.content),
        "proposed": fields_json(None if proposal is None else proposal["content"]),
        "declined": declined,
        "last_returned": fields_json(None if returned is None else returned["content"]),
        "remarks": remarks,
        "documents": [],
        "revision": row["revision"],
        "reason": row["reason"],
        "uncertain": row["uncertain"],
        "hint": row["hint"],
        "road": row["road"],
        "state": row["state"],
        "drafting_remark": "" if proposal is None else proposal["remark"],
    }


def fields_json(content: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Every field of the list of fields, null where there is none; None where there is no content at all."""
    if content is None:
        return None
    return {info.name: content.get(info.name) for info in FIELDS}


def _remarks(connection: Connection, row: Row, adjustment_ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """What was said of each adjustment last, at most `REMARKS`, oldest first; what was said before stands in the change."""
    found: dict[str, list[dict[str, Any]]] = {}
    given = {"change_id": row["change_id"], "sheet_id": row["sheet_id"], "since": row["round"] - REMARKS}
    # Each return gives a reason: so many rounds hold, mostly, all that is shown. Worth asking where as many went before.
    for lately in (True, False) if given["since"] > REMARKS else (False,):
        few = [one for one in adjustment_ids if len(found.get(one, ())) < REMARKS]
        for part in chunks(few):
            found |= _said(rows(connection, _last_remarks(lately), **given, adjustment_ids=part))
    return found


def _said(found: Sequence[Row]) -> dict[str, list[dict[str, Any]]]:
    said: dict[str, list[dict[str, Any]]] = {}
    for row in found:
        said.setdefault(row["adjustment_id"], []).append(
            {
                "person": {"id": row["person_id"], "name": row["name"]},
                "at": row["at"].isoformat(),
                "text": row["remark"] or row["comment"],
                "stage": row["stage"],
                "verdict": row["verdict"],
            }
        )
    return said


@cache
def _last_remarks(lately: bool) -> Select[Any]:
    """The newest remarks by adjustment, of all rounds or of a sheet's since one; those of a step that is still open are
    nobody's business yet.
    """
    newest = func.row_number().over(partition_by=DECISION_LINE.c.adjustment_id, order_by=DECISION.c.at.desc())
    still_open = select(STEP.c.id).where(STEP.c.change_id == bindparam("change_id"), STEP.c.state == written("open"))
    said = (
        select(DECISION_LINE.c.adjustment_id, DECISION_LINE.c.decision_id, newest.label("newest"))
        .join(DECISION, DECISION.c.id == DECISION_LINE.c.decision_id)
        .where(
            among_named(DECISION_LINE.c.adjustment_id, "adjustment_ids"),
            DECISION_LINE.c.decision_id.in_(_lately()) if lately else DECISION.c.step_id.not_in(still_open),
            or_(DECISION_LINE.c.remark != written(""), DECISION.c.comment != written("")),
        )
        .subquery()
    )
    its_line = and_(
        DECISION_LINE.c.decision_id == said.c.decision_id, DECISION_LINE.c.adjustment_id == said.c.adjustment_id
    )
    of_decision = (DECISION.c.person_id, DECISION.c.at, DECISION.c.comment)
    of_line = (DECISION_LINE.c.adjustment_id, DECISION_LINE.c.remark, DECISION_LINE.c.verdict)
    return (
        select(*of_line, *of_decision, STEP.c.stage, office.PERSON.c.name)
        .select_from(said)
        .join(DECISION_LINE, its_line)
        .join(DECISION, DECISION.c.id == said.c.decision_id)
        .join(STEP, STEP.c.id == DECISION.c.step_id)
        .join(office.PERSON, office.PERSON.c.id == DECISION.c.person_id)
        .where(said.c.newest <= REMARKS)
        .order_by(DECISION.c.at)
    )


def _lately() -> Select[Any]:
    """Decisions in the closed steps of a sheet since a round; its stages are named for the index that holds them by round."""
    return (
        select(DECISION.c.id)
        .join(STEP, STEP.c.id == DECISION.c.step_id)
        .where(
            STEP.c.sheet_id == bindparam("sheet_id"),
            among(STEP.c.stage, list(STAGE_NAMES)),
            STEP.c.round >= bindparam("since"),
            STEP.c.state != written("open"),
        )
        .correlate(None)
    )


def decided_by(connection: Connection, change_id: str, person_id: str) -> list[dict[str, Any]]:
    """What was decided on the steps a person was asked for last, by whom and when, oldest first."""
    given = {"change_id": change_id, "person_id": person_id}
    steps = list(connection.execute(_last_asked(), given).scalars())
    found = rows(connection, _decided_in(), step_ids=steps) if steps else []
    return [
        {
            "assignment": row["assignment_id"],
            "verdict": row["verdict"],
            "by": {"id": row["person_id"], "name": row["name"]},
            "at": row["at"].isoformat(),
        }
        for row in found
    ]


@cache
def _last_asked() -> Select[Any]:
    its_own = and_(ASSIGNMENT.c.change_id == bindparam("change_id"), ASSIGNMENT.c.person_id == bindparam("person_id"))
    newest = (ASSIGNMENT.c.closed_at.is_(None).desc(), ASSIGNMENT.c.closed_at.desc())
    return select(ASSIGNMENT.c.step_id).where(its_own).order_by(*newest).limit(DECIDED)


@cache
def _decided_in() -> Select[Any]:
    said = (DECISION.c.assignment_id, DECISION.c.verdict, DECISION.c.person_id, DECISION.c.at, office.PERSON.c.name)
    return (
        select(*said)
        .join(office.PERSON, office.PERSON.c.id == DECISION.c.person_id)
        .where(among_named(DECISION.c.step_id, "step_ids"), DECISION.c.undone_at.is_(None))
        .order_by(DECISION.c.at)
    )


def _revision(step_id: str, members: Sequence[Row], proposals: Mapping[str, Row]) -> str:
    stamp = max(
        (int(proposals[a["id"]]["at"].timestamp() * 1_000_000) for a in members if a["id"] in proposals), default=0
    )
    return revision_of(step_id, [(a["id"], a["revision"]) for a in members], stamp)


# --- deciding ------------------------------------------------------------------------------------------------------


def decide(
    db: Database,
    *,
    person_id: str,
    change_id: str,
    body: dict[str, Any],
    via: str,
    proof: str = "none",
    office_proof: str = "none",
    address: str = "",
    agent: str = "",
    now: datetime,
) -> Decided:
    """Record what a person decided, all or nothing. `proof` is what he has shown, `office_proof` the office's setting.

    Raises `ProofNeeded proof_needed`, `Conflict` (already_decided, revision_changed, superseded, request_reused),
    `Forbidden` (four_eyes, not_your_seat), `BadInput` (verdict_missing, unknown_verdict, comment_required, field_…, nothing_to_decide).
    """
    submission = _submission(body)
    body_hash = hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    def verb(connection: Connection) -> Decided:
        case = Case(connection, change_id, now)
        made = {"id": submission.request_id, "person_id": person_id, "body_hash": body_hash}
        hand = _Hand(connection, case, person_id, via, proof, office_proof, address, agent, submission.request_id)
        asked = [said.assignment for said in submission.decisions]
        hand.ask_first(made, asked)
        earlier = _answered(connection, made)
        if earlier is not None:
            return Decided(earlier, None)
        with case.gathering():
            hand.read_ahead(asked)
            answer = {"recorded": [hand.take(said) for said in submission.decisions]}
        insert_all(connection, REQUEST, [{**made, "answer": answer, "at": now}])
        case.flush()
        return Decided(answer, wake_of(case.row) if hand.decided else None)

    try:
        return db.write(verb)
    except IntegrityError as error:
        if stands_already(error, REQUEST):  # the same request of the same person, just recorded in another change
            raise _reused() from error
        raise
    except Forbidden as refusal:
        code = refusal.code
        db.write(
            lambda connection: OfficeLog(connection, now).line(
                "拒绝", who=person_id, via=via, about=change_id, code=code, proof=proof, address=address
            )
        )
        raise


def _submission(body: dict[str, Any]) -> Submission:
    """What was sent in, read. Raises `BadInput` field_invalid, naming the first field that does not fit."""
    check_storable(body)
    try:
        return Submission.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(
            "field_invalid", f"提交的内容中“{'.'.join(map(str, first['loc']))}”不合要求，未作任何改动。"
        ) from error


def _answered(connection: Connection, made: Row) -> dict[str, Any] | None:
    """The answer a request had, where it comes again. Raises `Conflict` request_reused where its body is another."""
    earlier = rows(connection, _request_made(), id=made["id"], person_id=made["person_id"])
    if earlier and earlier[0]["body_hash"] != made["body_hash"]:
        raise _reused()
    return dict(earlier[0]["answer"]) if earlier else None


@cache
def _request_made() -> Select[Any]:
    return select(REQUEST).where(and_(REQUEST.c.id == bindparam("id"), REQUEST.c.person_id == bindparam("person_id")))


def _reused() -> Conflict:
    return Conflict("request_reused", "同一请求编号已用于另一份内容，本次未记录。请刷新页面后重新提交。")


@cache
def _assigned() -> Select[Any]:
    """An assignment with all that decides whether it may be decided: its person, step, and its sheet's procedure."""
    person, contact = office.PERSON, office.CONTACT
    of_person = (person.c.disabled_at, person.c.name, contact.c.shared)
    of_step = (STEP.c[name].label(f"step_{name}") for name in _OF_STEP)
    of_sheet = (SHEET.c.procedure_key, SHEET.c.procedure_no, SHEET.c.round.label("sheet_round"))
    return (
        select(ASSIGNMENT, *of_person, *of_step, *of_sheet)
        .join(person, person.c.id == ASSIGNMENT.c.person_id)
        .join(STEP, STEP.c.id == ASSIGNMENT.c.step_id)
        .outerjoin(contact, and_(contact.c.person_id == person.c.id, contact.c.kind == "mail"))
        .outerjoin(SHEET, SHEET.c.id == STEP.c.sheet_id)
        .where(
            among_named(ASSIGNMENT.c.id, "ids"),
            ASSIGNMENT.c.change_id == bindparam("change_id"),
            ASSIGNMENT.c.person_id == bindparam("person_id"),
        )
    )


@cache
def _sheet() -> Select[Any]:
    return select(SHEET).where(SHEET.c.id == bindparam("id"))


def _sheet_of(connection: Connection, assignment: Row) -> Row | None:
    """None for the scope, which belongs to the change itself."""
    return rows(connection, _sheet(), id=assignment["sheet_id"])[0] if assignment["sheet_id"] else None


@cache
def _standing_decisions() -> Select[Any]:
    where = and_(among_named(DECISION.c.step_id, "step_ids"), DECISION.c.undone_at.is_(None))
    return select(DECISION).where(where).order_by(DECISION.c.at)


@dataclass(frozen=True)
class _Task:
    """What lies before a person, as it stands: his assignment, its step, what was decided there, and the adjustments it
    puts before him, with their proposals and with who drafted them.
    """

    assignment: Row
    step: Row
    standing: list[Row]
    members: list[Row]
    proposals: Mapping[str, Row]
    wrote: Mapping[str, set[str]]


class _Hand:
    """One person's submission being recorded."""

    def __init__(
        self,
        connection: Connection,
        case: Case,
        person_id: str,
        via: str,
        proof: str,
        office_proof: str,
        address: str,
        agent: str,
        request: str,
    ) -> None:
        self.connection = connection
        self.case = case
        self.person_id = person_id
        self.via, self.proof, self.address, self.agent, self.request = (
            via,
            proof,
            address,
            one_line(agent)[:200],
            request,
        )
        self.office_proof = office_proof
        self.decided = False
        #: The procedure of the sheet decided upon; none at the scope.
        self.sheet: Row | None = None
        self._rounds: dict[str, int] = {}
        self._ahead: dict[str, _Task] = {}

    def read_ahead(self, assignment_ids: Sequence[str]) -> None:
        """Read what these assignments put before him; as many questions for many as for one."""
        found = rows(self.connection, _assigned(), **self._mine(assignment_ids))
        if not found:
            return
        step_ids = [row["step_id"] for row in found]
        ask_ahead(self.connection, (_standing_decisions(), {"step_ids": step_ids}))
        ask_of_steps(self.connection, step_ids)
        standing: dict[str, list[Row]] = {key: [] for key in step_ids}
        for row in rows(self.connection, _standing_decisions(), step_ids=step_ids):
            standing[row["step_id"]].append(row)
        members = adjustments_of_steps(self.connection, step_ids)
        shown = [row["id"] for lines in members.values() for row in lines]
        judged = [line["id"] for row in found if row["step_stage"] not in FREE for line in members[row["step_id"]]]
        ask_of_proposals(self.connection, shown, drafters_of=judged)
        proposals = standing_proposals(self.connection, shown)
        wrote = drafters(self.connection, judged) if judged else {}
        for row in found:
            step: Row = {name: row[f"step_{name}"] for name in _OF_STEP}
            its_own = members[step["id"]]
            self._ahead[row["id"]] = _Task(row, step, standing[step["id"]], its_own, proposals, wrote)

    def ask_first(self, made: Row, assignment_ids: Sequence[str]) -> None:
        """Ask ahead whether the request was answered before, and what it is about."""
        known = {"id": made["id"], "person_id": made["person_id"]}
        ask_ahead(self.connection, (_request_made(), known), (_assigned(), self._mine(assignment_ids)))

    def _mine(self, assignment_ids: Sequence[str]) -> Row:
        return {"ids": list(assignment_ids), "change_id": self.case.id, "person_id": self.person_id}

    def _task(self, assignment_id: str) -> _Task | None:
        """What an assignment puts before him, as it stands after what this submission said before."""
        if assignment_id not in self._ahead:
            self.case.write_gathered()
            self.read_ahead([assignment_id])
        return self._ahead.get(assignment_id)

    def take(self, said: DecisionIn) -> dict[str, Any]:
        """Check and record one decision."""
        task = self._find(said)
        assignment, step, members, proposals = task.assignment, task.step, task.members, task.proposals
        self._check_proof(assignment, step)
        self._check_taken_out(step, said, {a["id"] for a in members})
        if step["stage"] == "scope":
            said = _as_shown(said, members)
        verdicts = accepted(step["stage"], drafted=is_drafted(self.connection, self.sheet))
        _check_verdicts(step["stage"], verdicts, said, {a["id"] for a in members})
        self._check_four_eyes(task)
        self._check_revision(step, said, members, proposals)
        # Who sits in two seats of a step, or names an assignment twice, is asked what stands by then.
        self._ahead = {key: one for key, one in self._ahead.items() if one.step["id"] != step["id"]}
        if step["stage"] == "draft":
            self._write_proposals(said, members, proposals)
        if said.verdict != "save":
            self._record(assignment, step, said, members)
        return {
            "assignment": assignment["id"],
            "verdict": said.verdict,
            "person": {"id": self.person_id, "name": assignment["name"]},
            "acting_for": _person_json(self.connection, assignment["acting_for_id"]),
            "at": self.case.now.isoformat(),
        }

    def _find(self, said: DecisionIn) -> _Task:
        task = self._task(said.assignment)
        if task is None:
            raise BadInput("nothing_to_decide", "本次提交没有您可办理的待办，未作任何改动。")
        assignment, step, standing = task.assignment, task.step, task.standing
        if assignment["disabled_at"] is not None:
            raise Forbidden("not_your_seat", "您的账号已停用，本次提交未记录。请与统筹协调人联系。")
        self.sheet = None if step["sheet_id"] is None else assignment
        if step["sheet_id"] is not None:
            self._rounds[step["sheet_id"]] = int(assignment["sheet_round"])
        mine = [row for row in standing if row["assignment_id"] == assignment["id"]]
        if mine:
            self._already(mine[0])
        if self.case.row["state"] != "open":
            self._ended()
        if assignment["state"] == "moved":
            again = and_(
                ASSIGNMENT.c.step_id == step["id"],
                ASSIGNMENT.c.person_id == self.person_id,
                ASSIGNMENT.c.state == "open",
            )
            is_back = self.connection.execute(select(ASSIGNMENT.c.id).where(again).limit(1)).first() is not None
            raise Conflict(
                "superseded",
                "该件曾转交他人，现在又由您办理，本次提交未记录。请刷新页面后重新办理。"
                if is_back
                else "该件已转交他人办理，本次提交未记录，您不必再办。",
                reason="reassigned",
                **self._whom(None, assignment["closed_at"]),
            )
        rule = _stage_rule(self.connection, step["stage"], self.sheet)
        if standing and (assignment["state"] != "open" or one_is_enough(rule)):
            self._already(standing[0])
        if assignment["state"] != "open" or step["state"] != "open":
            raise Conflict(
                "superseded",
                f"该环节已由第 {step['round'] + 1} 轮代替，本次提交未记录。请办理页面上的新待办。",
                **self._whom(None, assignment["closed_at"]),
            )
        return task

    def _whom(self, person_id: str | None, at: datetime | None) -> dict[str, Any]:
        return {
            "by": _person_json(self.connection, person_id),
            "at": None if at is None else at.isoformat(),
            "conflicts": [],
        }

    def _already(self, decision: Row) -> None:
        verdict = VERDICT_RECORD[decision["verdict"]]
        at = at_text(decision["at"], self.case.now)
        if decision["person_id"] == self.person_id:
            message = f"您已于{at}办理，结论为“{verdict}”，不必重复提交。"
        else:
            name = office.person(self.connection, decision["person_id"]).name
            message = f"该件已由{name}于{at}办理，结论为“{verdict}”，您本次提交未记录。有不同看法的，请与其联系。"
        raise Conflict(
            "already_decided", message, verdict=decision["verdict"], **self._whom(decision["person_id"], decision["at"])
        )

    def _ended(self) -> None:
        withdrawn = self.case.row["state"] == "withdrawn"
        at = at_text(self.case.row["closed_at"], self.case.now)
        contact = contact_of(self.connection, self.case.row["coordinator_id"])["name"]
        if withdrawn:
            words = f"本次变更已于{at}撤回，不再接受意见。请联系{contact}。"
        else:
            words = f"本次变更已于{at}办结，不再接受意见。请联系{contact}。"
        raise Conflict(
            "superseded",
            words,
            reason="change_withdrawn" if withdrawn else "change_closed",
            **self._whom(None, self.case.row["closed_at"]),
        )

    def _check_taken_out(self, step: Row, said: DecisionIn, left: set[str]) -> None:
        """What the coordinator took out meanwhile is decided by nobody; the person is told before anything is recorded."""
        if not left:
            raise Conflict(
                "superseded",
                "本单所列事项已由统筹协调人全部移出，本次提交未记录，您不必再办。",
                reason="taken_out",
                **self._whom(None, None),
            )
        out = sorted(set(said.adjustments) - left)
        if out and set(out) <= {row["adjustment_id"] for row in step_lines(self.connection, [step["id"]])[step["id"]]}:
            raise self._lines_left(out)

    def _lines_left(self, out: Sequence[str]) -> Conflict:
        number = f"其中 {len(out)} 项" if out else "有事项"
        conflicts = [
            {
                "adjustment": key,
                "field": "*",
                "yours": None,
                "theirs": None,
                "by": None,
                "at": self.case.now.isoformat(),
            }
            for key in out
        ]
        return Conflict(
            "revision_changed",
            f"您打开页面后，{number}已由统筹协调人移出，本次提交未记录。请核对后重新提交。",
            **{**self._whom(None, self.case.now), "conflicts": conflicts},
        )

    def _check_proof(self, assignment: Row, step: Row) -> None:
        """Whoever decides has shown who he is where the stage asks for it; from a shared address always."""
        shared = bool(assignment["shared"])
        own = _own_proof(self.connection, step["stage"], self.sheet)
        asked = asked_proof(step["stage"], own, self.office_proof, shared=shared)
        check_shown(
            STAGE_NAMES[step["stage"]],
            stage=step["stage"],
            asked=asked,
            shown=self.proof,
            shared=shared,
            assignment=assignment["id"],
        )

    def _check_four_eyes(self, task: _Task) -> None:
        """The last gate: nobody reviews or approves what he drafted, by whatever way in."""
        step, wrote = task.step, {a["id"]: task.wrote.get(a["id"], set()) for a in task.members}
        mine = barred(step["stage"], wrote, self.person_id, task.assignment["acting_for_id"])
        if mine:
            raise Forbidden(
                "four_eyes",
                f"其中 {len(mine)} 项由您起草，按照起草与审核分离的要求，您不能办理{STAGE_NAMES[step['stage']]}，"
                "未记录。请转交其他同志。",
            )

    def _check_revision(
        self, step: Row, said: DecisionIn, members: Sequence[Row], proposals: Mapping[str, Row]
    ) -> None:
        """What the person saw must be what stands; at drafting only the adjustments named are compared."""
        if said.revision == _revision(step["id"], members, proposals):
            return
        stamp = stamp_of(said.revision)
        changed = [a for a in members if _newer(a, said.adjustments.get(a["id"]), proposals.get(a["id"]), stamp)]
        if step["stage"] == "draft" and stamp is not None:
            named = set(said.adjustments) if said.adjustments else {a["id"] for a in members}
            changed = [a for a in changed if a["id"] in named]
            if not changed:
                return
        if not changed:
            raise self._lines_left(())
        newest = max(
            (proposals[a["id"]] for a in changed if a["id"] in proposals),
            key=lambda p: p["at"],
            default=None,
        )
        by = None if newest is None else newest["by_person_id"]
        at = self.case.now if newest is None else newest["at"]
        who = "系统" if by is None else office.person(self.connection, by).name
        raise Conflict(
            "revision_changed",
            f"您打开页面后，内容已由{who}于{at_text(at, self.case.now)}修改，本次提交未记录。改动已标出，请核对后重新提交。",
            by=_person_json(self.connection, by),
            at=at.isoformat(),
            conflicts=self._conflicts(said, changed, proposals),
        )

    def _conflicts(
        self, said: DecisionIn, changed: Sequence[Row], proposals: Mapping[str, Row]
    ) -> list[dict[str, Any]]:
        found = []
        for row in changed:
            proposal = proposals[row["id"]]
            mine = (said.adjustments.get(row["id"]) or LineIn()).proposal or {}
            theirs = proposal["content"] or {}
            for name in sorted(mine) or ["*"]:
                if name == "*" or mine[name] != theirs.get(name):
                    found.append(
                        {
                            "adjustment": row["id"],
                            "field": name,
                            "yours": mine.get(name),
                            "theirs": theirs.get(name),
                            "by": _person_json(self.connection, proposal["by_person_id"]),
                            "at": proposal["at"].isoformat(),
                        }
                    )
        return found

    def _write_proposals(self, said: DecisionIn, members: Sequence[Row], proposals: Mapping[str, Row]) -> None:
        values = []
        for row in members:
            line = said.adjustments.get(row["id"]) or LineIn()
            standing = proposals[row["id"]]
            verdict = line.verdict or said.verdict
            if verdict == "save" and line.proposal is None and not line.remark:
                continue
            outcomes = row["outcomes"].split("+")
            content = _checked(row, standing["content"], line.proposal)
            declined = verdict == "decline"
            if verdict == "submit":
                _check_complete(row["name"], content, outcomes)
            revision = proposal_hash(content, [*outcomes, "decline"] if declined else outcomes)
            values.append(
                {
                    "adjustment_id": row["id"],
                    "no": standing["no"] + 1,
                    "revision": revision,
                    "round": self._round(row["sheet_id"]),
                    "kind": "decline" if declined else "content",
                    "content": content,
                    "remark": line.remark or (said.comment if declined else ""),
                    "by_person_id": self.person_id,
                    "at": self.case.now,
                    "submitted": verdict != "save",
                }
            )
            if (revision, declined) != (row["revision"], row["declined"]):
                set_adjustments(self.case, [row["id"]], revision=revision, declined=declined)
        add_proposals(self.case, values)
        if said.verdict == "save":
            self.case.log("暂存", who=self.person_id, via=self.via, about=said.assignment, count=len(values))

    def _round(self, sheet_id: str) -> int:
        if sheet_id not in self._rounds:
            self._rounds[sheet_id] = int(rows(self.connection, _sheet(), id=sheet_id)[0]["round"])
        return self._rounds[sheet_id]

    def _record(self, assignment: Row, step: Row, said: DecisionIn, members: Sequence[Row]) -> None:
        decision_id = new_id("dec")
        made = {
            "id": decision_id,
            "change_id": self.case.id,
            "step_id": step["id"],
            "assignment_id": assignment["id"],
            "request_id": self.request,
            "person_id": self.person_id,
            "acting_for_id": assignment["acting_for_id"],
            "verdict": said.verdict,
            "comment": said.comment,
            "revision": said.revision,
            "via": self.via,
            "proof": self.proof,
            "address": self.address,
            "agent": self.agent,
            "at": self.case.now,
        }
        add_rows(self.case, DECISION, [made])
        lines = []
        for row in members:
            line = said.adjustments.get(row["id"]) or LineIn()
            lines.append(
                {
                    "decision_id": decision_id,
                    "adjustment_id": row["id"],
                    "verdict": line.verdict or said.verdict,
                    "remark": line.remark,
                    "revision": row["revision"],
                }
            )
        self.case.insert(DECISION_LINE, lines)
        self.case.became("decision", [decision_id], lines=differing_lines(said.verdict, lines))
        set_assignments(self.case, [assignment["id"]], state="decided", closed_at=self.case.now)
        self.case.log(
            VERDICT_RECORD[said.verdict],
            who=self.person_id,
            acting_for=assignment["acting_for_id"],
            via=self.via,
            about=step["id"],
            work=True,
            stage=step["stage"],
            count=len(members),
            comment=said.comment,
            decision=decision_id,
            revision=said.revision,
            proof=self.proof,
        )
        self.decided = True


def _stage_rule(connection: Connection, stage: str, sheet: Row | None) -> StageRule | None:
    """A stage in a sheet's procedure; None for the scope, which no procedure holds."""
    return None if sheet is None else procedure_of(connection, sheet).rule(stage)


def _own_proof(connection: Connection, stage: str, sheet: Row | None) -> str | None:
    """The proof a sheet's procedure asks for at a stage; None where it leaves that to the office."""
    rule = _stage_rule(connection, stage, sheet)
    return None if rule is None else rule.proof


def _newer(row: Row, line: LineIn | None, proposal: Row | None, stamp: int | None) -> bool:
    if line is not None and line.revision:
        return bool(line.revision != row["revision"])
    if proposal is None or stamp is None:
        return True
    return int(proposal["at"].timestamp() * 1_000_000) > stamp


def _as_shown(said: DecisionIn, members: Sequence[Row]) -> DecisionIn:
    """The scope with every row named that was not to go on anyway: what is confirmed as shown is said of each row, with
    the reason shown beside it.
    """
    lines = dict(said.adjustments)
    for row in members:
        line = lines.get(row["id"]) or LineIn()
        preset, reason = scope_preset(row["road"], row["hint"], row["reason"])
        verdict = line.verdict or (preset if said.verdict == "confirm" else said.verdict)
        if preset != "confirm" or line.verdict:
            remark = line.remark.strip() or (reason if verdict == preset else "")
            lines[row["id"]] = line.model_copy(update={"verdict": verdict, "remark": remark})
    return said.model_copy(update={"adjustments": lines})


def _check_verdicts(stage: str, allowed: Sequence[str], said: DecisionIn, known: set[str]) -> None:
    if not said.verdict:
        raise BadInput("verdict_missing", "尚未选择办理结论。")
    _check_one(said.verdict, allowed)
    line_allowed = LINE_VERDICTS.get(stage, allowed)
    unknown = sorted(set(said.adjustments) - known)
    if unknown:
        raise BadInput("nothing_to_decide", "提交中有不属于本待办的事项，未作任何改动。", adjustments=unknown)
    for line in said.adjustments.values():
        if line.verdict:
            _check_one(line.verdict, line_allowed)
            if line.verdict in REASON_NEEDED and not (line.remark.strip() or said.comment.strip()):
                _reason_missing(line.verdict)
    remarks = any(line.remark.strip() for line in said.adjustments.values())
    if said.verdict in REASON_NEEDED and not said.comment.strip() and not remarks:
        _reason_missing(said.verdict)


def _check_one(verdict: str, allowed: Sequence[str]) -> None:
    if verdict not in allowed:
        names = "、".join(VERDICT_RECORD[name] for name in allowed)
        raise BadInput(
            "unknown_verdict", f"本环节不能使用结论“{VERDICT_RECORD.get(verdict, verdict)}”，可选：{names}。"
        )


def _reason_missing(verdict: str) -> None:
    raise BadInput("comment_required", f"“{VERDICT_RECORD[verdict]}”须写明理由，请填在“意见说明”或者逐项意见中。")


def _checked(row: Row, standing: Mapping[str, Any] | None, values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The standing content with the values set; fields outside the outcomes stay as they are."""
    if values is None or standing is None:
        return None if standing is None else dict(standing)
    before = ItemContent.model_validate(standing)
    allowed = {name for outcome in row["outcomes"].split("+") for name in fields_for(outcome)}
    outside = sorted(name for name in values if name not in allowed and values[name] != standing.get(name))
    if outside:
        raise BadInput(
            "field_invalid",
            f"“{row['name']}”本次调整类型不含“{outside[0]}”，不能修改；需要修改的，请另行申请。",
            field=outside[0],
            adjustment=row["id"],
        )
    try:
        return dict(apply_set(before, {k: v for k, v in values.items() if k in allowed}).model_dump(mode="json"))
    except Refusal as refusal:
        raise type(refusal)(
            refusal.code, f"“{row['name']}”：{refusal.message}", adjustment=row["id"], **refusal.details
        ) from None


def _check_complete(name: str, content: Mapping[str, Any] | None, outcomes: Sequence[str]) -> None:
    if content is None or "cancel" in outcomes:
        return
    if not content.get("name"):
        raise BadInput("field_missing", "“事项名称”未填写。", field="name")
    touched = {"change_basis", "add"} & set(outcomes)
    if touched and not content.get("bases"):
        raise BadInput(
            "basis_missing", f"事项“{name}”没有设定依据，不能提交。请至少填写一部法律法规规章及其条款。", field="bases"
        )


def differing_fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Names of the fields in which two contents differ."""
    return list(changed_fields(ItemContent.model_validate(before), ItemContent.model_validate(after)))


def open_count(db: Database, *, person_id: str) -> int:
    """How many assignments lie open for a person over all changes."""
    with db.reader() as connection:
        query = (
            select(func.count())
            .select_from(ASSIGNMENT)
            .where(and_(ASSIGNMENT.c.person_id == person_id, ASSIGNMENT.c.state == "open"))
        )
        return int(connection.execute(query).scalar() or 0)
