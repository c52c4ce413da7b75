"""Moving one sheet: close the steps whose rule is met, send back what was returned, open what comes next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Any

from models.actions.opening import Room, open_stage
from models.domain.deadlines import SHANGHAI, redraft_days
from models.domain.errors import BadInput
from models.domain.procedure import ProcedureVersion, StageRule
from models.domain.reach import grouped
from models.domain.review import SENT_BACK, Seat, fate, line_remark, line_verdict, rule_met
from models.domain.vocabulary import STAGE_NAMES, VERDICT_RECORD
from models.reference.procedures import procedure_for
from models.store.change import (
    SHEET,
    Row,
    SheetRound,
    add_rows,
    approve_lines,
    close_assignments,
    is_drafted,
    lines_of_steps,
    procedure_no,
    procedure_of,
    set_adjustments,
    set_sheet,
    set_step,
)
from models.tables import new_id

ENGINE_STAGES = frozenset({"coding", "publishing", "connecting"})
TERMINAL = frozenset({"published", "declined", "rejected", "removed"})


@dataclass
class Report:
    """What moving a sheet passed and opened: (stage, department, number of adjustments)."""

    moved: list[tuple[str, str, int]] = field(default_factory=list)
    opened: list[tuple[str, str, int]] = field(default_factory=list)


def move_sheet(room: Room, sheet: Row) -> Report:
    """Move one open sheet as far as it goes now."""
    report = Report()
    procedure = procedure_of(room.connection, sheet)
    positions = procedure.positions()
    held = _read(room, sheet)
    while sheet["state"] == "open":
        if held.no != sheet["round"]:
            room.flush()  # the new round's first step must be there to be read
            held = _read(room, sheet)
        lines = [row for row in held.lines if row["state"] not in TERMINAL]
        if not lines:
            _end_sheet(room, sheet, held)
            break
        _check_items(lines)
        if sheet["position"] >= len(positions):
            _approve(room, sheet, lines)
            break
        stages = [rule for rule in positions[sheet["position"]] if rule.code not in ENGINE_STAGES]
        if not stages:
            _advance(room, sheet)
            continue
        if not _take_position(room, sheet, held, stages, lines, report):
            break
    return report


def _check_items(lines: Sequence[Row]) -> None:
    """What is adjusted must be there; `BadInput item_gone` names what is not."""
    gone = [f"“{line['name']}”" for line in lines if line.get("gone")]
    if gone:
        raise BadInput("item_gone", f"{'、'.join(gone[:3])}已不在事项目录中，不能继续。请移出后点“重试”。")


def new_sheet(
    room: Room, department_id: str | None, lines: Sequence[Mapping[str, Any]], procedure: ProcedureVersion, number: int
) -> Row:
    """A sheet for these adjustments, not yet written; without a department of its own it is named after theirs."""
    theirs = {line["department_id"] for line in lines}
    if department_id is None and len(theirs) == 1:
        [department_id] = theirs
    several = f"{len(theirs)} 个部门" if len(theirs) > 1 else ""
    department = room.departments.get(department_id or "")
    text = str(lines[0]["hint"].get("department_text") or "")
    return {
        "id": new_id("sht"),
        "change_id": room.case.id,
        "ord": number,
        "department_id": department_id,
        "department_name": department.short if department else several or text,
        "procedure_key": procedure.key,
        "procedure_no": procedure_no(room.connection, procedure.key, procedure.model_dump(mode="json")),
        "round": 1,
        "position": 0,
        "state": "open",
        "stuck_tries": 0,
    }


def _read(room: Room, sheet: Row) -> SheetRound:
    held = room.round_of(sheet)
    room.writer.people.update({a["person_id"]: a["name"] for asked in held.asked.values() for a in asked})
    return held


def _advance(room: Room, sheet: Row) -> None:
    sheet["position"] += 1
    set_sheet(room.case, sheet["id"], position=sheet["position"])


def _end_sheet(room: Room, sheet: Row, held: SheetRound) -> None:
    """Nothing of the sheet is left to decide: what is still open of it closes, and who was asked is told."""
    for step in held.steps:
        if step["state"] != "open":
            continue
        tell_taken_out(room, step, sheet, close_step(room, step, held.asked[step["id"]], "withdrawn"))
    sheet["state"] = "done" if held.lines else "dissolved"
    set_sheet(room.case, sheet["id"], state=sheet["state"])


def tell_taken_out(room: Room, step: Row, sheet: Row | None, people: Sequence[str]) -> None:
    """Tell who was asked that nothing of it is left, with the reasons for which the lines were taken out, each once."""
    shown = lines_of_steps(room.connection, [step["id"]])[step["id"]]
    removed = [row for row in shown if row["state"] == "removed"]
    why = "；".join(dict.fromkeys(row["reason"] for row in removed if row["reason"])) or "见变更记录"
    for person_id in people:
        key = f"{step['id']}:taken_out:{person_id}"
        room.writer.add("taken_out", person_id, key, step=step, sheet=sheet, count=len(removed), reason=why)


def close_step(room: Room, step: Row, asked: Sequence[Row], state: str, left: str = "") -> list[str]:
    """Close a step; who had not decided is `left` so (as the step where nothing is said). Those persons."""
    set_step(room.case, step["id"], state=state, closed_at=room.case.now)
    persons = close_assignments(room.case, asked, left or state)
    room.drop([step["id"]])
    return persons


def _take_position(
    room: Room, sheet: Row, held: SheetRound, stages: Sequence[StageRule], lines: Sequence[Row], report: Report
) -> bool:
    """Open the stages of a position, or close those decided. True when the sheet may look at its next position."""
    here = [step for step in held.steps if step["stage"] in {rule.code for rule in stages}]
    if not here:
        for rule in stages:
            open_stage(room, _with_submitter(sheet, held), rule, lines, days=_days(sheet, rule))
            report.opened.append((rule.code, sheet["department_name"], len(lines)))
        return False
    by_stage = {rule.code: rule for rule in stages}
    waiting = [step for step in here if step["state"] == "open"]
    closed = [s["id"] for s in waiting if _close_if_met(room, sheet, held, s, by_stage[s["stage"]], report)]
    room.drop(closed)
    if any(step["state"] == "open" for step in here):
        return False
    return _after_position(room, sheet, held, here, lines)


def _days(sheet: Row, rule: StageRule) -> int:
    """A drafter gets half of the stage's days for a return, at least two."""
    return redraft_days(rule.days) if rule.code == "draft" and sheet["round"] > 1 else rule.days


def _with_submitter(sheet: Row, held: SheetRound) -> Row:
    """The sheet with who submitted this round, for the texts."""
    made = [decision for step in held.steps if step["stage"] == "draft" for decision in held.made[step["id"]]]
    return {**sheet, "submitted_by": made[-1]["person_id"]} if made else sheet


def _close_if_met(room: Room, sheet: Row, held: SheetRound, step: Row, rule: StageRule, report: Report) -> bool:
    """Close a step whose rule is met by what was decided; whether it was."""
    asked, made = held.asked[step["id"]], held.made[step["id"]]
    seats = [Seat(a["seat"], a["state"] == "decided") for a in asked if a["state"] in {"open", "decided"}]
    if not rule_met(rule.rule, seats, rule.seats):
        return False
    ids = [line["adjustment_id"] for line in held.shown[step["id"]]]
    drafted = is_drafted(room.connection, sheet)
    back = any(fate([line_verdict(d, i) for d in made], drafted=drafted) == "back" for i in ids)
    step["state"] = "returned" if back else "passed"
    set_step(room.case, step["id"], state=step["state"], closed_at=room.case.now)
    for person_id in close_assignments(room.case, asked, "released"):
        _decided_elsewhere(room, sheet, step, made, person_id)
    report.moved.append((step["stage"], sheet["department_name"], len(ids)))
    room.case.log("环节结束", about=step["id"], stage=step["stage"], state=step["state"], sheet=sheet["id"])
    return True


def _decided_elsewhere(room: Room, sheet: Row, step: Row, made: Sequence[Row], person_id: str) -> None:
    """The others asked need do nothing: told only if they had been told of the task."""
    if not made or step["stage"] == "draft":
        return
    room.writer.add(
        "decided_elsewhere",
        person_id,
        f"{step['id']}:elsewhere:{person_id}",
        step=step,
        sheet=sheet,
        by=room.writer.person(made[-1]["person_id"]),
        verdict=VERDICT_RECORD[made[-1]["verdict"]],
    )


def _after_position(room: Room, sheet: Row, held: SheetRound, here: Sequence[Row], lines: Sequence[Row]) -> bool:
    """All steps of the position are closed: lines go on, back, or end."""
    made = held.made
    said: dict[str, list[str]] = {}
    for step in here:
        for line in held.shown[step["id"]]:
            for decision in made[step["id"]]:
                said.setdefault(line["adjustment_id"], []).append(line_verdict(decision, line["adjustment_id"]))
    stage = here[0]["stage"]
    drafted = is_drafted(room.connection, sheet)
    fates = {line["id"]: fate(said.get(line["id"], []), drafted=drafted) for line in lines}
    rejected = [key for key, value in fates.items() if value == "rejected"]
    if rejected:
        set_adjustments(room.case, rejected, state="rejected")
        for line in lines:
            if line["id"] in rejected:
                line["state"] = "rejected"
    raised = [line for line in lines if fates[line["id"]] == "raised"]
    if raised:
        _raise(room, sheet, here, made, raised)
        held.lines = [line for line in held.lines if line not in raised]
    back = [line for line in lines if fates[line["id"]] == "back"]
    on = [line for line in lines if fates[line["id"]] == "on"]
    if stage == "draft":
        set_adjustments(room.case, [line["id"] for line in on], state="in_review")
    if back:
        _send_back(room, sheet, here, made, back, on)
        held.lines = [line for line in held.lines if line not in back]
        if not on:
            return True
    if not on:
        _end_sheet(room, sheet, held)
        return False
    _advance(room, sheet)
    return True


def _send_back(
    room: Room, sheet: Row, here: Sequence[Row], made: dict[str, list[Row]], back: Sequence[Row], on: Sequence[Row]
) -> None:
    """Back to the drafter with remarks: the whole sheet in its next round, or the returned lines in a new sheet."""
    ids = [line["id"] for line in back]
    set_adjustments(room.case, ids, state="drafting")
    target = sheet
    if on:
        target = {
            **sheet,
            "id": new_id("sht"),
            "parent_id": sheet["id"],
            "round": sheet["round"] + 1,
            "position": 0,
            "ord": sheet["ord"],
            "stuck": None,
            "retry_at": None,
            "stuck_tries": 0,
        }
        add_rows(room.case, SHEET, [target])
        set_adjustments(room.case, ids, sheet_id=target["id"])
    else:
        sheet["round"] += 1
        sheet["position"] = 0
        set_sheet(room.case, sheet["id"], round=sheet["round"], position=0)
    who, comment, stage = _return_words(here, made, ids)
    room.case.log("退回", who=None, about=target["id"], count=len(back), round=target["round"], comment=comment)
    rule = next(
        stage_rule for stage_rule in procedure_of(room.connection, sheet).positions()[0] if stage_rule.code == "draft"
    )
    lines = [{**line, "state": "drafting"} for line in back]
    step_id = open_stage(room, target, rule, lines, days=redraft_days(rule.days))
    for notice in room.writer.notices:
        if notice["step_id"] == step_id and notice["kind"] == "draft_opened":
            notice["kind"] = "returned"
            notice["payload"].update(
                by=room.writer.person(who),
                comment=comment,
                passed=len(on),
                stage={"code": stage, "name": STAGE_NAMES[stage], "verb": ""},
            )


def _raise(room: Room, sheet: Row, here: Sequence[Row], made: dict[str, list[Row]], raised: Sequence[Row]) -> None:
    """Rows that a reviewer will not decide on the short road begin the procedure of their outcomes, by department."""
    for line in raised:
        line["road"] = None
    for number, (key, members) in enumerate(grouped(raised), start=1):
        procedure = procedure_for(frozenset(key.outcomes.split("+")))
        made_sheet = new_sheet(room, key.department_id, members, procedure, sheet["ord"] + number)
        target = {**made_sheet, "parent_id": sheet["id"]}
        add_rows(room.case, SHEET, [target])
        ids = [str(member["id"]) for member in members]
        set_adjustments(room.case, ids, state="drafting", sheet_id=target["id"], road=None)
        who, words, _ = _return_words(here, made, ids)
        room.case.log("转普通流程", who=who, about=target["id"], count=len(ids), reason=words)
        [rule] = procedure.positions()[0]
        open_stage(room, target, rule, [{**member, "state": "drafting"} for member in members])


def _return_words(here: Sequence[Row], made: dict[str, list[Row]], ids: Sequence[str]) -> tuple[str | None, str, str]:
    """Who sent lines back or raised them, what he said, at which stage: all remarks once."""
    who: str | None = None
    stage = here[0]["stage"]
    words: list[str] = []
    stages = {step["id"]: step["stage"] for step in here}
    for decision in sorted((d for step in here for d in made[step["id"]]), key=lambda d: d["at"]):
        returned = [i for i in ids if line_verdict(decision, i) in {*SENT_BACK, "raise"}]
        if not returned:
            continue
        who, stage = decision["person_id"], stages[decision["step_id"]]
        for text in (decision["comment"], *(line_remark(decision, i) for i in returned[:3])):
            if text and text not in words:
                words.append(text)
    return who, "；".join(words) or "见逐项意见", stage


def _approve(room: Room, sheet: Row, lines: Sequence[Row]) -> None:
    """The last required stage has passed: declined lines end, the others wait for their effective moment."""
    declined = [line["id"] for line in lines if line["declined"]]
    set_adjustments(room.case, declined, state="declined")
    approve_lines(room.case, [line for line in lines if not line["declined"]], effective_moment(room))
    sheet["state"] = "waiting" if len(declined) < len(lines) else "done"
    set_sheet(room.case, sheet["id"], state=sheet["state"])
    room.case.log("审批通过", about=sheet["id"], count=len(lines) - len(declined), declined=len(declined))


def effective_moment(room: Room) -> datetime:
    """00:00 Shanghai time of the effective date, or this moment if that is later."""
    wanted: Any = room.case.row["effective_on"]
    if wanted is None:
        return room.case.now
    return max(datetime.combine(wanted, time.min, tzinfo=SHANGHAI), room.case.now)
