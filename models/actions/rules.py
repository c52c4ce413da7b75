"""The rules by which a law change finds its rows: how often what they proposed was kept, and switching one off."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from models.domain.change_kinds import KINDS
from models.domain.deadlines import SHANGHAI
from models.domain.errors import BadInput, Conflict, Forbidden
from models.domain.law_reach import RULES
from models.domain.outside import check_storable
from models.store import office, touched
from models.store.database import Database
from models.store.sealing import OfficeLog


def rules(db: Database) -> list[dict[str, Any]]:
    """Every rule with its figures by kind of change, whether it is switched off, and every switching of it.

    `[{"rule", "name", "off", "proposed", "kept", "altered", "dropped", "open", "withdrawn", "kinds": [{"kind", "name",
    "proposed", …}], "switched": [{"off", "by", "at", "reason"}]}]`; numbers of cited articles.
    """
    with db.reader() as connection:
        figures = touched.rule_figures(connection)
        switched = touched.switches(connection)
    found = []
    for rule, name in RULES.items():
        kinds = [
            {**row, "name": KINDS.get(row["kind"] or "", "")}
            for row in ({k: v for k, v in row.items() if k != "rule"} for row in figures if row["rule"] == rule)
        ]
        acts = [
            {
                "off": act["off"], "by": {"id": act["person_id"], "name": act["name"]},
                "at": act["at"].astimezone(SHANGHAI).isoformat(timespec="seconds"), "reason": act["reason"],
            }
            for act in switched if act["rule"] == rule
        ]  # fmt: skip
        totals = {key: sum(row[key] for row in kinds) for key in touched.FATES}
        off = bool(acts and acts[-1]["off"])
        found.append({"rule": rule, "name": name, "off": off, **totals, "kinds": kinds, "switched": acts})
    return found


def switch_rule(db: Database, *, rule: str, off: bool, by: str, reason: str, via: str = "cli", now: datetime) -> None:
    """Switch a rule off or on again, from the next change on; the office's log keeps who did it and why.

    Raises `Forbidden not_your_seat` for who does not coordinate, `Unknown person_unknown`, `Conflict superseded` where the
    rule stands so already, `BadInput` (comment_required, field_invalid).
    """
    check_storable(reason)
    if rule not in RULES:
        raise BadInput("field_invalid", f"没有名为“{rule}”的规则，可用：{'、'.join(RULES)}。", field="rule")
    if not reason.strip():
        raise BadInput("comment_required", "停用、启用规则须写明理由，理由记入机关日志，并在预览时列明。")

    def verb(connection: Connection) -> None:
        person = office.person(connection, by)
        today = now.astimezone(SHANGHAI).date()
        if person.id not in {holder.person_id for holder in office.coordinators(connection, today)}:
            raise Forbidden("not_your_seat", "此项由统筹协调人办理，您没有该岗位的任职或者代理，未记录。")
        log = OfficeLog(connection, now)
        log.wait()
        if (rule in touched.rules_off(connection)) == off:
            raise Conflict("superseded", f"规则“{RULES[rule]}”已经{'停用' if off else '启用'}，不必重复办理。")
        log.line(touched.OFF if off else touched.ON, who=person.id, via=via, about=rule, reason=reason.strip())

    db.write(verb)
