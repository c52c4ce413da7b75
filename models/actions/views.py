"""What is shown: a change, the board, items, the status page. Nothing is written here.

Keys of `change_show` and `change_list` are those of the command line's JSON (DESIGN 8); the others serve pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import Connection

from models.actions.articles import places, side
from models.actions.notices import at_text, day_text
from models.domain.calendar import WorkCalendar
from models.domain.content import FIELDS, ITEM_TYPES
from models.domain.deadlines import SHANGHAI
from models.domain.differences import FieldDifference, basis_text, field_differences, field_text
from models.domain.errors import Unknown
from models.domain.law_reach import article_key, articles_touched, followed
from models.domain.law_text import Article
from models.domain.outside import md, one_line
from models.domain.reach import CHANGE_WORDS
from models.domain.vocabulary import OUTCOME_NAMES, STAGE_NAMES, VERDICT_RECORD
from models.store import catalogue, laws, office, views
from models.store.change import Row, adjustments, change_row, procedure_edition, step_lines
from models.store.database import Database
from models.store.shapes import Files, change_head, change_whole, local, log_line, people_of
from models.words import N_, _, _n, _p

#: States of an adjustment that need nothing more (removed ones are not counted at all).
FINISHED = ("published", "declined", "rejected")
#: Stages in the order of the matrix; coding and publishing are one column.
STAGE_ORDER = (
    "scope",
    "draft",
    "form",
    "countersign",
    "legality",
    "list",
    "naming",
    "approval",
    "publishing",
    "connecting",
)
#: Two characters for run names and tags; the parallel pair is one word (WORDING 1.3).
RUN_STAGE = {
    "scope": "范围", "draft": "起草", "form": "核验", "countersign": "会签", "legality": "审核", "list": "审核",
    "naming": "核定", "approval": "审批", "coding": "赋码", "publishing": "发布", "connecting": "接入",
}  # fmt: skip
#: The order of a service guide (DB31/T 545-2011, see DOMAIN 2.3): heading and fields of a section.
GUIDE_ORDER: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("适用范围", ("scope",)),
    ("事项名称和代码", ("name", "type", "code", "department", "level", "service_object")),
    ("办理依据", ("bases",)),
    ("办理机构", ("organs",)),
    ("审批条件", ("conditions",)),
    ("审批数量", ("quantity",)),
    ("申请材料", ("materials",)),
    ("审批期限", ("statutory_days", "promised_days")),
    ("审批证件", ("result",)),
    ("收费标准", ("fee",)),
    ("申请人权利和义务", ("rights",)),
    ("申请接收", ("reception",)),
    ("咨询途径", ("consultation",)),
    ("投诉渠道", ("complaint",)),
    ("办理方式", ("handling_form", "process")),
    ("决定公开", ("disclosure",)),
)
WEEKDAYS = (N_("周一"), N_("周二"), N_("周三"), N_("周四"), N_("周五"), N_("周六"), N_("周日"))
_LABELS = {info.name: info.label_zh for info in FIELDS}


# --- time ----------------------------------------------------------------------------------------------------------


class Clock:
    """Days as pages say them, for one moment and one calendar."""

    def __init__(self, now: datetime, calendar: WorkCalendar) -> None:
        self.now = now
        self.today = now.astimezone(SHANGHAI).date()
        self._calendar = calendar

    def working_days(self, after: date, until: date) -> int:
        """Working days later than `after` up to and with `until`."""
        days = (until - after).days
        return sum(1 for n in range(1, days + 1) if self._calendar.is_workday(after + timedelta(days=n)))

    def due(self, due_on: date | None, provisional: bool = False) -> dict[str, Any]:
        """How a due day stands: `late` working days, words, and the class of its tag."""
        if due_on is None:
            return {"on": None, "iso": "", "table": "—", "late": 0, "left": 0, "words": "", "mark": ""}
        late = self.working_days(due_on, self.today) if due_on < self.today else 0
        left = self.working_days(self.today, due_on) if due_on > self.today else 0
        words, mark = _n("还有 %(n)s 个工作日", left), ""
        if due_on < self.today:
            words, mark = _n("逾期 %(n)s 个工作日", late), "late"
        elif due_on == self.today:
            words, mark = _("今天到期"), "warn"
        elif (due_on - self.today).days == 1:
            words, mark = _("明天到期"), "warn"
        return {
            "on": due_on, "iso": due_on.isoformat(),
            "table": f"{due_on.isoformat()} {_(WEEKDAYS[due_on.weekday()])}", "short": f"{due_on:%m-%d}", "late": late, "left": left,
            "words": words + (_("（暂定）") if provisional else ""), "mark": mark, "overdue": due_on < self.today,
        }  # fmt: skip

    def waited(self, since: datetime) -> int:
        """Working days since a moment."""
        return self.working_days(since.astimezone(SHANGHAI).date(), self.today)


def clock(db: Database, *, now: datetime) -> Clock:
    """The clock of the office at a moment."""
    with db.reader() as connection:
        return Clock(now, office.calendar(connection))


# --- a change as data ----------------------------------------------------------------------------------------------


def change_show(db: Database, *, change_id: str, now: datetime) -> dict[str, Any]:
    """One change by id or number with everything in it; `Unknown change_unknown`."""
    with db.reader() as connection:
        row = change_row(connection, change_id)
        held = views.files(connection, [row], open_only=False)
        lines = adjustments(connection, change_id=row["id"])
        made = views.change_decisions(connection, row["id"])
        log = views.log_rows(connection, row["id"])
        held.names.update(views.person_names(connection, people_of(held, [*made, *log])))
    return change_whole(held, row, lines, made, log)


def change_list(db: Database, *, state: str | None = None, now: datetime) -> list[dict[str, Any]]:
    """All changes (of one state) without sheets, adjustments and decisions."""
    if db.is_empty():
        return []
    with db.reader() as connection:
        held = views.files(connection, views.change_rows(connection, state), open_only=False)
    return [change_head(held, row) for row in held.changes]


def changelog(db: Database, *, change_id: str, after: int = 0) -> list[dict[str, Any]]:
    """Lines of a change's log after a number: what integrations read."""
    with db.reader() as connection:
        row = change_row(connection, change_id)
        found = views.log_rows(connection, row["id"], after=after, limit=1000)
        names = views.person_names(
            connection, {value for entry in found for value in (entry["who"], entry["acting_for"])}
        )
    held = Files([row], names=names)
    return [log_line(held, entry) for entry in found]


# --- the board -----------------------------------------------------------------------------------------------------


def board(
    db: Database,
    *,
    person_id: str,
    trigger: str | None = None,
    department: str | None = None,
    person: str | None = None,
    late: bool | None = None,
    stage: str | None = None,
    q: str | None = None,
    due: str | None = None,
    page: int = 1,
    now: datetime,
) -> dict[str, Any]:
    """One page of the open changes with counts and filters; `person` is an id, `me` or `none`; `due`: `today`, `week`."""
    with db.reader() as connection:
        clock = Clock(now, office.calendar(connection))
        wanted = views.Wanted(
            trigger=trigger, department=department, person=person_id if person == "me" else None if person == "none" else person,
            ownerless=person == "none", late_on=clock.today if late else None, stage=stage, text=q.strip() if q else None,
            days=_days(due, clock) if due else None,
        )  # fmt: skip
        found, fitting = views.board_page(connection, wanted, page)
        held = views.files(connection, found, open_only=True)
        people, departments = views.board_choices(connection)
        missing = views.undelivered(connection)
        closed = views.count_closed_since(connection, now - timedelta(days=30))
        counts = views.board_counts(connection, person_id, today=clock.today, week=_days("week", clock))
    return {
        "rows": [_board_row(held, row, clock) for row in held.changes],
        "fitting": fitting, "total": counts["all"], "page": page, "pages": max(1, -(-fitting // views.PAGE_SIZE)),
        "counts": _counts({**counts, "undelivered": len(missing), "closed": closed}),
        "people": sorted(people.items(), key=lambda pair: pair[1]),
        "departments": sorted(departments.items(), key=lambda pair: pair[1]),
        "undelivered": missing,
        "filters": {"trigger": trigger or "", "department": department or "", "person": person or "", "stage": stage or "",
                    "q": q or "", "late": bool(late), "due": due or ""},
    }  # fmt: skip


def _days(due: str, clock: Clock) -> tuple[date, date]:
    return clock.today, clock.today if due == "today" else clock.today + timedelta(days=6 - clock.today.weekday())


def _board_row(held: Files, row: Row, clock: Clock) -> dict[str, Any]:
    steps = held.steps.get(row["id"], [])
    waiting = [one for step in steps for one in held.assignments.get(step["id"], []) if one["state"] == "open"]
    dues = sorted(step["due_on"] for step in steps if step["due_on"])
    stages = [stage for stage in STAGE_ORDER if any(step["stage"] == stage for step in steps)]
    counts = {state: n for state, n in held.counts.get(row["id"], {}).items() if state != "removed"}
    people = list(dict.fromkeys(one["person_id"] for one in waiting))
    return {
        "id": row["id"], "number": row["number"], "title": row["title"], "trigger": row["trigger"],
        "stages": stages,
        "stage_text": _stage_text(row, stages, counts), "people": people, "names": [held.names.get(p, p) for p in people],
        "ownerless": any(step["no_owner"] for step in steps),
        "stuck": row["stuck"] or any(sheet["stuck"] for sheet in held.sheets.get(row["id"], [])),
        "departments": {s["department_id"] or "": s["department_name"] for s in held.sheets.get(row["id"], []) if s["department_name"]},
        "since": min((step["opened_at"] for step in steps), default=row["created_at"]).astimezone(SHANGHAI).date().isoformat(),
        "due": clock.due(dues[0] if dues else None), "dues": dues, "late": bool(dues) and dues[0] < clock.today,
        "done": sum(counts.get(state, 0) for state in FINISHED), "total": sum(counts.values()),
    }  # fmt: skip


def _stage_text(row: Row, stages: Sequence[str], counts: Mapping[str, int]) -> str:
    if not stages:
        if counts.get("scheduled"):
            return _("待生效")
        return _("登记") if row["phase"] in ("registered", "assessing") else _("发布")
    first = _(STAGE_NAMES[stages[0]])
    return first if len(stages) == 1 else _("%(stage)s等 %(n)s 个环节", stage=first, n=len(stages))


def _counts(numbers: Mapping[str, int]) -> list[dict[str, Any]]:
    labels = (
        ("all", _("进行中"), ""), ("late", _("逾期"), "late"), ("today", _("今天到期"), "warn"), ("week", _("本周内到期"), ""),
        ("none", _("无人办理"), "late"), ("me", _("等我办理"), "warn"), ("undelivered", _("通知未送达"), "late"),
        ("closed", _("近 30 天已办结"), ""),
    )  # fmt: skip
    return [
        {"key": key, "label": label, "n": numbers[key], "mark": mark if numbers[key] else ""}
        for key, label, mark in labels
    ]


def no_owner(db: Database) -> list[dict[str, Any]]:
    """Open steps with a seat nobody holds."""
    with db.reader() as connection:
        return [
            {"step": row["id"], "change": {"id": row["change_id"], "number": row["number"], "title": row["title"]},
             "stage": row["stage"], "stage_name": STAGE_NAMES[row["stage"]], "department": row["department_name"] or "",
             "due": None if row["due_on"] is None else row["due_on"].isoformat(), "reason": row["no_owner"]}
            for row in views.ownerless(connection)
        ]  # fmt: skip


def undelivered(db: Database) -> list[dict[str, Any]]:
    """Notices that could not be delivered."""
    with db.reader() as connection:
        return [
            {"notice": row["id"], "kind": row["kind"], "error": row["error"], "tries": row["tries"], "at": local(row["created_at"]),
             "person": {"id": row["person_id"], "name": row["person_name"]},
             "change": None if row["change_id"] is None else {"id": row["change_id"], "number": row["number"], "title": row["title"]}}
            for row in views.undelivered(connection)
        ]  # fmt: skip


# --- the page of a change ------------------------------------------------------------------------------------------


def change_page(db: Database, *, change_id: str, now: datetime) -> dict[str, Any]:
    """Facts, matrix of sheets and stages, whom it waits for, deltas of lists, timeline."""
    with db.reader() as connection:
        row = change_row(connection, change_id)
        held = views.files(connection, [row], open_only=False)
        clock = Clock(now, office.calendar(connection))
        lines = adjustments(connection, change_id=row["id"])
        steps = held.steps.get(row["id"], [])
        counts = views.line_counts(connection, [step["id"] for step in steps if step["state"] == "open"])
        keys = {(s["procedure_key"], s["procedure_no"]) for s in held.sheets.get(row["id"], [])}
        stages = {key: [stage.code for stage in procedure_edition(connection, *key).stages] for key in keys}
        log = views.log_rows(connection, row["id"], limit=60, newest=True)
        held.names.update(
            views.person_names(connection, {v for e in log for v in (e["who"], e["acting_for"], e["data"].get("to"))})
        )
        published = views.publications(connection, row["id"])
        people = office.people(connection)
    waits = [_wait(held, step, clock, counts) for step in steps if step["state"] == "open"]
    waits.sort(key=lambda wait: wait["due"]["on"] or date.max)
    active = [line for line in lines if line["state"] != "removed"]
    return {
        "change": change_head(held, row), "effective": clock.due(row["effective_on"]),
        "total": len(active), "done": sum(1 for line in active if line["state"] in FINISHED),
        "scheduled": sum(1 for line in active if line["state"] == "scheduled"),
        "blocked": [line for line in active if line["state"] == "blocked"],
        "removed": [line for line in lines if line["state"] == "removed"],
        "late": sum(1 for wait in waits if wait["due"].get("overdue")), "ownerless": [w for w in waits if w["no_owner"]],
        "stuck": [sheet for sheet in held.sheets.get(row["id"], []) if sheet["stuck"]],
        "matrix": _matrix(held, row, clock, lines, stages), "waits": waits, "lines": active,
        "removable": [line for line in active if line["state"] not in FINISHED],
        "publications": [_publication(p) for p in published], "people": people, "articles": articles_touched(active),
        "log": [_timeline(held, entry, now) for entry in reversed(log)], "log_total": row["log_seq"],
    }  # fmt: skip


def _publication(row: Row) -> dict[str, Any]:
    deltas = [{k: d[k] for k in ("list", "total", "added", "removed", "changed")} for d in row["lists"]]
    for delta in deltas:
        delta["before"] = delta["total"] - delta["added"] + delta["removed"]
    return {
        "number": row["number"],
        "title": row["title"],
        "effective_at": row["effective_at"],
        "lists": deltas,
    }


def _wait(held: Files, step: Row, clock: Clock, counts: Mapping[str, int]) -> dict[str, Any]:
    sheets = {sheet["id"]: sheet for sheet in held.sheets.get(step["change_id"], [])}
    sheet = sheets.get(step["sheet_id"] or "")
    waiting = [one for one in held.assignments.get(step["id"], []) if one["state"] == "open"]
    return {
        "step": step["id"], "stage": step["stage"], "stage_name": STAGE_NAMES[step["stage"]], "round": step["round"],
        "names": [_acting(held, one) for one in waiting], "people": [one["person_id"] for one in waiting],
        "no_owner": step["no_owner"], "department": "" if sheet is None else sheet["department_name"],
        "sheet": step["sheet_id"], "count": counts.get(step["id"], 0), "due": clock.due(step["due_on"], step["provisional"]),
        "since": step["opened_at"].astimezone(SHANGHAI).date().isoformat(), "waited": clock.waited(step["opened_at"]),
    }  # fmt: skip


def _acting(held: Files, one: Row) -> str:
    name: str = held.names.get(one["person_id"]) or str(one["person_id"])
    acting = one["acting_for_id"]
    return _("%(name)s（代%(other)s）", name=name, other=held.names.get(acting, acting)) if acting else name


def _matrix(
    held: Files, row: Row, clock: Clock, lines: Sequence[Row], stages: Mapping[tuple[str, int], Sequence[str]]
) -> dict[str, Any]:
    used = {code for codes in stages.values() for code in codes} | {"publishing"}
    columns = [code for code in STAGE_ORDER if code in used and code not in ("scope", "connecting")]
    body = []
    for sheet in held.sheets.get(row["id"], []):
        members = [line for line in lines if line["sheet_id"] == sheet["id"] and line["state"] != "removed"]
        own = stages[(sheet["procedure_key"], sheet["procedure_no"])]
        cells = [_cell(held, sheet, code, own, members, clock) for code in columns]
        body.append({"sheet": sheet, "count": len(members), "cells": cells})
    return {
        "columns": [{"code": c, "name": _("赋码发布") if c == "publishing" else _(STAGE_NAMES[c])} for c in columns],
        "rows": body,
    }


def _cell(
    held: Files, sheet: Row, code: str, own: Sequence[str], members: Sequence[Row], clock: Clock
) -> dict[str, Any]:
    if code == "publishing":
        return _publishing_cell(members)
    if code not in own:
        return {"mark": "na", "lines": [_("不适用")]}
    steps = [s for s in held.steps.get(sheet["change_id"], []) if s["sheet_id"] == sheet["id"] and s["stage"] == code]
    if not steps:
        return {"mark": "na", "lines": [_("未到") if sheet["state"] == "open" else "—"]}
    step = steps[-1]
    due = clock.due(step["due_on"], step["provisional"])
    if step["state"] == "open":
        names = [_acting(held, one) for one in held.assignments.get(step["id"], []) if one["state"] == "open"]
        first = _("无人办理") if step["no_owner"] and not names else _("进行中")
        words = [due["words"] if due.get("overdue") and names else first, _("%(day)s到期", day=due.get("short", ""))]
        if due.get("overdue") and not names:
            words.append(due["words"])
        return {
            "mark": "over" if due.get("overdue") or not names else "now",
            "lines": [*words, *([_("、").join(names)] if names else [])],
        }
    closed = step["closed_at"] or step["opened_at"]
    word = {"passed": _("%(day)s提交") if code == "draft" else _("%(day)s通过"), "returned": _("%(day)s退回")}
    text = [word.get(step["state"], _("%(day)s结束")) % {"day": f"{closed.astimezone(SHANGHAI):%m-%d}"}]
    if step["round"] < sheet["round"]:
        text.append(_("第 %(n)s 轮", n=step["round"]))
    return {"mark": "done" if step["state"] == "passed" else "na", "lines": text}


def _publishing_cell(members: Sequence[Row]) -> dict[str, Any]:
    states = [line["state"] for line in members]
    if "blocked" in states:
        return {"mark": "over", "lines": [_n("受阻 %(n)s 项", states.count("blocked"))]}
    if "scheduled" in states:
        moment = min(line["effective_at"] for line in members if line["state"] == "scheduled")
        return {"mark": "now", "lines": [_("待生效"), f"{moment.astimezone(SHANGHAI):%Y-%m-%d}"]}
    if "published" in states:
        return {"mark": "done", "lines": [_n("已发布 %(n)s 项", states.count("published"))]}
    return {"mark": "na", "lines": [_("未到")]}


def _timeline(held: Files, entry: Row, now: datetime) -> dict[str, Any]:
    data = entry["data"]
    who: str = _("系统") if entry["who"] is None else held.names.get(entry["who"]) or str(entry["who"])
    if entry["acting_for"]:
        who = _("%(name)s（代%(other)s）", name=who, other=held.names.get(entry["acting_for"], entry["acting_for"]))
    big = (
        entry["verb"] in set(VERDICT_RECORD.values()) | {"发布", "撤回", "确认范围", "移出", "退回"}
        and entry["verb"] != "暂存"
    )
    verb = entry["verb"]
    return {"at": at_text(entry["at"], now), "iso": local(entry["at"]), "who": who, "verb": _p("log", verb),
            "text": _told(held, entry, data), "big": big, "seq": entry["seq"]}  # fmt: skip


def _told(held: Files, entry: Row, data: Mapping[str, Any]) -> str:
    parts = []
    sheet = _sheet_of(held, entry, data)
    stage = STAGE_NAMES.get(data.get("stage") or "")
    if stage is not None:
        parts.append(_(stage))
    if sheet is not None and sheet["department_name"]:
        parts.append(sheet["department_name"])
    if data.get("name") and data["name"] != stage:
        parts.append(f"“{data['name']}”")
    if data.get("count"):
        parts.append(_n("%(n)s 项", data["count"]))
    if data.get("to"):
        parts.append(_("给%(name)s", name=held.names.get(data["to"], data["to"])))
    if data.get("due"):
        parts.append(_("办理时限 %(day)s", day=data["due"]))
    words = _("，").join(parts)
    said = data.get("comment") or data.get("reason")
    return _("%(act)s：“%(text)s”", act=words, text=said) if said else words


def _sheet_of(held: Files, entry: Row, data: Mapping[str, Any]) -> Row | None:
    sheets = {sheet["id"]: sheet for sheet in held.sheets.get(entry["change_id"], [])}
    steps = {step["id"]: step for step in held.steps.get(entry["change_id"], [])}
    about = data.get("sheet") or entry["object"]
    if about in steps:
        about = steps[about]["sheet_id"]
    return sheets.get(about or "")


# --- the law beside what it caused ---------------------------------------------------------------------------------


def law_beside(db: Database, *, lines: Iterable[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """For each of these adjustments of a desk the cited articles that its proposal follows, in the old and the new text.

    They are those of `hint.articles`: what stands beside a proposal is what it was made from. A citation that is in the new
    text already, and one of another law, have no pair.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    with db.reader() as connection:
        texts = _Texts(connection)
        for line in lines:
            hint = line["hint"]
            pairs: dict[tuple[int, ...], dict[str, Any]] = {}
            for detail in followed(hint):
                pair = texts.pair(hint, detail)
                if pair is not None:
                    pairs.setdefault(article_key(detail), pair)
            found[line["id"]] = list(pairs.values())
    return found


@dataclass
class _Texts:
    """Texts of laws, each read once."""

    connection: Connection
    _read: dict[tuple[str, str], dict[tuple[int, int], Article]] = field(default_factory=dict)

    def pair(self, hint: Mapping[str, Any], detail: Mapping[str, Any]) -> dict[str, Any] | None:
        """Both sides of a cited article as its adjustment knows them; None where the old text does not have it."""
        old = self._text(hint["title"], hint["from"]).get((detail["old_article"], detail["old_sub"] or 0))
        if old is None:
            return None
        new_key = (detail["new_article"] or 0, detail["new_sub"] or 0)
        new = None if hint["to"] is None else self._text(hint["title"], hint["to"]).get(new_key)
        return {
            "old": side(old, date.fromisoformat(hint["from"])),
            "new": None if new is None else side(new, date.fromisoformat(hint["to"])),
            "title": hint["title"], "word": CHANGE_WORDS[detail["change"]],
            "certain": detail["confidence"] == 1.0 or detail["change"] == "unchanged", "key": article_key(detail),
        }  # fmt: skip

    def _text(self, title: str, edition: str) -> dict[tuple[int, int], Article]:
        if (title, edition) not in self._read:
            law = laws.law_by_title(self.connection, title)
            articles = [] if law is None else laws.articles(self.connection, law.id, date.fromisoformat(edition))
            self._read[title, edition] = {one.key: one for one in articles}
        return self._read[title, edition]


# --- items ---------------------------------------------------------------------------------------------------------


def item_page(db: Database, *, code: str, on: date | None = None, now: datetime) -> dict[str, Any]:
    """The public guide of an item, as it stands or as it stood on a day; `Unknown item_unknown`."""
    moment = None if on is None else datetime.combine(on, time(12), SHANGHAI)
    with db.reader() as connection:
        row = views.version_on(connection, code, moment)
        if row is None:
            raise Unknown(
                "item_unknown", f"没有编码为 {code} 的事项{'' if on is None else f'在 {on} 有效'}。", code=code
            )
        versions = views.versions_of(connection, row["item_id"])
        departments = {key: value.short for key, value in office.departments(connection).items()}
        pending = views.pending_changes(connection, row["item_id"])
        content = row["content"]
        cited = places(connection, content.get("bases") or (), today=on or now.astimezone(SHANGHAI).date())
    history = [_history(versions, number, departments) for number in range(len(versions))]
    department = departments.get(row["department_id"] or "", row["department_text"])
    return {
        "version": row, "department": department, "type_name": ITEM_TYPES.get(row["type"], row["type"]),
        "sections": [_section(n, title, names, content, departments, cited) for n, (title, names) in enumerate(GUIDE_ORDER, 1)],
        "extra": sorted((content.get("extra") or {}).items()), "versions": history, "pending": pending,
        "current": row["valid_to"] is None and row["state"] != "cancelled", "on": on,
        "valid_from": row["valid_from"].astimezone(SHANGHAI).date(),
        "valid_to": None if row["valid_to"] is None else row["valid_to"].astimezone(SHANGHAI).date(),
    }  # fmt: skip


def _section(
    number: int,
    title: str,
    names: Sequence[str],
    content: Mapping[str, Any],
    departments: Mapping[str, str],
    cited: Sequence[Mapping[str, Any] | None],
) -> dict[str, Any]:
    if names == ("bases",):
        bases = content.get("bases") or ()
        return {"no": number, "title": title, "bases": [
            {"text": basis_text({**basis, "quoted": None}), "quoted": basis.get("quoted"), "place": place}
            for basis, place in zip(bases, cited, strict=True)]}  # fmt: skip
    values = [(_LABELS[name], field_text(name, content, departments)) for name in names]
    return {"no": number, "title": title, "bases": None, "pairs": [pair for pair in values if pair[1]] if len(names) > 1 else [],
            "text": values[0][1] if len(names) == 1 else ""}  # fmt: skip


def _history(versions: Sequence[Row], number: int, departments: Mapping[str, str]) -> dict[str, Any]:
    row = versions[number]
    before = versions[number + 1] if number + 1 < len(versions) else None
    differences: list[FieldDifference] = []
    if before is not None:
        differences = field_differences(before["content"], row["content"], departments)
        if before["state"] != row["state"]:
            labels = {"active": _("在用"), "suspended": _("暂停"), "cancelled": _("已取消")}
            differences.append(
                FieldDifference("state", _("事项状态"), labels.get(before["state"], ""), labels.get(row["state"], ""))
            )
    return {
        "no": row["no"], "before_no": None if before is None else before["no"], "state": row["state"],
        "from": row["valid_from"].astimezone(SHANGHAI).date().isoformat(),
        "to": None if row["valid_to"] is None else (row["valid_to"].astimezone(SHANGHAI).date() - timedelta(days=1)).isoformat(),
        "current": row["valid_to"] is None, "publication": row["publication"], "change": row["change_number"],
        "differences": differences, "same": len(FIELDS) - len(differences),
    }  # fmt: skip


def item_json(db: Database, *, code: str) -> dict[str, Any]:
    """The standing version of an item for the interface: its fields, when it began and by which publication."""
    with db.reader() as connection:
        row = views.version_on(connection, code, None)
        if row is None:
            raise Unknown("item_unknown", f"没有编码为 {code} 的事项。", code=code)
        departments = {key: value.short for key, value in office.departments(connection).items()}
    return _version_json(row, departments)


def item_versions(db: Database, *, code: str) -> list[dict[str, Any]]:
    """All versions of the item that holds a code, the newest first."""
    with db.reader() as connection:
        row = views.version_on(connection, code, None)
        if row is None:
            raise Unknown("item_unknown", f"没有编码为 {code} 的事项。", code=code)
        departments = {key: value.short for key, value in office.departments(connection).items()}
        return [_version_json(version, departments) for version in views.versions_of(connection, row["item_id"])]


def _version_json(row: Row, departments: Mapping[str, str]) -> dict[str, Any]:
    fields = {info.name: row["content"].get(info.name) for info in FIELDS}
    name = departments.get(row["department_id"] or "", row["department_text"])
    return {
        **fields, "department": {"id": row["department_id"], "name": name}, "kind": row.get("kind", "item"),
        "version": row["no"], "state": row["state"], "valid_from": local(row["valid_from"]), "valid_to": local(row["valid_to"]),
        "legal_since": None if row["legal_since"] is None else row["legal_since"].isoformat(),
        "publication": row["publication"], "hash": row["hash"],
    }  # fmt: skip


def catalogue_page(
    db: Database, *, q: str = "", department: str | None = None, type: str | None = None, page: int = 1
) -> dict[str, Any]:
    """One page of the public catalogue."""
    with db.reader() as connection:
        found, total = views.catalogue_page(
            connection, q=q.strip(), department=department, item_type=type, page=max(1, page)
        )
        departments = office.departments(connection)
    for row in found:
        row["department"] = (
            departments[row["department_id"]].short if row["department_id"] in departments else row["department_text"]
        )
        row["type_name"] = ITEM_TYPES.get(row["type"], row["type"])
    pages = max(1, -(-total // views.PAGE_SIZE))
    return {
        "rows": found, "total": total, "page": max(1, page), "pages": pages, "first": (max(1, page) - 1) * views.PAGE_SIZE + 1,
        "departments": sorted(((row.id, row.short) for row in departments.values()), key=lambda pair: pair[1]),
        "types": sorted(ITEM_TYPES.items()), "filters": {"q": q, "department": department or "", "type": type or ""},
    }  # fmt: skip


def list_json(db: Database, *, name: str) -> dict[str, Any]:
    """The members of a derived list now."""
    if name not in catalogue.LISTS:
        raise Unknown("list_unknown", f"没有名为“{name}”的清单，现有：{'、'.join(catalogue.LISTS)}。", name=name)
    with db.reader() as connection:
        members = catalogue.list_members(connection, name)
    return {"name": name, "count": len(members), "items": members}


def laws_page(db: Database) -> list[dict[str, Any]]:
    """The laws of the library with the days of their texts and of those it lacks."""
    with db.reader() as connection:
        return laws.laws(connection)


# --- the page operators see in Prefect -----------------------------------------------------------------------------


@dataclass(frozen=True)
class StatusPage:
    """Name and tags of a run, and its one page: the description is the page's first sentence."""

    run_name: str
    tags: list[str] = field(default_factory=list)
    description: str = ""
    markdown: str = ""


def status_page(db: Database, *, change_id: str, portal_url: str, now: datetime) -> StatusPage:
    """How a change stands, for the run's name, its tags and its page (WORDING 5)."""
    with db.reader() as connection:
        row = change_row(connection, change_id)
        held = views.files(connection, [row], open_only=False)
        clock = Clock(now, office.calendar(connection))
        log = views.log_rows(connection, row["id"], limit=10, newest=True)
        held.names.update(
            views.person_names(connection, {v for e in log for v in (e["who"], e["acting_for"], e["data"].get("to"))})
        )
        steps = [step for step in held.steps.get(row["id"], []) if step["state"] == "open"]
        counts = views.line_counts(connection, [step["id"] for step in steps])
        totals = {
            sheet["id"]: sum(1 for line in adjustments(connection, sheet_id=sheet["id"]))
            for sheet in held.sheets.get(row["id"], [])[:40]
        }
        keys = sorted({(s["procedure_key"], s["procedure_no"]) for s in held.sheets.get(row["id"], [])})[:3]
        stages = {key[0]: [s.code for s in procedure_edition(connection, *key).stages] for key in keys}
    waits = sorted((_wait(held, step, clock, counts) for step in steps), key=lambda wait: wait["due"]["on"] or date.max)
    late = sum(1 for wait in waits if wait["due"].get("overdue"))
    head, tags = _run_name(held, row, waits, late)
    description = _description(held, row, waits, late, now)
    parts = [
        description,
        "",
        _md_waits(waits),
        _md_sheets(held, row, waits, totals),
        _md_diagram(stages),
        _md_log(held, log, now),
    ]
    link = f"{portal_url.rstrip('/')}/changes/{row['id']}"
    parts += [f"## 门户中的变更\n\n[{md(row['number'])} {md(row['title'])}]({link})", "",
              "**请在门户中办理，不要在此点 Resume、Cancel 或 Retry；点了也不会改变办理结果。**"]  # fmt: skip
    return StatusPage(head, tags, description, "\n\n".join(part for part in parts if part))


def _run_name(held: Files, row: Row, waits: Sequence[Mapping[str, Any]], late: int) -> tuple[str, list[str]]:
    title = one_line(row["title"])
    title = title if len(title) <= 24 else title[:23] + "…"
    tags = [row["trigger"]]
    if row["state"] != "open":
        return f"{title} · {'已撤回' if row['state'] == 'withdrawn' else '已办结'}", tags
    open_stages = [stage for stage in STAGE_ORDER if any(wait["stage"] == stage for wait in waits)]
    if not open_stages:
        day = row["effective_on"]
        waiting = held.counts.get(row["id"], {}).get("scheduled", 0)
        return f"{title} · 待 {day} 发布" if waiting and day else f"{title} · 办理中", tags
    stage = open_stages[0]
    tags.append(f"环节:{RUN_STAGE[stage]}")
    if late:
        tags.append("逾期")
    if stage == "scope":
        return f"{title} · 范围待确认" + (f" · 逾期 {late}" if late else ""), tags
    sheets = [s for s in held.sheets.get(row["id"], []) if s["state"] != "dissolved"]
    pair = {"legality", "list"} if stage in ("legality", "list") else {stage}
    first = {
        wait["sheet"]
        for wait in waits
        if STAGE_ORDER.index(wait["stage"]) <= STAGE_ORDER.index(stage) or wait["stage"] in pair
    }
    name = f"{title} · {RUN_STAGE[stage]} {len(sheets) - len(first)}/{len(sheets)}"
    return name + (f" · 逾期 {late}" if late else ""), tags


def _description(held: Files, row: Row, waits: Sequence[Mapping[str, Any]], late: int, now: datetime) -> str:
    counts = held.counts.get(row["id"], {})
    if row["state"] != "open":
        words = [("发布", "published"), ("不予调整", "declined"), ("不予批准", "rejected"), ("移出", "removed")]
        said = [f"{word} {counts[state]} 项" for word, state in words if counts.get(state)]
        head = "已撤回" if row["state"] == "withdrawn" else "已办结"
        return f"{head}：{'，'.join(said) or '没有事项调整'}。"
    if not waits:
        if counts.get("scheduled"):
            return f"在办：{counts['scheduled']} 项待生效。"
        return "在办：没有等待办理的人。"
    people = {person for wait in waits for person in wait["people"]}
    first = waits[0]["due"]["on"]
    due = "" if first is None else f"，最早{day_text(first, now)}到期"
    empty = sum(1 for wait in waits if wait["no_owner"])
    return (
        f"在办：等待 {len(people)} 人{due}"
        + (f"，逾期 {late} 件" if late else "")
        + (f"，无人办理 {empty} 件" if empty else "")
        + "。"
    )


def _md_waits(waits: Sequence[Mapping[str, Any]]) -> str:
    if not waits:
        return ""
    lines = ["## 现在等谁", "", "| 人员 | 部门 | 环节 | 自何时 | 时限 |", "|---|---|---|---|---|"]
    for wait in waits[:40]:
        who = "、".join(wait["names"]) or "（无人办理）"
        due = f"{wait['due']['table']} {wait['due']['words']}"
        lines.append(
            f"| {md(who)} | {md(wait['department'] or '—')} | {wait['stage_name']} | {wait['since']} | {md(due)} |"
        )
    if len(waits) > 40:
        lines += ["", f"… 另有 {len(waits) - 40} 件"]
    return "\n".join(lines)


def _md_sheets(held: Files, row: Row, waits: Sequence[Mapping[str, Any]], totals: Mapping[str, int]) -> str:
    sheets = held.sheets.get(row["id"], [])
    if not sheets:
        return ""
    states = {"open": "办理中", "waiting": "待发布", "done": "已办结", "dissolved": "已转出"}
    lines = ["## 各调整单", "", "| 部门 | 环节 | 轮次 | 项数 | 状态 |", "|---|---|---|---|---|"]
    for sheet in sheets[:40]:
        stages = "、".join(dict.fromkeys(w["stage_name"] for w in waits if w["sheet"] == sheet["id"])) or "—"
        state = "异常" if sheet["stuck"] else states.get(sheet["state"], sheet["state"])
        lines.append(
            f"| {md(sheet['department_name'] or '—')} | {stages} | {sheet['round']} | {totals.get(sheet['id'], 0)} | {state} |"
        )
    if len(sheets) > 40:
        lines += ["", f"… 另有 {len(sheets) - 40} 份"]
    return "\n".join(lines)


def _md_diagram(stages: Mapping[str, Sequence[str]]) -> str:
    if not stages:
        return ""
    lines = ["## 流程图", "", "```mermaid", "flowchart LR"]
    for number, (key, codes) in enumerate(stages.items()):
        title = "、".join(OUTCOME_NAMES[code].short for code in key.split("+"))
        nodes = [f'p{number}_{code}["{STAGE_NAMES[code]}"]' for code in codes]
        lines.append(f'  t{number}(["{title}"]) --> ' + " --> ".join(nodes))
    return "\n".join([*lines, "```"])


def _md_log(held: Files, log: Sequence[Row], now: datetime) -> str:
    lines = ["## 近十条记录", ""]
    for entry in reversed(log):
        told = _timeline(held, entry, now)
        lines.append(f"- {told['at']} {md(told['who'])} {md(told['verb'])} {md(told['text'])}".rstrip())
    return "\n".join(lines)


# --- what a desk's form needs --------------------------------------------------------------------------------------


def form_members(db: Database, *, assignment_ids: Sequence[str], person_id: str) -> dict[str, tuple[str, list[str]]]:
    """Stage and adjustments behind the assignments a form names."""
    with db.reader() as connection:
        return views.assignment_lines(connection, assignment_ids, person_id)


def sorts_of(db: Database, *, assignment_id: str) -> dict[str, str]:
    """The list of the reach in which each adjustment behind an assignment was found (`rows`, `editorial`, …)."""
    with db.reader() as connection:
        return views.sorts_of(connection, assignment_id)


def shown_proposals(db: Database, *, shown: Mapping[str, str]) -> dict[str, dict[str, Any] | None]:
    """The contents a page showed, by adjustment, from the revisions it carries."""
    found: dict[str, dict[str, Any] | None] = {}
    with db.reader() as connection:
        for adjustment_id, revision in shown.items():
            row = views.proposal_of(connection, adjustment_id, revision)
            if row is not None:
                found[adjustment_id] = row["content"]
    return found


def recorded(db: Database, *, person_id: str, request_id: str) -> dict[str, Any] | None:
    """The answer a person's submission got, or None."""
    with db.reader() as connection:
        return views.request_answer(connection, person_id, request_id)


def office_facts(db: Database) -> dict[str, Any]:
    """What every page needs: whether this is the sample office, and departments by id."""
    with db.reader() as connection:
        return {
            "sample": office.is_sample(connection),
            "place": office.get_meta(connection, "place") or "示例市",
            "departments": {key: value.short for key, value in office.departments(connection).items()},
        }


def is_sample(db: Database) -> bool:
    """Whether this home holds the sample office."""
    with db.reader() as connection:
        return office.is_sample(connection)


def is_vacant(db: Database) -> bool:
    """Whether nothing at all was loaded yet: no department, no person, no law, no item."""
    with db.reader() as connection:
        return views.is_vacant(connection)


def first_coordinator(db: Database, *, now: datetime) -> str | None:
    """The mail address of a coordinator, for the line that says how to sign in."""
    with db.reader() as connection:
        for holder in office.coordinators(connection, now.astimezone(SHANGHAI).date()):
            address = views.shared_or_address(connection, holder.person_id)
            if address is not None:
                return address
    return None


def step_members(db: Database, *, step_id: str) -> list[str]:
    """The adjustments a step puts before its people."""
    with db.reader() as connection:
        return [line["adjustment_id"] for line in step_lines(connection, [step_id])[step_id]]


def find_adjustment(db: Database, *, change_id: str, ref: str) -> str:
    """An adjustment of a change by its id, its item's code or its exact name; `Unknown item_unknown`."""
    with db.reader() as connection:
        for line in adjustments(connection, change_id=change_id):
            if ref in (line["id"], line["code"], line["name"]) and line["state"] != "removed":
                return str(line["id"])
    raise Unknown("item_unknown", f"本变更中没有“{ref}”，请从列表中选择或者填写事项编码。", code=ref)
