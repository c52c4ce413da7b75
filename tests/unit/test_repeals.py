"""Which laws a text repeals."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from models.domain.law_text import Article, canonical_title
from models.domain.repeals import Repeal, repealed_in, repeals


@pytest.mark.parametrize(
    ("sentence", "titles"),
    [
        ("2011年7月29日通过的《示例市早餐办法》同时废止", ["示例市早餐办法"]),
        ("《示例市早餐办法》、《示例市夜市办法》同时废止", ["示例市早餐办法", "示例市夜市办法"]),
        ("《示例市实施〈食品安全法〉办法》即行废止", ["示例市实施〈食品安全法〉办法"]),
        ("本条例自2024年3月1日起施行", []),
        ("修改或者废止《示例市早餐办法》，应当听取意见", []),
        ("《示例市早餐办法》废止前取得的许可继续有效", []),
        ("省人民政府废止", []),
    ],
)
def test_a_sentence_repeals_what_it_names_and_only_where_it_does(sentence: str, titles: list[str]) -> None:
    assert repealed_in(sentence) == titles


def test_an_older_law_of_the_same_title_is_told_apart() -> None:
    text = "本条例自2024年3月1日起施行。1996年发布的《示例市早餐条例》和《示例市夜市办法》同时废止。"
    assert repeals("示例市早餐条例", [Article(no=9, text=text)]) == [
        Repeal("示例市早餐条例", True),
        Repeal("示例市夜市办法", False),
    ]


def test_every_real_repeal_sentence_names_exactly_the_laws_it_repeals(real_data: Path) -> None:
    with (real_data / "laws" / "repeals.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 126
    for row in rows:
        wanted = [canonical_title(title) for title in row["repealed"].split("；")]
        found = [t for sentence in re.findall(r"[^。；;\n]+", row["sentence"]) for t in repealed_in(sentence)]
        assert [canonical_title(title) for title in found] == wanted, row["sentence"]
        # One older namesake is not marked in the data: its title holds a title in other brackets.
        assert row["same_title"] == "False" or canonical_title(row["new_law"]) in wanted
