"""A link to a desk that has ended: what it still says, and a new one to the registered address.

Only whoever holds a genuine token hears anything; the answer to a request is the same whether a mail leaves or not.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from models.actions.desk import decided_by
from models.actions.notices import Writer, at_text, contact_of, due_text
from models.actions.supervising import supervised
from models.domain.deadlines import SHANGHAI, shanghai_day
from models.domain.errors import Gone, Unknown
from models.domain.vocabulary import STAGE_NAMES
from models.store import office
from models.store.change import ASSIGNMENT, Case, Row, change_row, open_steps_of, rows, step_lines
from models.store.database import Database
from models.store.outbox import LINK_DAYS, enqueue, link_and_person

LISTED = 5


def genuine(row: Row | None, check: Callable[[Row], None]) -> Row:
    """The row of a link to a desk whose token was checked; of any other nothing is said but `Unknown bad_link`."""
    if row is not None:
        check(row)
    if row is None or row["purpose"] != "desk" or row["change_id"] is None:
        raise Unknown("bad_link", "链接不完整或者不正确，无法打开。请从通知邮件中完整复制，或者联系事项管理部门。")
    return row


def end_of(row: Row, now: datetime) -> tuple[datetime | None, str] | None:
    """When (where it is known) and why a link ended; None while it lives."""
    if row["disabled_at"] is not None:
        return row["disabled_at"], "您的账号已停用"
    if row["revoked_at"] is not None:
        return row["revoked_at"], "已由新的链接代替或者已停用"
    if not row["in_post"] and not row["holds"]:
        return None, "您已不在任，在本变更中没有待办"
    silent = (row["carried_at"] or row["created_at"]) + timedelta(days=LINK_DAYS)
    if min(row["expires_at"], silent) <= now:
        return min(row["expires_at"], silent), f"{LINK_DAYS} 日内没有新的通知"
    return None


def dead_link(db: Database, *, row: Row, at: datetime | None, reason: str, now: datetime) -> Gone:
    """The refusal of a link that has ended: who decided what or has it now, whom to ask, whether a new one is offered."""
    with db.reader() as connection:
        change = change_row(connection, row["change_id"])
        decided = decided_by(connection, change["id"], row["person_id"])
        taken = _handed_on(connection, change["id"], row["person_id"])
        contact = contact_of(connection, change["coordinator_id"])
    words = [f"链接已停用（{reason}）。" if at is None else f"链接已于{at_text(at, now)}停用（{reason}）。"]
    by: dict[str, Any] | None = None
    if change["state"] != "open":
        word = "撤回" if change["state"] == "withdrawn" else "办结"
        words.append(f"本次变更已于{at_text(change['closed_at'], now)}{word}。")
    elif taken:
        by = taken[-1]["to"]
        words.append(f"该件已于{at_text(taken[-1]['at'], now)}转交{taken[-1]['to']['name']}办理。")
    elif decided:
        by = decided[-1]["by"]
        words.append(
            f"该件已由{decided[-1]['by']['name']}于{at_text(datetime.fromisoformat(decided[-1]['at']), now)}办理。"
        )
    renews = row["disabled_at"] is None and change["state"] == "open"
    if renews:
        words.append("仍须办理的，请点“重新发送链接”，新链接只发到登记的邮箱。")
    else:
        words.append(f"有疑问的，请联系{contact['name']}。")
    return Gone(
        "dead_link",
        "".join(words),
        by=by,
        at=None if at is None else at.isoformat(),
        change={"number": change["number"], "title": change["title"]},
        decided=decided,
        contact={"id": contact["id"], "name": contact["name"]},
        renew=renews,
    )


def _handed_on(connection: Connection, change_id: str, person_id: str) -> list[dict[str, Any]]:
    """To whom what lay open for a person went, oldest first."""
    new = ASSIGNMENT.alias()
    query = (
        select(new.c.person_id, new.c.opened_at)
        .join(ASSIGNMENT, new.c.from_id == ASSIGNMENT.c.id)
        .where(ASSIGNMENT.c.change_id == change_id, ASSIGNMENT.c.person_id == person_id)
        .order_by(new.c.opened_at)
    )
    return [
        {"to": {"id": row["person_id"], "name": office.name_of(connection, row["person_id"])}, "at": row["opened_at"]}
        for row in rows(connection, query)
    ]


def renew(db: Database, *, link_id: str, check: Callable[[Row], None], now: datetime) -> None:
    """Mail a new link to the registered address of whoever a dead link belonged to, if something still lies open for him.

    At most once an hour. `check` sees the link's row and refuses a wrong token. Raises `Unknown bad_link`.
    """

    def verb(connection: Connection) -> None:
        row = genuine(link_and_person(connection, link_id, shanghai_day(now)), check)
        ended = end_of(row, now)
        if ended is None or row["disabled_at"] is not None:
            return
        case = Case(connection, row["change_id"], now)
        if case.row["state"] != "open":
            return
        notice = _what_lies_open(connection, case, row["person_id"])
        if notice is not None and enqueue(connection, notices=[notice], now=now, collect_minutes=0).count:
            case.log("重新发送", who=row["person_id"], via="link", about=link_id)
            case.flush()

    db.write(verb)


def _what_lies_open(connection: Connection, case: Case, person_id: str) -> Row | None:
    """The notice that carries the new link: what lies open for a person, or late before him; None where nothing does."""
    late = {one["step"] for one in supervised(connection, case.row, person_id, case.now)}
    steps = open_steps_of(connection, case.id, person_id, sorted(late))
    if not steps:
        return None
    counts = {key: len(lines) for key, lines in step_lines(connection, [step["id"] for step in steps]).items()}
    writer = Writer(connection, case)
    listed = [
        {
            "i": number,
            "stage": {"code": step["stage"], "name": STAGE_NAMES[step["stage"]]},
            "sheet": {"department": step["department_name"] or ""},
            "count": counts[step["id"]],
            "due": due_text(step["due_on"], step["provisional"], case.now),
        }
        for number, step in enumerate(steps[:LISTED], start=1)
    ]
    hour = case.now.astimezone(SHANGHAI).strftime("%Y%m%d%H")
    key = f"{case.id}:renew:{person_id}:{hour}"
    writer.add("digest", person_id, key, step=steps[0], n=len(steps), more_lines=max(0, len(steps) - LISTED))
    (notice,) = writer.notices
    notice["payload"]["lines"] = listed
    # It is about all of them: it leaves even where the first is decided meanwhile.
    return {**notice, "step_id": None}
