"""Laws out of a corpus, one record a line: codes in parts, and records that name no day of their text."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from models.domain.errors import Refusal
from models.domain.law_text import LawText
from models.intake.laws import read_law_files

BOOKS = [
    {
        "title": "附则",
        "group": "示例法典",
        "version_date": "",
        "effective_date_in_text": "2021-01-01",
        "text": "# 附则\n\n**第三条**　本法自2021年1月1日起施行。《示例合同法》、《示例收养法》同时废止。",
    },
    {
        "title": "第一编总则",
        "group": "示例法典",
        "version_date": "",
        "text": "# 第一编　总则\n\n**第一条**　为了保护，制定本法。",
    },
    {
        "title": "第二编物权",
        "group": "示例法典",
        "version_date": "",
        "text": "# 第二编　物权\n\n**第二条**　物权受保护。",
    },
]


def read(folder: Path, records: list[dict[str, Any]]) -> list[LawText | Refusal]:
    file = folder / "corpus.jsonl"
    file.write_text("\n".join(json.dumps(record, ensure_ascii=False) for record in records), encoding="utf-8")
    return [law for _, law in read_law_files([file])]


def test_the_parts_of_a_code_that_names_no_day_are_one_law_of_the_day_on_which_it_takes_effect(tmp_path: Path) -> None:
    (law,) = read(tmp_path, BOOKS)
    assert isinstance(law, LawText)
    assert (law.title, law.edition_on, law.effective_on) == ("示例法典", date(2021, 1, 1), date(2021, 1, 1))
    assert (law.certainty, law.dated_by_force) == ("uncertain", True)
    assert [article.no for article in law.articles] == [1, 2, 3]


@pytest.mark.parametrize("in_force", ["", "2021-13-01", None])
def test_a_record_that_names_no_day_at_all_is_refused(tmp_path: Path, in_force: str | None) -> None:
    record = {
        "title": "示例法",
        "version_date": "",
        "effective_date_in_text": in_force,
        "text": "第一条 为了保护，制定本法。",
    }
    (refusal,) = read(tmp_path, [record])
    assert isinstance(refusal, Refusal)
    assert refusal.code == "law_without_date"


def test_the_day_of_a_record_goes_before_the_day_on_which_it_takes_effect(tmp_path: Path) -> None:
    text = "第一条 为了保护，制定本法。\n\n第二条 本法自2021年1月1日起施行。"
    record = {"title": "示例法", "version_date": "2020-05-28", "effective_date_in_text": "2021-01-01", "text": text}
    (law,) = read(tmp_path, [record])
    assert isinstance(law, LawText)
    assert (law.edition_on, law.certainty, law.dated_by_force) == (date(2020, 5, 28), "certain", False)
