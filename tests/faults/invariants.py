"""What must hold of the tables at any moment, whoever did what before. Each broken rule is one sentence.

read(connection) -> Tables                  all rows of one moment
broken(there, held) -> [sentence]           `held` remembers what need not be read twice
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, Table, select

from models.domain.audit import Replay, differences, replay
from models.domain.reach import proposal_hash
from models.domain.seals import line_hash
from models.domain.states import MACHINES
from models.store.audit import audited
from models.store.catalogue import VERSION
from models.store.change import (
    ADJUSTMENT,
    ASSIGNMENT,
    CHANGE,
    DECISION,
    DECISION_LINE,
    LINE,
    LOG,
    PERSON,
    PROPOSAL,
    RUNG,
    SHEET,
    STEP,
    rows,
)
from models.store.outbox import NOTICE
from models.store.publication import PUBLICATION

Row = dict[str, Any]
APPROVED = frozenset({"approved", "scheduled", "blocked"})
TERMINAL = frozenset({"published", "declined", "rejected", "removed"})


@dataclass
class Held:
    """What was seen before: logs as far as they were read, states of notices, every transition."""

    logs: dict[str, int] = field(default_factory=dict)
    notices: dict[str, str] = field(default_factory=dict)
    decisions: set[str] = field(default_factory=set)
    seen: set[tuple[str, str | None, str]] = field(default_factory=set)


#: One question a table, written once; the log is read where it grew.
_ALL: dict[str, Any] = {
    target.name: select(target)
    for target in (
        ADJUSTMENT, ASSIGNMENT, CHANGE, DECISION, DECISION_LINE, LINE, PERSON, PROPOSAL, PUBLICATION, RUNG, SHEET, STEP,
        VERSION,
    )
}  # fmt: skip
_ALL[NOTICE.name] = select(NOTICE.c.id, NOTICE.c.key, NOTICE.c.state)
_LOG = select(LOG).order_by(LOG.c.change_id, LOG.c.seq)


class Tables:
    """The rows of one moment."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.all = {name: rows(connection, query) for name, query in _ALL.items()}
        self.changes = self._by_id(CHANGE)
        self.adjustments = self._by_id(ADJUSTMENT)
        self.sheets = self._by_id(SHEET)
        self.steps = self._by_id(STEP)
        self.assignments = self._by_id(ASSIGNMENT)
        self.decisions = self._by_id(DECISION)
        self.lines = self._groups(LINE, "step_id")
        self.decision_lines = self._groups(DECISION_LINE, "decision_id")
        self.rungs = self._groups(RUNG, "step_id")
        self.proposals = self._groups(PROPOSAL, "adjustment_id")
        for editions in self.proposals.values():
            editions.sort(key=lambda row: row["no"])
        self.versions = self.all[VERSION.name]
        self.notices = self.all[NOTICE.name]
        self.disabled = {row["id"] for row in self.all[PERSON.name] if row["disabled_at"] is not None}

    def _by_id(self, target: Table) -> dict[str, Row]:
        return {row["id"]: row for row in self.all[target.name]}

    def _groups(self, target: Table, name: str) -> dict[str, list[Row]]:
        found: dict[str, list[Row]] = defaultdict(list)
        for row in self.all[target.name]:
            found[row[name]].append(row)
        return found

    @cached_property
    def logs(self) -> dict[str, list[Row]]:
        """The lines of every change."""
        found: dict[str, list[Row]] = defaultdict(list)
        for row in rows(self.connection, _LOG):
            found[row["change_id"]].append(row)
        return found

    def of_change(self, change_id: str) -> dict[str, list[Row]]:
        """All rows of a change, by table, as an audit reads them."""
        found = {
            name: [row for row in self.all[name] if row["change_id"] == change_id]
            for name in (ADJUSTMENT.name, ASSIGNMENT.name, DECISION.name, PUBLICATION.name, SHEET.name, STEP.name)
        }
        its_own = {row["id"] for row in found[ADJUSTMENT.name]}
        said = {row["id"] for row in found[DECISION.name]}
        for name in (PROPOSAL.name, VERSION.name):
            found[name] = [row for row in self.all[name] if row["adjustment_id"] in its_own]
        found[DECISION_LINE.name] = [row for row in self.all[DECISION_LINE.name] if row["decision_id"] in said]
        return found


def broken(there: Tables, held: Held) -> list[str]:
    """The sentences of what does not hold."""
    found: list[str] = []
    for rule in (_decisions, _lines, _sheets, _steps, _assignments, _rungs, _versions):
        found += rule(there)
    found += _notices(there, held)
    found += _kept(there, held)
    for change_id, change in there.changes.items():
        found += _log(there, change_id, change, held)
    return found


def _decisions(there: Tables) -> Iterator[str]:
    """Nobody decides twice; four eyes; each decision is consumed or its change has work to do."""
    standing = [row for row in there.decisions.values() if row["undone_at"] is None]
    for assignment_id, count in Counter(row["assignment_id"] for row in standing).items():
        if count > 1:
            yield f"{count} standing decisions on assignment {assignment_id}"
    drafted: dict[str, list[Row]] = defaultdict(list)
    for said in there.decisions.values():
        if there.steps[said["step_id"]]["stage"] == "draft":
            for line in there.decision_lines[said["id"]]:
                drafted[line["adjustment_id"]].append(said)
    for row in standing:
        step, assignment = there.steps[row["step_id"]], there.assignments[row["assignment_id"]]
        if assignment["state"] != "decided":
            yield f"decision {row['id']} stands on an assignment that is {assignment['state']}"
        if row["person_id"] != assignment["person_id"]:
            yield f"decision {row['id']} is not by the person who was asked"
        if step["stage"] in {"draft", "scope"}:
            continue
        for line in there.decision_lines[row["id"]]:
            wrote = {p["by_person_id"] for p in there.proposals[line["adjustment_id"]] if p["at"] <= row["at"]}
            wrote |= {said["acting_for_id"] for said in drafted[line["adjustment_id"]] if said["at"] <= row["at"]}
            if {row["person_id"], row["acting_for_id"]} & (wrote - {None}):
                yield f"{row['person_id']} decided at {step['stage']} what he or the one he stands in for drafted"
    by_step = Counter(row["step_id"] for row in standing if there.steps[row["step_id"]]["stage"] != "naming")
    for step_id, count in by_step.items():
        if count > 1:
            yield f"{count} decisions on step {step_id} where one is enough"
    for row in standing:
        step, change = there.steps[row["step_id"]], there.changes[row["change_id"]]
        settled = change["state"] != "open" or change["work_seq"] == change["consumed_seq"]
        if step["state"] == "open" and settled and step["stage"] != "naming":
            yield f"decision {row['id']} lies on an open step, and the change has no work to do"


def _lines(there: Tables) -> Iterator[str]:
    """Nothing is lost: each adjustment stands in exactly one sheet that goes on, or has its end."""
    for row in there.adjustments.values():
        change = there.changes[row["change_id"]]
        if row["state"] in TERMINAL:
            continue
        if change["state"] != "open":
            yield f"adjustment {row['id']} is {row['state']} in a change that is {change['state']}"
        if row["state"] == "proposed":
            if row["sheet_id"] is not None:
                yield f"adjustment {row['id']} is proposed and stands in a sheet"
            continue
        sheet = there.sheets.get(row["sheet_id"] or "")
        if sheet is None or sheet["change_id"] != row["change_id"]:
            yield f"adjustment {row['id']} is {row['state']} and stands in no sheet of its change"
        elif sheet["state"] not in {"open", "waiting"} or (row["state"] in {"scheduled", "blocked", "approved"}) != (
            sheet["state"] == "waiting"
        ):
            yield f"adjustment {row['id']} is {row['state']} in a sheet that is {sheet['state']}"
        if row["state"] == "scheduled" and row["effective_at"] is None:
            yield f"adjustment {row['id']} is scheduled without a moment"
        if row["revision"] != there.proposals[row["id"]][-1]["revision"]:
            yield f"adjustment {row['id']} does not stand on its newest proposal"
    for row in there.adjustments.values():
        if row["state"] in {"scheduled", "published"} and row["approved_hash"] != row["revision"]:
            yield f"adjustment {row['id']} is {row['state']} with another content than was approved"


def _sheets(there: Tables) -> Iterator[str]:
    open_lines: dict[str, set[str]] = defaultdict(set)
    for row in there.adjustments.values():
        if row["sheet_id"] and row["state"] not in TERMINAL:
            open_lines[row["sheet_id"]].add(row["id"])
    open_steps: dict[str, list[Row]] = defaultdict(list)
    for step in there.steps.values():
        if step["sheet_id"] and step["state"] == "open":
            open_steps[step["sheet_id"]].append(step)
    for sheet in there.sheets.values():
        change = there.changes[sheet["change_id"]]
        idle = change["state"] != "open" or change["work_seq"] == change["consumed_seq"]
        if sheet["state"] in {"open", "waiting"} and change["state"] != "open":
            yield f"sheet {sheet['id']} is {sheet['state']} in a change that is {change['state']}"
        if sheet["state"] == "open" and idle and not sheet["stuck"] and not open_steps[sheet["id"]]:
            yield f"sheet {sheet['id']} is open, waits for nobody, and its change has no work to do"
        if sheet["state"] in {"open", "waiting"} and idle and not open_lines[sheet["id"]]:
            yield f"sheet {sheet['id']} is {sheet['state']} without a line that goes on"
        for step in open_steps[sheet["id"]]:
            if step["round"] != sheet["round"] or sheet["state"] != "open":
                yield f"step {step['id']} is open beside its sheet"
            missing = open_lines[sheet["id"]] - {line["adjustment_id"] for line in there.lines[step["id"]]}
            if missing:
                yield f"step {step['id']} does not show {len(missing)} lines of its sheet"
    for change in there.changes.values():
        left = [a for a in there.adjustments.values() if a["change_id"] == change["id"] and a["state"] not in TERMINAL]
        if change["state"] == "open" and change["work_seq"] == change["consumed_seq"] and not left:
            yield f"change {change['number']} is {change['phase']} and has nothing left"


def _steps(there: Tables) -> Iterator[str]:
    """Every open step has a deadline and an owner, or stands among those without an owner."""
    waiting: dict[str, list[Row]] = defaultdict(list)
    for row in there.assignments.values():
        if row["state"] == "open":
            waiting[row["step_id"]].append(row)
    decided = {row["step_id"] for row in there.decisions.values()}
    for step in there.steps.values():
        change = there.changes[step["change_id"]]
        if step["state"] != "open":
            if step["closed_at"] is None:
                yield f"step {step['id']} is {step['state']} and has no moment at which it closed"
            continue
        if change["state"] != "open":
            yield f"step {step['id']} is open in a change that is {change['state']}"
        if step["due_on"] is None:
            yield f"step {step['id']} has no deadline"
        idle = change["work_seq"] == change["consumed_seq"]
        owners = {row["person_id"] for row in waiting[step["id"]]} - (there.disabled if idle else set())
        if not owners and not step["no_owner"] and step["id"] not in decided:
            yield f"step {step['id']} ({step['stage']}) waits for nobody who is here and nobody is told"
        if step["sheet_id"] is None and change["phase"] != "scoping":
            yield f"the scope step of {change['number']} is open in phase {change['phase']}"


def _assignments(there: Tables) -> Iterator[str]:
    for row in there.assignments.values():
        step = there.steps[row["step_id"]]
        if row["state"] == "open" and step["state"] != "open":
            yield f"assignment {row['id']} is open on a step that is {step['state']}"
        if row["state"] != "open" and row["closed_at"] is None:
            yield f"assignment {row['id']} is {row['state']} and has no moment at which it closed"


def _rungs(there: Tables) -> Iterator[str]:
    """A rung fires while its step is open and nothing settles it, in the order of the ladder."""
    first: dict[str, Any] = {}
    for row in there.decisions.values():
        if there.steps[row["step_id"]]["stage"] != "naming":
            first[row["step_id"]] = min(row["at"], first.get(row["step_id"], row["at"]))
    for step_id, ladder in there.rungs.items():
        step = there.steps[step_id]
        for rung in ladder:
            fired = rung["fired_at"]
            if fired is not None and step["closed_at"] is not None and fired > step["closed_at"]:
                yield f"rung {rung['rung']} of step {step_id} fired after the step closed"
            if fired is not None and step_id in first and fired > first[step_id]:
                yield f"rung {rung['rung']} of step {step_id} fired after a decision"
            if fired is not None and fired < rung["due_at"]:
                yield f"rung {rung['rung']} of step {step_id} fired early"
            if fired is None and not rung["dropped"] and step["state"] != "open":
                yield f"rung {rung['rung']} of step {step_id} still waits though the step is {step['state']}"


def _versions(there: Tables) -> Iterator[str]:
    """Versions of an item do not overlap, and each is what its last stage passed."""
    by_item: dict[str, list[Row]] = defaultdict(list)
    for row in there.versions:
        if row["superseded_at"] is None:
            by_item[row["item_id"]].append(row)
    for item_id, versions in by_item.items():
        versions.sort(key=lambda row: (row["valid_from"], row["no"]))
        for one, other in zip(versions, versions[1:], strict=False):
            if one["valid_to"] is None or one["valid_to"] > other["valid_from"]:
                yield f"versions {one['no']} and {other['no']} of {item_id} overlap"
    passed = _passed_hashes(there)
    published: Counter[str] = Counter()
    for row in there.versions:
        adjustment = there.adjustments.get(row["adjustment_id"] or "")
        if adjustment is None:
            continue
        published[adjustment["id"]] += 1
        outcomes = adjustment["outcomes"].split("+")
        content = {**row["content"], "code": None} if outcomes == ["add"] else row["content"]
        if adjustment["state"] != "published":
            yield f"a version of adjustment {adjustment['id']} is out, which is {adjustment['state']}"
        if proposal_hash(content, outcomes) != passed.get(adjustment["id"]):
            yield f"version {row['id']} is not what the last stage passed"
    for row in there.adjustments.values():
        if (row["state"] == "published") != (published[row["id"]] == 1):
            yield f"adjustment {row['id']} is {row['state']} and has {published[row['id']]} versions"


def _passed_hashes(there: Tables) -> dict[str, str]:
    """The revision on which the last decision at the approval stage was given, by adjustment."""
    found: dict[str, str] = {}
    for row in sorted(there.decisions.values(), key=lambda row: row["at"]):
        if there.steps[row["step_id"]]["stage"] == "approval":
            for line in there.decision_lines[row["id"]]:
                found[line["adjustment_id"]] = line["revision"]
    return found


def _notices(there: Tables, held: Held) -> Iterator[str]:
    for key, count in Counter(row["key"] for row in there.notices).items():
        if count > 1:
            yield f"{count} notices with the key {key}"
    for row in there.notices:
        before = held.notices.get(row["id"])
        if before is not None and before != row["state"] and row["state"] not in _reachable("notice", before):
            yield f"notice {row['key']} went from {before} to {row['state']}"
        if before != row["state"]:
            held.seen.add(("notice", before, row["state"]))
        held.notices[row["id"]] = row["state"]


def _reachable(machine: str, state: str) -> set[str]:
    found: set[str] = set()
    left = [state]
    while left:
        for after in MACHINES[machine][left.pop()].values():
            if after not in found:
                found.add(after)
                left.append(after)
    return found


def _kept(there: Tables, held: Held) -> Iterator[str]:
    """A decision once given stays."""
    lost = held.decisions - there.decisions.keys()
    if lost:
        yield f"{len(lost)} decisions are gone"
    held.decisions |= there.decisions.keys()


def _log(there: Tables, change_id: str, change: Row, held: Held) -> Iterable[str]:
    """Where the log grew: the chain verifies, and the log replays to what the tables say."""
    if held.logs.get(change_id) == change["log_seq"]:
        return []
    held.logs[change_id] = change["log_seq"]
    previous = ""
    for number, entry in enumerate(there.logs[change_id], start=1):
        if entry["seq"] != number or entry["prev_hash"] != previous or line_hash(entry) != entry["hash"]:
            return [f"the chain of {change_id} breaks at line {entry['seq']}"]
        previous = entry["hash"]
    if len(there.logs[change_id]) != change["log_seq"]:
        return [f"the log of {change_id} has {len(there.logs[change_id])} lines, its row says {change['log_seq']}"]
    found: Replay = replay(there.logs[change_id])
    held.seen |= found.steps
    if not found.whole:
        return [f"the log of {change_id} is not whole"]
    said = [f"the log of {change_id} tells of {jump}" for jump in found.jumps]
    standing = audited(change, there.of_change(change_id))
    return [*said, *(f"the log says otherwise: {one}" for one in differences(found, standing))]
