"""Thirty whole texts of the data read by a person: every mention of a law in it, with its places, in order.

`python -m tests.accuracy.whole` prints the texts that the seed draws, for reading; what was read stands in
`whole_texts.json` by file and row, with the SHA-256 of the text, and no word of it.
"""

from __future__ import annotations

import csv
import hashlib
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from models.domain.law_text import read_law
from tests.accuracy.data import DATA

READ_BY_HAND = Path(__file__).with_name("whole_texts.json")
SEED = 20261128
_NAMES_A_LAW = re.compile(r"(?:法|条例|办法|规定|决定|细则|通知)[〉》]")
#: How many texts of each source.
DRAWN = {"liaoning": 7, "zhejiang": 9, "guangdong": 4, "guides": 1, "articles": 9}


class Whole(NamedTuple):
    """A text as it stands in the data: its file, its row (or article), and itself."""

    file: str
    row: str
    text: str

    @property
    def mark(self) -> str:
        """What the text is known by."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def drawn(data: Path) -> list[Whole]:
    """The thirty texts the seed draws, among those that name two laws and more; each text once."""
    chance = random.Random(SEED)
    found: list[Whole] = []
    for source, wanted in DRAWN.items():
        fitting = {text.text: text for text in _SOURCES[source](data) if len(_NAMES_A_LAW.findall(text.text)) > 1}
        found += chance.sample(sorted(fitting.values()), wanted)
    return found


def every(data: Path) -> dict[tuple[str, str], Whole]:
    """All texts of the sources, by file and row."""
    return {(text.file, text.row): text for read in _SOURCES.values() for text in read(data)}


def _liaoning(data: Path) -> Iterator[Whole]:
    for number, row in enumerate(json.loads((data / "items" / "liaoning_power_items.json").read_text("utf-8")), 1):
        yield Whole("items/liaoning_power_items.json", str(number), row["依据"])


def _guides(data: Path) -> Iterator[Whole]:
    for number, row in enumerate(json.loads((data / "items" / "shanghai_jiading_guides.json").read_text("utf-8")), 1):
        yield Whole("items/shanghai_jiading_guides.json", str(number), row.get("clDealAccording") or "")


def _zhejiang(data: Path) -> Iterator[Whole]:
    yield from _column(data, "items/zhejiang_inspection_items.csv", "抽查依据")


def _guangdong(data: Path) -> Iterator[Whole]:
    yield from _column(data, "items/guangdong_items.csv", "accept_standard")


def _column(data: Path, file: str, column: str) -> Iterator[Whole]:
    with (data / file).open(encoding="utf-8-sig", newline="") as source:
        for number, row in enumerate(csv.DictReader(source), 2):
            yield Whole(file, str(number), row[column])


def _articles(data: Path) -> Iterator[Whole]:
    """Articles of the dated texts."""
    for file in sorted((data / "laws" / "versions").rglob("*.md")):
        name = str(file.relative_to(data))
        for article in read_law(file.read_text("utf-8"), file.name).articles:
            yield Whole(name, f"{article.no}.{article.sub}", article.text)


_SOURCES = {
    "liaoning": _liaoning,
    "zhejiang": _zhejiang,
    "guangdong": _guangdong,
    "guides": _guides,
    "articles": _articles,
}


if __name__ == "__main__":
    for number, text in enumerate(drawn(DATA), start=1):
        print(f"=== {number}. {text.file} {text.row} {text.mark}\n{text.text}\n")
