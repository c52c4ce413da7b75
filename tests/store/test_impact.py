"""The impact of real laws on real items: every derived link is found, no marked trap raises an alarm."""

from __future__ import annotations

import csv
import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from models.actions.impact import check, impact, impact_of_repeals
from models.actions.load import load
from models.actions.starting import preview
from models.domain.errors import BadInput, Unknown
from models.domain.impact import ImpactRow
from models.domain.law_text import canonical_title
from models.domain.numerals import chinese_to_int
from models.store.database import Database
from models.store.migrate import migrate

NOW = datetime(2026, 11, 27, 2, 0, tzinfo=UTC)
VERSIONS = re.compile(r"(\d{4}-\d\d-\d\d)→(\d{4}-\d\d-\d\d)")
ARTICLE = re.compile(r"第(.+?)条→")


def test_every_derived_link_of_the_power_list_is_found_and_its_trap_is_not(db: Database, real_data: Path) -> None:
    migrate(db)
    with (real_data / "citations" / "item_law_links_derived.csv").open(encoding="utf-8-sig", newline="") as file:
        links = [row for row in csv.DictReader(file) if row["origin"].startswith("辽宁")]
    folders = [real_data / "laws" / "versions" / row["law"] for row in links]
    load(
        db,
        paths=[*sorted({f for f in folders if f.is_dir()}), real_data / "items" / "liaoning_power_items.json"],
        now=NOW,
    )
    assert len(links) == 7
    for link in links:
        for old, new in VERSIONS.findall(link["detail"]):
            found = impact(
                db, law=link["law"], from_edition=date.fromisoformat(old), to_edition=date.fromisoformat(new), now=NOW
            )
            mine = [row for row in found.rows if _same(row, link)]
            if link["eye_check"]:
                assert not mine and [row for row in found.already_new if _same(row, link)], link
            elif "未引到条" in link["finding"]:
                assert not mine, link
                named = [row for row in found.whole_law if row.item == link["item_code"]]
                assert [(row.outcome, row.preselected) for row in named] == [("none", False)], link
            elif "不变" in link["finding"]:
                assert not mine, link
            else:
                [article] = ARTICLE.findall(link["detail"].split("; ")[0])[:1]
                assert [row.old_article for row in mine] == [chinese_to_int(article)], link


def test_a_repealed_law_is_found_though_the_library_holds_no_text_of_it(db: Database, tmp_path: Path) -> None:
    office(db, tmp_path)
    day = date(2014, 2, 20)
    found = impact(db, law="示例市早餐管理办法", from_edition=day, to_edition=None, by="示例市餐饮条例", now=NOW)
    assert {(row.item_name, row.outcome, row.gap) for row in found.rows} == {
        ("早餐备案", "cancel", None),
        ("摊位登记", "change_basis", None),
    }
    params = {"title": "早餐办法废止", "law": "示例市早餐管理办法", "from_version": "2014-02-20"}
    shown = preview(db, trigger="law_change", params=params, now=NOW)
    assert {(row["name"], tuple(row["outcomes"])) for row in shown.rows} == {
        ("早餐备案", ("cancel",)),
        ("摊位登记", ("change_basis",)),
    }
    [row, _] = impact(db, law="示例市早餐管理办法", from_edition=day, to_edition=None, now=NOW).rows
    assert row.gap == "法规库没有《示例市早餐管理办法》的文本"
    with pytest.raises(Unknown):
        impact(db, law="示例市晚餐管理办法", from_edition=day, to_edition=None, now=NOW)


def test_a_repeal_that_the_named_law_does_not_say_is_marked(db: Database, tmp_path: Path) -> None:
    office(db, tmp_path)
    found = impact(
        db, law="示例市餐饮条例", from_edition=date(2024, 1, 5), to_edition=None, by="示例市食品条例", now=NOW
    )
    assert [row.gap for row in found.rows] == ["《示例市食品条例》的文本没有写明废止《示例市餐饮条例》"]


def test_one_law_that_repeals_several_is_asked_in_one_call(db: Database, tmp_path: Path) -> None:
    """An item that stands on two of them only is cancelled; an older law of the repealing one's own title is none of them."""
    office(db, tmp_path)
    gone, found = impact_of_repeals(db, by="示例市餐饮条例", now=NOW)
    assert gone == ["示例市早餐管理办法", "示例市夜市规定"]
    assert {(row.item_name, row.basis, row.outcome) for row in found.rows} == {
        ("早餐备案", "《示例市早餐管理办法》第三条", "cancel"),
        ("摊位登记", "《示例市早餐管理办法》第五条", "cancel"),
        ("摊位登记", "《示例市夜市规定》第二条", "cancel"),
    }
    with pytest.raises(BadInput):
        impact_of_repeals(db, by="示例市食品条例", now=NOW)


def test_what_was_repealed_stays_so_when_a_later_text_no_longer_says_it(db: Database, tmp_path: Path) -> None:
    office(db, tmp_path)
    later = tmp_path / "later"
    later.mkdir()
    for title in ("示例市餐饮条例", "示例市夜市规定"):
        text = f"# {title}\n\n**第一条**　制定本规范。\n\n**第二条**　自公布之日起施行。\n"
        (later / f"{title}(2026-01-05).md").write_text(text, encoding="utf-8")
    load(db, paths=[later], now=NOW)
    problems = {(one.basis, one.problem) for one in check(db, now=NOW)}
    assert ("《示例市早餐管理办法》第三条", "repealed") in problems
    # A law of which a later text is held was made again.
    assert ("《示例市夜市规定》第二条", "repealed") not in problems


def office(db: Database, folder: Path) -> None:
    """Three items, and two laws of which one repeals two that the library does not hold, and its own older namesake."""
    (folder / "示例市餐饮条例(2024-01-05).md").write_text(
        "# 示例市餐饮条例\n\n**第一条**　制定本条例。\n\n**第二条**　本条例自2024年3月1日起施行。《示例市早餐管理办法》、"
        "《示例市夜市规定》和1996年公布的《示例市餐饮条例》同时废止。\n",
        encoding="utf-8",
    )
    (folder / "示例市食品条例(2020-01-05).md").write_text(
        "# 示例市食品条例\n\n**第一条**　制定本条例。\n", encoding="utf-8"
    )
    (folder / "items.csv").write_text(
        "name,type,code,department,bases\n"
        "早餐备案,01,990100001000,市商务局,《示例市早餐管理办法》第三条\n"
        "摊位登记,01,990100002000,市商务局,《示例市早餐管理办法》第五条；《示例市夜市规定》第二条\n"
        "餐饮许可,01,990100003000,市商务局,《示例市餐饮条例》第一条\n",
        encoding="utf-8",
    )
    migrate(db)
    load(db, paths=[folder], now=NOW)


def _same(row: ImpactRow, link: dict[str, str]) -> bool:
    return row.item == link["item_code"] and canonical_title(link["law"]) in canonical_title(row.basis.split("》")[0])
