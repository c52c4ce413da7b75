"""Which articles of a law adjustments rest on, what was decided of each item when an article changed, and how often what a
rule proposed was kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, and_, case, func, literal, or_, select
from sqlalchemy.sql.elements import ColumnElement

from models.domain.law_text import canonical_title
from models.store.change import (
    ADJUSTMENT,
    CHANGE,
    DECISION,
    DECISION_LINE,
    LOG,
    PERSON,
    PROPOSAL,
    STEP,
    Row,
    chunks,
    rows,
)
from models.store.sealing import OFFICE_LOG
from models.store.sql import among, insert_all, table
from models.tables import TouchedArticle

TOUCHED = table(TouchedArticle)
#: The lines of the office's log by which a rule is switched.
OFF, ON = "停用规则", "启用规则"
#: What may have become of a proposed row; `proposed` is all of them.
FATES = ("proposed", "kept", "altered", "dropped", "open", "withdrawn")
_PLACE = ("canonical", "article", "sub", "new_article", "new_sub")
#: How an item ends for which no adjustment was needed.
_ENDED = ("declined", "removed")


def add_touched(connection: Connection, adjustments: Sequence[Row]) -> None:
    """The cited articles of new adjustments, as their hints have them."""
    values = [
        {
            "adjustment_id": adjustment["id"],
            "no": number,
            "canonical": detail["law"],
            "article": detail["old_article"],
            "sub": detail["old_sub"] or 0,
            "new_article": detail["new_article"],
            "new_sub": detail["new_sub"] or 0,
            "change": detail["change"],
            "kind": detail["kind"],
            "rule": detail["rule"],
        }
        for adjustment in adjustments
        for number, detail in enumerate(adjustment["hint"].get("articles") or (), start=1)
    ]
    insert_all(connection, TOUCHED, values)


# --- what was decided ----------------------------------------------------------------------------------------------


def left_before(connection: Connection, item_ids: Sequence[str]) -> dict[str, list[Row]]:
    """By item: when no adjustment was needed of it though an article it cites changed, the newest first.

    Each with the `number` and `title` of the change, `verdict` (take_out, no_adjustment, decline), `person`, `at`,
    `reason` and the `articles` concerned as (law, old, sub, new, new sub). What went with a change that was withdrawn was
    decided by nobody and is left out.
    """
    found: dict[str, Row] = {}
    for part in chunks(item_ids):
        query = _ended().where(among(ADJUSTMENT.c.item_id, part))
        for row in rows(connection, query):
            held = found.setdefault(row["id"], {**row, "articles": []})
            held["articles"].append(tuple(row[name] for name in _PLACE))
    told = _said(connection, list(found))
    by_item: dict[str, list[Row]] = {}
    for key, row in found.items():
        if key in told:
            names = ("change_id", "number", "title", "articles")
            by_item.setdefault(row["item_id"], []).append({**{n: row[n] for n in names}, **told[key]})
    for entries in by_item.values():
        entries.sort(key=lambda entry: entry["at"], reverse=True)
    return by_item


def spans(connection: Connection, canonicals: Sequence[str]) -> set[tuple[str, str | None]]:
    """From which text to which (None: repealed) the changes went that touched these titles, as days written in full."""
    query = select(CHANGE.c.params).where(
        CHANGE.c.trigger == "law_change",
        CHANGE.c.id.in_(
            select(ADJUSTMENT.c.change_id)
            .join(TOUCHED, TOUCHED.c.adjustment_id == ADJUSTMENT.c.id)
            .where(among(TOUCHED.c.canonical, canonicals))
        ),
    )
    found = (params for (params,) in connection.execute(query))
    return {
        (str(params["from_version"]), params.get("to_version"))
        for params in found
        if canonical_title(str(params.get("law") or "")) in canonicals
    }


def history_of_article(connection: Connection, canonicals: Sequence[str], article: int, sub: int = 0) -> list[Row]:
    """The adjustments that rest on an article by its old or its new number, the newest change first: change, item, what was
    proposed and what became of it; `left` tells who decided that no adjustment was needed, and why. The number may be another
    article in another text of the law: `params` names the texts of the change.
    """
    here = or_(
        and_(TOUCHED.c.article == article, TOUCHED.c.sub == sub),
        and_(TOUCHED.c.new_article == article, TOUCHED.c.new_sub == sub),
    )
    query = (
        _adjusted(
            ADJUSTMENT.c.code, ADJUSTMENT.c.name, ADJUSTMENT.c.outcomes, ADJUSTMENT.c.state, ADJUSTMENT.c.road,
            ADJUSTMENT.c.reason, ADJUSTMENT.c.effective_at, TOUCHED.c.change, TOUCHED.c.kind, TOUCHED.c.rule,
            CHANGE.c.created_at, CHANGE.c.params, CHANGE.c.state.label("change_state"),
        )
        .where(among(TOUCHED.c.canonical, canonicals), here)
        .order_by(CHANGE.c.created_at.desc(), ADJUSTMENT.c.ord, TOUCHED.c.no)
    )  # fmt: skip
    found = rows(connection, query)
    told = _said(connection, [row["id"] for row in found if row["state"] in _ENDED])
    return [{**row, "left": told.get(row["id"])} for row in found]


def _adjusted(*more: Any) -> Select[Any]:
    t = TOUCHED.c
    return (
        select(
            ADJUSTMENT.c.id, ADJUSTMENT.c.item_id, CHANGE.c.id.label("change_id"), CHANGE.c.number, CHANGE.c.title,
            *(t[name] for name in _PLACE), *more,
        )
        .select_from(TOUCHED)
        .join(ADJUSTMENT, ADJUSTMENT.c.id == t.adjustment_id)
        .join(CHANGE, CHANGE.c.id == ADJUSTMENT.c.change_id)
    )  # fmt: skip


def _ended() -> Select[Any]:
    return _adjusted().where(ADJUSTMENT.c.state.in_(_ENDED)).order_by(TOUCHED.c.adjustment_id, TOUCHED.c.no)


def _said(connection: Connection, adjustment_ids: Sequence[str]) -> dict[str, Row]:
    """Who said that an adjustment is not needed: at the scope, by a decline, or by taking it out later."""
    found: dict[str, Row] = {}
    for part in chunks(sorted(set(adjustment_ids))):
        for query in (_taken_out(part), _declines(part), _at_scope(part)):
            for row in rows(connection, query):
                person = {"id": row["person_id"], "name": row["name"]}
                reason = row["remark"] or row.get("comment") or ""
                found[row["adjustment_id"]] = {
                    "verdict": row["verdict"], "person": person, "at": row["at"], "reason": reason,
                }  # fmt: skip
    return found


def _at_scope(part: Sequence[str]) -> Select[Any]:
    line = DECISION_LINE.c
    return (
        select(line.adjustment_id, line.verdict, line.remark, DECISION.c.comment, DECISION.c.at, DECISION.c.person_id, PERSON.c.name)
        .join(DECISION, DECISION.c.id == line.decision_id)
        .join(STEP, STEP.c.id == DECISION.c.step_id)
        .join(PERSON, PERSON.c.id == DECISION.c.person_id)
        .where(
            among(line.adjustment_id, part),
            STEP.c.stage == "scope",
            line.verdict.in_(("take_out", "no_adjustment")),
            DECISION.c.undone_at.is_(None),
        )
    )  # fmt: skip


def _declines(part: Sequence[str]) -> Select[Any]:
    return (
        select(
            PROPOSAL.c.adjustment_id, literal("decline").label("verdict"), PROPOSAL.c.remark, PROPOSAL.c.at,
            PROPOSAL.c.by_person_id.label("person_id"), PERSON.c.name,
        )
        .join(PERSON, PERSON.c.id == PROPOSAL.c.by_person_id)
        .join(ADJUSTMENT, and_(ADJUSTMENT.c.id == PROPOSAL.c.adjustment_id, ADJUSTMENT.c.state == "declined"))
        .where(among(PROPOSAL.c.adjustment_id, part), PROPOSAL.c.kind == "decline", PROPOSAL.c.submitted.is_(True))
        .order_by(PROPOSAL.c.no)
    )  # fmt: skip


def _taken_out(part: Sequence[str]) -> Select[Any]:
    return (
        select(
            LOG.c.object.label("adjustment_id"), literal("take_out").label("verdict"), ADJUSTMENT.c.reason.label("remark"),
            LOG.c.at, LOG.c.who.label("person_id"), PERSON.c.name,
        )
        .join(ADJUSTMENT, and_(ADJUSTMENT.c.id == LOG.c.object, ADJUSTMENT.c.change_id == LOG.c.change_id))
        .join(PERSON, PERSON.c.id == LOG.c.who)
        .where(LOG.c.verb == "移出", among(LOG.c.object, part))
    )  # fmt: skip


# --- rules ---------------------------------------------------------------------------------------------------------


def rule_figures(connection: Connection) -> list[Row]:
    """For each rule and kind how many citations it `proposed` something for, and of these how many were `kept` as proposed,
    `altered`, `dropped`, or are `open`.

    Kept is a row whose item was published with exactly the first proposal, or with other content but the same bases of that
    row's article, or left where that was proposed; altered one published with other bases of its article, or taken in
    though it was to be left; dropped one taken out, declined or rejected. What went with a withdrawn change counts as
    proposed alone (`withdrawn`).
    """
    first = PROPOSAL.alias("first")
    proposed_to_leave = func.coalesce(ADJUSTMENT.c.hint["road"].as_string(), "") == "none"
    fate = _fate(first, proposed_to_leave)
    query = (
        select(TOUCHED.c.rule, TOUCHED.c.kind, fate.label("fate"), func.count().label("n"))
        .join(ADJUSTMENT, ADJUSTMENT.c.id == TOUCHED.c.adjustment_id)
        .join(CHANGE, CHANGE.c.id == ADJUSTMENT.c.change_id)
        .join(first, and_(first.c.adjustment_id == ADJUSTMENT.c.id, first.c.no == 1))
        .group_by(TOUCHED.c.rule, TOUCHED.c.kind, fate)
    )
    return _summed(rows(connection, query), _kept_beside_others(connection))


def _kept_beside_others(connection: Connection) -> Counter[tuple[str, str]]:
    """Of the rows of items that were published with other content those, by rule and kind, whose own bases are as proposed:
    one adjustment carries all cited articles of an item, and somebody changed another of them.
    """
    first, last, t = PROPOSAL.alias("first"), PROPOSAL.alias("last"), TOUCHED.c
    proposed_to_leave = func.coalesce(ADJUSTMENT.c.hint["road"].as_string(), "") == "none"
    query = (
        select(
            t.adjustment_id, t.no, t.canonical, t.article, t.sub, t.new_article, t.new_sub, t.rule, t.kind,
            first.c.content.label("proposed"), last.c.content.label("published"),
        )
        .select_from(TOUCHED)
        .join(ADJUSTMENT, ADJUSTMENT.c.id == t.adjustment_id)
        .join(CHANGE, CHANGE.c.id == ADJUSTMENT.c.change_id)
        .join(first, and_(first.c.adjustment_id == ADJUSTMENT.c.id, first.c.no == 1))
        .join(last, and_(last.c.adjustment_id == ADJUSTMENT.c.id, last.c.revision == ADJUSTMENT.c.approved_hash))
        .where(
            CHANGE.c.state != "withdrawn", ADJUSTMENT.c.state == "published",
            ADJUSTMENT.c.approved_hash != first.c.revision, ~proposed_to_leave,
        )
    )  # fmt: skip
    kept = {
        (row["adjustment_id"], row["no"]): (row["rule"], row["kind"] or "")
        for row in rows(connection, query)
        if _same_bases(row)
    }
    return Counter(kept.values())


def _same_bases(row: Row) -> bool:
    """Whether the bases of a row's article, by its old and its new number, were published as they were proposed."""
    numbers = {(row["article"], row["sub"]), (row["new_article"], row["new_sub"])} - {(None, 0)}

    def mine(content: Mapping[str, Any] | None) -> list[Any]:
        return [
            basis
            for basis in (content or {}).get("bases") or ()
            if canonical_title(str(basis.get("law") or "")) == row["canonical"]
            and (not numbers or (basis.get("article"), basis.get("sub") or 0) in numbers)
        ]

    return mine(row["proposed"]) == mine(row["published"])


def _fate(first: Any, proposed_to_leave: ColumnElement[bool]) -> ColumnElement[str]:
    state = ADJUSTMENT.c.state
    same = ADJUSTMENT.c.approved_hash == first.c.revision
    return case(
        (CHANGE.c.state == "withdrawn", "withdrawn"),
        (and_(state == "published", same, ~proposed_to_leave), "kept"),
        (state == "published", "altered"),
        (and_(state == "declined", ADJUSTMENT.c.road == "none"), "kept"),
        (state.in_((*_ENDED, "rejected")), "dropped"),
        else_="open",
    )


def _summed(counted: Iterable[Mapping[str, Any]], kept: Mapping[tuple[str, str], int]) -> list[Row]:
    found: dict[tuple[str, str], Row] = {}
    for row in counted:
        key = (row["rule"], row["kind"] or "")
        entry = found.setdefault(key, {"rule": row["rule"], "kind": row["kind"], **dict.fromkeys(FATES, 0)})
        entry["proposed"] += row["n"]
        entry[row["fate"]] += row["n"]
    for key, number in kept.items():
        found[key]["kept"] += number
        found[key]["altered"] -= number
    return [found[key] for key in sorted(found)]


def switches(connection: Connection) -> list[Row]:
    """Every switching of a rule, oldest first: `rule`, `off`, `person_id`, `name`, `at`, `reason`."""
    query = (
        select(
            OFFICE_LOG.c.object, OFFICE_LOG.c.verb, OFFICE_LOG.c.who, OFFICE_LOG.c.at, OFFICE_LOG.c.data, PERSON.c.name
        )
        .outerjoin(PERSON, PERSON.c.id == OFFICE_LOG.c.who)
        .where(OFFICE_LOG.c.verb.in_((OFF, ON)))
        .order_by(OFFICE_LOG.c.seq)
    )
    return [
        {
            "rule": row["object"], "off": row["verb"] == OFF, "person_id": row["who"], "name": row["name"], "at": row["at"],
            "reason": row["data"].get("reason", ""),
        }
        for row in rows(connection, query)
    ]  # fmt: skip


def rules_off(connection: Connection) -> dict[str, Row]:
    """The rules that are switched off now, each with who did it, when and why."""
    newest = {row["rule"]: row for row in switches(connection)}
    return {rule: row for rule, row in newest.items() if row["off"]}
