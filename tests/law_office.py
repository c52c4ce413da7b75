"""The small office with another law in two texts, and items that cite it in every way: a reach of every sort."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from models.domain.content import ItemContent
from models.store import laws
from models.store.database import Database
from tests.factories import Office, dated_law, put_in_catalogue, small_office
from tests.unit.test_impact import NEW, NEW_DAY, OLD, OLD_DAY

TITLE = "示例市集体用餐管理条例"
CHANGE: dict[str, Any] = {
    "title": "集体用餐管理条例2026年修订",
    "law": TITLE,
    "from_version": OLD_DAY.isoformat(),
    "to_version": NEW_DAY.isoformat(),
    "effective_on": None,
}
#: name, department, what it cites (article, quoted) of the law, whether another law stands beside it.
CITED: list[tuple[str, str, list[tuple[int | None, str | None]], bool]] = [
    ("中央厨房设立审批", "d-market", [(2, OLD[1].text), (3, None)], False),
    ("大型活动供餐报告", "d-market", [(5, None)], False),
    ("集体用餐配送报告", "d-trade", [(5, OLD[4].text), (6, OLD[5].text)], False),
    ("餐厨废弃物收运核准", "d-market", [(6, OLD[5].text)], False),
    ("集体用餐统计报送", "d-trade", [(None, None)], False),
    ("早餐车占道手续", "d-trade", [(4, None)], False),
    ("中央厨房备案", "d-trade", [(2, "设立中央厨房，应当报市商务部门备案")], False),
    ("集体用餐名录登记", "d-market", [(99, None)], True),
    ("流动摊贩经营许可", "d-trade", [(7, None)], False),
]


#: What is pre-selected as "no adjustment needed".
LEFT = {"餐厨废弃物收运核准", "集体用餐统计报送", "早餐车占道手续", "中央厨房备案"}


def standing(name: str, department: str, cited: list[tuple[int | None, str | None]], beside: bool) -> ItemContent:
    bases: list[dict[str, Any]] = [{"law": TITLE, "article": article, "quoted": quoted} for article, quoted in cited]
    if beside:
        bases.append({"law": "示例市食品安全条例", "article": 8})
    return ItemContent.model_validate(
        {"name": name, "type": "10", "code": None, "department": department, "organs": [department], "bases": bases}
    )


def law_office(db: Database, now: datetime) -> Office:
    """Make it in a database whose tables are there or not."""
    small_office(db, now)
    items = {name: f"itm-{number}" for number, (name, *_) in enumerate(CITED, start=1)}
    with db.writer() as connection:
        for day, articles in ((OLD_DAY, OLD), (NEW_DAY, NEW)):
            laws.save_law(connection, dated_law(TITLE, day, articles))
        found = {f"itm-{number}": (f"made|{number}", standing(*cited)) for number, cited in enumerate(CITED, start=1)}
        put_in_catalogue(connection, "补充目录", found, now)
    return Office(items=items)
