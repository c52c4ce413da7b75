"""Publication: the atomic switch of versions of a change at one effective moment.

One transaction: base version still current, hash as approved, code free, all checked under lock. What fails is taken
out with its group, marked blocked with the reason and told; the rest is published.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

from pydantic import ValidationError
from sqlalchemy import and_, select

from models.actions.notices import LISTED, day_text
from models.actions.opening import Room
from models.domain.basis_follow import kept_ranges
from models.domain.codes import next_basic_code
from models.domain.content import ItemContent, dumped_hash
from models.domain.deadlines import IN_TIME, SHANGHAI, validity_begins, working_days_late
from models.domain.errors import BadInput
from models.domain.law_reach import followed
from models.domain.numerals import article_name
from models.store import catalogue, office
from models.store.change import (
    DECISION,
    STEP,
    Case,
    Row,
    due_lines,
    freed_sheets,
    insert_rows,
    set_adjustments,
    set_sheets,
    settled_sheets,
    standing_proposals,
)
from models.store.publication import free_moment, new_publication
from models.store.sql import table
from models.store.turns import take_turn
from models.tables import Code, Item, new_id

ITEM, CODE = table(Item), table(Code)
LISTS = ("行政许可事项清单",)
_SHOWN_ARTICLES = 5  # of one item in a mail
TERMINAL = frozenset({"published", "declined", "rejected", "removed"})


def publish_due(room: Room, only: str | None = None) -> None:
    """Publish what is scheduled and due (of one sheet `only`); what is published is no longer scheduled, so that
    repeating is harmless.
    """
    due = due_lines(room.connection, room.case.id, room.case.now)
    _publish_lines(room, [row for row in due if only in (None, row["sheet_id"])])
    settle_sheets(room)


def _publish_lines(room: Room, due: Sequence[Row]) -> None:
    if not due:
        return
    take_turn(room.connection, "publication")  # what is checked now must still hold when it is written
    proposals = standing_proposals(room.connection, [row["id"] for row in due], "revision", "content")
    blocked = _blocked(room, due, proposals)
    for adjustment_id, reason in blocked.items():
        set_adjustments(room.case, [adjustment_id], state="blocked", reason=reason)
    good = [row for row in due if row["id"] not in blocked]
    if good:
        _publish(room, good, proposals)
    if blocked:
        _tell_blocked(room, blocked, len(good))


def _blocked(room: Room, due: Sequence[Row], proposals: dict[str, Row]) -> dict[str, str]:
    """Why an adjustment cannot be published now; its whole group stays with it."""
    current = catalogue.standing_ids(room.connection, [row["item_id"] for row in due if row["item_id"]])
    found: dict[str, str] = {}
    for row in due:
        if row["item_id"] and row["item_id"] not in current and not catalogue.is_known(room.connection, row["item_id"]):
            found[row["id"]] = f"“{row['name']}”已不在事项目录中，请移出"
        elif row["item_id"] and current.get(row["item_id"]) != row["base_version_id"]:
            found[row["id"]] = "审核期间该事项已由其他发布批次更新，请起草人对照修改"
        elif proposals[row["id"]]["revision"] != row["approved_hash"]:
            found[row["id"]] = "内容与审批时不一致，未发布"
    found |= _codes_taken(room, [row for row in due if row["id"] not in found and not row["item_id"]], proposals)
    groups = {row["group_id"] for row in due if row["id"] in found and row["group_id"]}
    for row in due:
        if row["group_id"] in groups and row["id"] not in found:
            found[row["id"]] = "同批事项发布受阻，一并留待处理"
    return found


def _codes_taken(room: Room, new: Sequence[Row], proposals: dict[str, Row]) -> dict[str, str]:
    """New items whose code was given before, or stands twice among them: a code is given once."""
    wanted = {row["id"]: str((proposals[row["id"]]["content"] or {}).get("code") or "") for row in new}
    taken = catalogue.codes_given(room.connection, [code for code in wanted.values() if code])
    found: dict[str, str] = {}
    for adjustment_id, code in wanted.items():
        if code in taken:
            found[adjustment_id] = f"编码 {code} 已用于其他事项，请起草人另行选用"
        elif code:
            taken.add(code)
    return found


def _publish(room: Room, good: Sequence[Row], proposals: dict[str, Row]) -> None:
    case = room.case
    wanted = validity_begins(max(row["effective_at"] for row in good), case.now)
    # A sheet that was held back: the others of its moment are published already.
    effective = free_moment(room.connection, case.id, wanted, case.now)
    since = _legal_since(room, effective)
    bodies: dict[str, dict[str, Any]] = {row["id"]: dict(proposals[row["id"]]["content"] or {}) for row in good}
    # New items first: their line of the log must not take the seal of the publication from the line that tells of it.
    items = {row["id"]: row["item_id"] or _new_item(room, row, bodies[row["id"]]) for row in good}
    publication_id, number = new_publication(
        room.connection,
        change_id=case.id,
        title=case.row["title"],
        effective_at=effective,
        now=case.now,
        put=case.insert,
    )
    ranges = catalogue.ranges_of(room.connection, [row["base_version_id"] for row in good if row["base_version_id"]])
    departments = room.departments
    # PostgreSQL ends what stood while the new versions are made: from here to their writing nothing is read.
    old = catalogue.end_standing(room.connection, list(items.values()), effective, case.now)
    versions = [
        _version(
            row,
            items[row["id"]],
            _content(row, bodies[row["id"]]),
            departments,
            since,
            ranges.get(row["base_version_id"] or "", ()),
        )
        for row in good
    ]
    written = catalogue.write_versions(
        room.connection,
        publication_id=publication_id,
        versions=versions,
        effective_at=effective,
        now=case.now,
        put=case.insert,
        old=old,
    )
    _tell_log(case, publication_id, number, effective, versions, written)
    set_adjustments(room.case, list(items), state="published", effective_at=effective)
    for name in LISTS:
        catalogue.snapshot_list(room.connection, name=name, publication_id=publication_id)
    case.log("发布", about=number, count=len(good), publication=publication_id, effective_at=effective.isoformat())
    _tell_published(room, good, number, effective, since)


def _version(
    row: Row,
    item_id: str,
    content: ItemContent,
    departments: Container[str],
    since: date | None,
    ranges: Sequence[tuple[str, int, int, int]],
) -> catalogue.NewVersion:
    """What an adjustment makes of its item."""
    dumped = content.model_dump(mode="json")
    return catalogue.NewVersion(
        item_id=item_id,
        content=dumped,
        name=content.name,
        type=content.type,
        code=content.code,
        department_id=content.department if content.department in departments else row["department_id"],
        department_text=str(row["hint"].get("department_text") or ""),
        state="cancelled" if "cancel" in row["outcomes"].split("+") else "active",
        adjustment_id=row["id"],
        legal_since=since,
        hash=dumped_hash(dumped),
        ranges=kept_ranges(dumped["bases"], ranges),
    )


def _content(row: Row, body: dict[str, Any]) -> ItemContent:
    try:
        return ItemContent.model_validate(body)
    except ValidationError as error:
        message = f"“{row['name']}”的拟调整内容不完整或者已损坏，不能发布。请移出后点“重试”。"
        raise BadInput("content_broken", message, adjustment=row["id"]) from error


def _tell_log(
    case: Case,
    publication_id: str,
    number: str,
    effective: datetime,
    versions: Sequence[catalogue.NewVersion],
    written: dict[str, tuple[str | None, str]],
) -> None:
    case.made("publication", [{"id": publication_id, "number": number, "effective_at": effective}])
    rows = [
        {
            "id": written[version.item_id][1],
            "item_id": version.item_id,
            "adjustment_id": version.adjustment_id,
            "publication_id": publication_id,
            "state": version.state,
            "hash": version.hash,
        }
        for version in versions
    ]
    case.made("item_version", rows)


def _new_item(room: Room, row: Row, body: dict[str, Any]) -> str:
    """A new item gets its code here, in the transaction that publishes it: one that was never given before."""
    if not body.get("code"):
        type_code, region = str(body["type"]), _region(room)
        taken = catalogue.codes_like(room.connection, region + type_code)
        body["code"] = next_basic_code(type_code, region, taken)
    item_id = new_id("itm")
    insert_rows(
        room.connection, ITEM, [{"id": item_id, "kind": "item", "identity": f"own:{body['code']}", "parent_id": None}]
    )
    set_adjustments(room.case, [row["id"]], item_id=item_id, code=body["code"])
    room.case.log("赋码", about=row["id"], code=body["code"])
    return item_id


def _region(room: Room) -> str:
    """The two characters of the setting level that local codes begin with: those most in use here."""
    code = room.connection.execute(select(CODE.c.value).limit(1)).scalar()
    for value in room.connection.execute(select(CODE.c.value).limit(200)).scalars():
        if len(value) == 12 and value[:2].isdigit() and value[:2] != "00":
            return str(value[:2])
    return str(code)[:2] if code and str(code)[:2].isdigit() else "99"


def _drafters_of(room: Room, good: Sequence[Row]) -> dict[str, set[str]]:
    """Who drafted these adjustments, with those of each."""
    query = (
        select(DECISION.c.person_id, STEP.c.sheet_id, office.PERSON.c.name)
        .join(office.PERSON, office.PERSON.c.id == DECISION.c.person_id)
        .join(STEP, STEP.c.id == DECISION.c.step_id)
        .where(and_(DECISION.c.change_id == room.case.id, STEP.c.stage == "draft"))
        .distinct()
    )
    of_sheet: dict[str, set[str]] = {}
    for row in good:
        of_sheet.setdefault(row["sheet_id"], set()).add(row["id"])
    found: dict[str, set[str]] = {}
    for person_id, sheet_id, name in room.connection.execute(query).all():
        if sheet_id in of_sheet:
            room.writer.people[person_id] = name
            found.setdefault(person_id, set()).update(of_sheet[sheet_id])
    return found


def _legal_since(room: Room, effective: datetime) -> date | None:
    """The day since which the law has it so, where validity begins later than that."""
    on: date | None = room.case.row["effective_on"]
    if on is None or effective - datetime.combine(on, time.min, tzinfo=SHANGHAI) <= IN_TIME:
        return None
    return on


def _tell_published(room: Room, good: Sequence[Row], number: str, effective: datetime, since: date | None) -> None:
    """Who drafted hears of what he drafted; of what went the short road, where nobody drafts, the drafters of its department."""
    late = 0 if since is None else working_days_late(since, room.today, room.calendar)
    local = effective.astimezone(SHANGHAI)
    said: dict[str, Any] = {
        "effective_at": f"{local.year}年{local.month}月{local.day}日 {local:%H:%M}",
        "effective_day": f"{local.month}月{local.day}日",
        "publication": {"number": number},
        "late": late,
        "legal_since": "" if since is None else day_text(since, room.case.now),
        "n": 0,
    }
    drafted = _drafters_of(room, good)
    places = {row["id"]: place for place, row in enumerate(good)}
    for person_id, mine in drafted.items():
        lines = [good[place] for place in sorted(places[adjustment_id] for adjustment_id in mine)]
        room.writer.add("published", person_id, f"{number}:published:{person_id}", lines=lines, short=False, **said)
    heard = set().union(*drafted.values())
    by_department: dict[str, list[Row]] = {}
    for row in good:
        if row["id"] not in heard and row["road"] == "short" and row["department_id"] is not None:
            by_department.setdefault(row["department_id"], []).append(row)
    for department_id, lines in by_department.items():
        for holder in office.eligible(room.connection, role="drafter", on=room.today, department_id=department_id):
            person_id, key = holder.person_id, f"{number}:numbers:{department_id}:{holder.person_id}"
            room.writer.add("published", person_id, key, lines=lines, items=_followed_items(lines), short=True, **said)


def _followed_items(lines: Sequence[Row]) -> list[dict[str, Any]]:
    """What a mail lists of items whose bases only followed the law: each with its articles, old and new."""
    return [
        {"n": n, "name": row["name"], "code": row["code"] or "无编码", "outcomes": _followed_words(row["hint"])}
        for n, row in enumerate(lines[:LISTED], start=1)
    ]


def _followed_words(hint: Mapping[str, Any]) -> str:
    words = []
    for detail in followed(hint):
        old = article_name(detail["old_article"], detail["old_sub"])
        new = article_name(detail["new_article"], detail["new_sub"])
        words.append(f"{old}文字修改" if new in ("", old) else f"{old}改为{new}")
    shown = "、".join(dict.fromkeys(words[:_SHOWN_ARTICLES])) + ("等" if len(words) > _SHOWN_ARTICLES else "")
    return f"《{hint['title']}》{shown}"


def _tell_blocked(room: Room, blocked: dict[str, str], published: int) -> None:
    coordinator = room.case.row["coordinator_id"]
    if coordinator is None:
        return
    reasons = sorted(set(blocked.values()))
    room.writer.add(
        "publication_blocked",
        coordinator,
        f"{room.case.id}:blocked:{'-'.join(sorted(blocked))[:200]}",
        reason="；".join(reasons),
        blocked=len(blocked),
        published=published,
    )


def settle_sheets(room: Room) -> None:
    """A sheet that waits for publication is done once every line of it has its final state."""
    set_sheets(room.case, settled_sheets(room.connection, room.case.id, TERMINAL), state="done")
    freed = freed_sheets(room.connection, room.case.id, room.case.now)
    set_sheets(room.case, freed, stuck=None, retry_at=None, stuck_tries=0)
