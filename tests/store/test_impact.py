"""The impact of real laws on real items: every derived link is found, no marked trap raises an alarm."""

from __future__ import annotations

import csv
import re
from datetime import UTC, date, datetime
from pathlib import Path

from models.actions.impact import impact
from models.actions.load import load
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
                # The basis quotes no article; where the item itself cites it (in a bracket, in a quotation) it is none.
                assert not mine, link
            elif "不变" in link["finding"]:
                assert not mine, link
            else:
                [article] = ARTICLE.findall(link["detail"].split("; ")[0])[:1]
                assert [row.old_article for row in mine] == [chinese_to_int(article)], link


def _same(row: ImpactRow, link: dict[str, str]) -> bool:
    return row.item == link["item_code"] and canonical_title(link["law"]) in canonical_title(row.basis.split("》")[0])
