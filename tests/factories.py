"""A small office for tests: four offices, two departments, one law in two versions, a handful of items.

Built by the same store functions the product uses, so that a test walks no impossible state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, insert

from models.domain.content import ItemContent
from models.domain.law_text import Article, LawText
from models.store import catalogue, laws
from models.store.database import Database
from models.store.publication import new_publication
from models.store.sealing import OfficeLog
from models.store.sql import table
from models.tables import Contact, Department, Item, Person, Post, metadata

LAW = "示例市餐饮服务管理条例"
OLD, NEW = date(2019, 3, 28), date(2026, 9, 25)
LAW_CHANGE: dict[str, Any] = {
    "title": "餐饮服务管理条例2026修订",
    "law": LAW,
    "from_version": OLD.isoformat(),
    "to_version": NEW.isoformat(),
    "effective_on": None,
}

DEPARTMENTS = [
    ("d-service", "示例市政务服务办公室", "市政务服务办", "service"),
    ("d-list", "示例市机构编制委员会办公室", "市委编办", "list"),
    ("d-law", "示例市司法局", "市司法局", "law"),
    ("d-government", "示例市人民政府办公厅", "市政府办公厅", "government"),
    ("d-market", "示例市市场监督管理局", "市市场监管局", ""),
    ("d-trade", "示例市商务局", "市商务局", ""),
    ("d-empty", "示例市空缺局", "市空缺局", ""),
]
PEOPLE = [
    ("p-zhou", "周敏", "d-service", ["coordinator"]),
    ("p-naming", "申正", "d-service", ["naming_reviewer"]),
    ("p-gao", "高远", "d-list", ["list_reviewer"]),
    ("p-bian", "卞名", "d-list", ["naming_reviewer"]),
    ("p-lu", "陆清", "d-law", ["legality_reviewer"]),
    ("p-ding", "丁一鸣", "d-law", ["legality_reviewer"]),
    ("p-gov", "郑府", "d-government", ["approver"]),
    ("p-he", "何晓岚", "d-market", ["drafter"]),
    ("p-xu", "许同", "d-market", ["drafter"]),
    ("p-shen", "沈知秋", "d-market", ["approver"]),
    ("p-wen", "贺文博", "d-trade", ["drafter"]),
    ("p-jiang", "江明远", "d-trade", ["approver"]),
]
OLD_ARTICLES = [
    "为了规范餐饮服务，保障公众健康，制定本条例。",
    "申请从事小型餐饮服务的，应当向所在地区食品药品监督管理部门提交材料；受理之日起二十日内作出决定。",
    "登记事项发生变化的，应当在三十日内申请变更登记。",
    "市商业主管部门可以认定早餐工程示范网点，并向社会公布名单。",
    "早餐车临时占道经营的，应当取得许可，许可有效期为一年。",
]
NEW_ARTICLES = [
    "为了规范餐饮服务，保障公众健康，制定本条例。",
    "餐饮服务提供者应当建立食品安全自查制度，并定期公布自查情况，接受社会监督。",
    "申请从事小型餐饮服务的，应当向所在地区市场监督管理部门提交材料；受理之日起十二个工作日内作出决定。",
    "登记事项发生变化的，应当在十五日内申请变更登记。",
    "市商务部门可以认定便民早餐服务点，并向社会公布名单。",
]
ITEMS = [
    ("990100342001", "小型餐饮服务提供者登记（核发）", "01", "d-market", 2),
    ("990100342002", "小型餐饮服务提供者登记（变更）", "01", "d-market", 3),
    ("990700188000", "早餐工程示范网点认定", "07", "d-trade", 4),
    ("990100356000", "早餐车临时占道许可", "01", "d-trade", 5),
    ("990100400000", "烟花爆竹经营许可", "01", "d-empty", None),
]


@dataclass(frozen=True)
class Office:
    """The ids a test needs."""

    items: dict[str, str]


def dated_law(title: str, day: date, articles: Sequence[Article]) -> LawText:
    """A text of a law that was passed, promulgated and in force on one day."""
    return LawText(
        title=title,
        edition_on=day,
        promulgated_on=day,
        effective_on=day,
        certainty="certain",
        header=(),
        articles=tuple(articles),
    )


def law_text(edition: date, texts: list[str]) -> LawText:
    """One edition of the law of the small office."""
    return dated_law(LAW, edition, [Article(no=n, text=text) for n, text in enumerate(texts, start=1)])


def put_in_catalogue(
    connection: Connection, title: str, found: Mapping[str, tuple[str, ItemContent]], now: datetime
) -> None:
    """Publish new items as a load does, by their id: identity and content."""
    log = OfficeLog(connection, now)
    publication_id, _ = new_publication(
        connection, change_id=None, title=title, effective_at=now, now=now, put=log.kept.insert
    )
    items = [{"id": item_id, "kind": "item", "identity": identity} for item_id, (identity, _) in found.items()]
    connection.execute(insert(table(Item)), items)
    versions = [catalogue.NewVersion.of(item_id, content) for item_id, (_, content) in found.items()]
    catalogue.write_versions(
        connection,
        publication_id=publication_id,
        versions=versions,
        effective_at=now,
        now=now,
        put=log.kept.insert,
    )
    log.line("载入", about=publication_id, publication=publication_id)


def item_content(code: str, name: str, kind: str, department: str, article: int | None) -> ItemContent:
    """The content of one item, citing one article of the law's old text."""
    bases: list[dict[str, Any]] = []
    if article is not None:
        bases = [{"law": LAW, "edition": OLD.isoformat(), "article": article, "quoted": OLD_ARTICLES[article - 1]}]
    return ItemContent.model_validate(
        {
            "name": name,
            "type": kind,
            "code": code,
            "department": department,
            "organs": [department],
            "bases": bases,
            "promised_days": 10,
            "statutory_days": 20,
        }
    )


def small_office(db: Database, now: datetime, *, schema: bool = True) -> Office:
    """Make the small office; `schema` also creates the tables."""
    if schema:
        metadata.create_all(db.engine)
    with db.writer() as connection:
        connection.execute(
            insert(table(Department)),
            [
                {"id": i, "full": full, "short": short, "office": kind, "level": "2", "region": "990000"}
                for i, full, short, kind in DEPARTMENTS
            ],
        )
        connection.execute(insert(table(Person)), [{"id": i, "name": name} for i, name, _, _ in PEOPLE])
        connection.execute(
            insert(table(Contact)),
            [
                {"id": f"c-{i}", "person_id": i, "kind": "mail", "address": f"{i}@shili.example", "shared": False}
                for i, _, _, _ in PEOPLE
            ],
        )
        connection.execute(
            insert(table(Post)),
            [
                {
                    "id": f"{i}-{role}",
                    "person_id": i,
                    "department_id": department,
                    "role": role,
                    "from_on": date(2020, 1, 1),
                    "level": "2",
                    "region": "990000",
                }
                for i, _, department, roles in PEOPLE
                for role in roles
            ],
        )
        for edition, texts in ((OLD, OLD_ARTICLES), (NEW, NEW_ARTICLES)):
            laws.save_law(connection, law_text(edition, texts))
        ids = {code: f"itm-{code}" for code, *_ in ITEMS}
        found = {f"itm-{item[0]}": (f"own:{item[0]}", item_content(*item)) for item in ITEMS}
        put_in_catalogue(connection, "初始目录", found, now)
    return Office(items=ids)
