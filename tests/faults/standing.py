"""How a database stands: kept and put back, told in a form that two runs can be compared by, and what must always hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, func, insert, select

from models.actions.audit import verify
from models.actions.legs import begin_leg, run_pass
from models.store.change import (
    ADJUSTMENT,
    ASSIGNMENT,
    CHANGE,
    DECISION,
    DECISION_LINE,
    LOG,
    PERSON,
    SHEET,
    STEP,
    rows,
)
from models.store.database import Database
from models.store.outbox import LINK, NOTICE
from models.store.sql import table
from models.tables import Code, ItemVersion, metadata

VERSION, CODE = table(ItemVersion), table(Code)
Kept = dict[str, list[dict[str, Any]]]


def keep(db: Database) -> Kept:
    """Every row of every table."""
    with db.reader() as connection:
        return {target.name: rows(connection, select(target)) for target in metadata.sorted_tables}


def put_back(db: Database, kept: Kept) -> None:
    """The database as it was kept."""
    with db.writer() as connection:
        if not db.sqlite:
            connection.exec_driver_sql("set local session_replication_role = replica")
            connection.exec_driver_sql("set local synchronous_commit = off")
        for target in reversed(metadata.sorted_tables):
            connection.execute(delete(target))
        for target in metadata.sorted_tables:
            if kept[target.name]:
                connection.execute(insert(target), kept[target.name])


def settle(db: Database, change_ids: Sequence[str], now: datetime) -> None:
    """The engine takes up whatever was left: a leg of each open change."""
    for change_id in change_ids:
        with db.reader() as connection:
            row = rows(connection, select(CHANGE).where(CHANGE.c.id == change_id))[0]
        if row["state"] != "open":
            continue
        attempt = row["attempt"]
        leg = begin_leg(db, change_id=change_id, attempt=attempt, flow_run_id="run-9", engine_id="e9", now=now)
        for _ in range(5):
            if run_pass(db, change_id=change_id, leg_no=leg, attempt=attempt, now=now, collect_minutes=20).ended:
                break


def told(db: Database, change_ids: Sequence[str]) -> dict[str, Any]:
    """How these changes stand, without ids and moments: two orders of the same acts are compared by it."""
    with db.reader() as connection:
        changes = rows(connection, select(CHANGE).where(CHANGE.c.id.in_(change_ids)).order_by(CHANGE.c.number))
        notices = rows(connection, select(NOTICE).where(NOTICE.c.change_id.in_(change_ids)))
        people: dict[str, list[tuple[str, str]]] = {
            step_id: [] for step_id in connection.execute(select(STEP.c.id)).scalars()
        }
        for row in rows(connection, select(ASSIGNMENT)):
            people[row["step_id"]].append((row["person_id"], row["state"]))
        steps = {row["id"]: row for row in rows(connection, select(STEP))}
        renewed = Counter(connection.execute(select(LOG.c.change_id).where(LOG.c.verb == "续办")).scalars())
        found: dict[str, Any] = {"notices": sorted((row["kind"], row["person_id"]) for row in notices)}
        for number, change in enumerate(changes):
            mine = change["id"]
            decided = rows(
                connection, select(DECISION).where(and_(DECISION.c.change_id == mine, DECISION.c.undone_at.is_(None)))
            )
            lines = rows(connection, select(DECISION_LINE))
            found[f"change {number}"] = {
                "stands": (change["phase"], change["state"]),
                "attempt": (change["attempt"], renewed[mine]),
                "adjustments": sorted(
                    (row["name"], row["state"], row["declined"])
                    for row in rows(connection, select(ADJUSTMENT).where(ADJUSTMENT.c.change_id == mine))
                ),
                "sheets": sorted(
                    (row["department_name"], row["procedure_key"], row["round"], row["position"], row["state"])
                    for row in rows(connection, select(SHEET).where(SHEET.c.change_id == mine))
                ),
                "steps": sorted(
                    (row["stage"], row["round"], row["state"], sorted(people[row["id"]]))
                    for row in steps.values()
                    if row["change_id"] == mine
                ),
                "decisions": sorted(
                    (
                        row["person_id"],
                        steps[row["step_id"]]["stage"],
                        row["verdict"],
                        sorted(line["verdict"] for line in lines if line["decision_id"] == row["id"]),
                    )
                    for row in decided
                ),
            }
        return found


def faults(db: Database, *, settled: bool = True) -> list[str]:
    """What does not hold though it always must, as sentences, the findings of `audit verify` first; empty where all is well."""
    found: list[str] = []
    with db.reader() as connection:
        changes = {row["id"]: row for row in rows(connection, select(CHANGE))}
        steps = {row["id"]: row for row in rows(connection, select(STEP))}
        asked = rows(connection, select(ASSIGNMENT))
        decided = rows(connection, select(DECISION).where(DECISION.c.undone_at.is_(None)))
        sheets = rows(connection, select(SHEET))
        adjustments = rows(connection, select(ADJUSTMENT))
        versions = rows(connection, select(VERSION).order_by(VERSION.c.item_id, VERSION.c.valid_from))
        log = rows(connection, select(LOG).order_by(LOG.c.change_id, LOG.c.seq))
        codes = connection.execute(select(CODE.c.value, func.count()).group_by(CODE.c.value)).all()
        links = rows(connection, select(LINK).where(and_(LINK.c.revoked_at.is_(None), LINK.c.change_id.is_not(None))))
        notices = rows(connection, select(NOTICE))
        names = set(connection.execute(select(PERSON.c.id)).scalars())
    found += [finding.message for finding in verify(db).findings]
    for key, count in Counter(row["assignment_id"] for row in decided).items():
        if count > 1:
            found.append(f"assignment {key} carries {count} standing decisions")
    by_id = {row["id"]: row for row in asked}
    said = Counter(row["data"].get("decision") for row in log if "decision" in row["data"])
    for row in decided:
        if by_id[row["assignment_id"]]["state"] != "decided":
            found.append(f"decision {row['id']} stands on an assignment that is {by_id[row['assignment_id']]['state']}")
        if said[row["id"]] != 1:
            found.append(f"decision {row['id']} stands {said[row['id']]} times in the log")
    for row in asked:
        if row["state"] == "decided" and row["id"] not in {d["assignment_id"] for d in decided}:
            found.append(f"assignment {row['id']} is decided without a decision")
        if row["person_id"] not in names:
            found.append(f"assignment {row['id']} is with nobody known")
        if row["state"] == "open" and steps[row["step_id"]]["state"] != "open":
            found.append(f"assignment {row['id']} is open in a step that is {steps[row['step_id']]['state']}")
    for key, count in Counter((r["person_id"], r["change_id"], r["purpose"]) for r in links).items():
        if count > 1:
            found.append(f"{count} live links for {key}")
    for key, count in Counter(row["key"] for row in notices).items():
        if count > 1:
            found.append(f"{count} notices under the key {key}")
    found += _version_faults(adjustments, versions)
    found += [f"code {value} was given to {count} items" for value, count in codes if count > 1]
    if settled:
        found += _open_faults(changes, steps, asked, sheets, adjustments)
    return found


def _version_faults(adjustments: Sequence[dict[str, Any]], versions: Sequence[dict[str, Any]]) -> list[str]:
    """Each published adjustment made one version; versions of an item follow each other without overlap."""
    found = []
    made = Counter(row["adjustment_id"] for row in versions if row["adjustment_id"])
    for row in adjustments:
        if made[row["id"]] != (1 if row["state"] == "published" else 0):
            found.append(f"adjustment {row['id']} is {row['state']} and made {made[row['id']]} versions")
    standing = [row for row in versions if row["superseded_at"] is None]
    for before, after in zip(standing, standing[1:], strict=False):
        if before["item_id"] == after["item_id"] and (
            before["valid_to"] is None or before["valid_to"] > after["valid_from"]
        ):
            found.append(f"versions {before['no']} and {after['no']} of item {before['item_id']} overlap")
    numbers = Counter((row["item_id"], row["no"]) for row in versions)
    found += [f"item {key[0]} has {count} versions numbered {key[1]}" for key, count in numbers.items() if count > 1]
    bases = {row["id"]: row["base_version_id"] for row in adjustments if row["state"] == "published"}
    by_item: dict[str, dict[str, Any]] = {}
    for row in sorted(versions, key=lambda row: (row["item_id"], row["no"])):
        last = by_item.get(row["item_id"])
        if row["adjustment_id"] in bases and last is not None and bases[row["adjustment_id"]] != last["id"]:
            found.append(f"version {row['no']} of item {row['item_id']} took no notice of the one before")
        by_item[row["item_id"]] = row
    return found


def _open_faults(
    changes: dict[str, Any],
    steps: dict[str, Any],
    asked: Sequence[dict[str, Any]],
    sheets: Sequence[dict[str, Any]],
    adjustments: Sequence[dict[str, Any]],
) -> list[str]:
    """After the engine's turn: whatever is open has somebody, a deadline, and a place in its change."""
    found = []
    waiting = Counter(row["step_id"] for row in asked if row["state"] == "open")
    for step in steps.values():
        if step["state"] != "open":
            continue
        if not waiting[step["id"]] and not step["no_owner"]:
            found.append(f"step {step['id']} ({step['stage']}) is open and waits for nobody")
        if step["due_on"] is None:
            found.append(f"step {step['id']} is open without a deadline")
        if changes[step["change_id"]]["state"] != "open":
            found.append(f"step {step['id']} is open in a change that is {changes[step['change_id']]['state']}")
    for change in changes.values():
        if change["state"] == "open" and change["work_seq"] != change["consumed_seq"]:
            found.append(f"change {change['number']} has work nobody took up")
    with_step = {step["sheet_id"] for step in steps.values() if step["state"] == "open"}
    for sheet in sheets:
        if sheet["state"] == "open" and not sheet["stuck"] and sheet["id"] not in with_step:
            found.append(f"sheet {sheet['id']} is open and nothing of it is")
    by_sheet = {sheet["id"]: sheet for sheet in sheets}
    for sheet in sheets:
        if sheet["state"] in {"open", "waiting"} and changes[sheet["change_id"]]["state"] != "open":
            found.append(f"sheet {sheet['id']} is {sheet['state']} in a change that has ended")
    for row in adjustments:
        its_sheet = by_sheet.get(row["sheet_id"] or "", {"state": "missing"})
        if row["state"] in {"drafting", "in_review"} and its_sheet["state"] != "open":
            found.append(f"adjustment {row['id']} is {row['state']} and in no open sheet")
        if changes[row["change_id"]]["state"] == "closed" and row["state"] not in {
            "published", "declined", "rejected", "removed",
        }:  # fmt: skip
            found.append(f"adjustment {row['id']} is {row['state']} in a closed change")
    return found
