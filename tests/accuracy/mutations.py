"""The checked citations written otherwise: other digits, other brackets, blanks, another order. Seeded, repeatable."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from models.domain.numerals import chinese_to_int, int_to_chinese

_PLACE = re.compile(r"第([〇零一二三四五六七八九十百千0-9０-９]+)([条款项])")
_OUTSIDE = re.compile(r"《[^《》]*(?:《[^《》]*》[^《》]*)*》|[（(][^（）()]*[)）]")


@dataclass(frozen=True)
class Mutation:
    """A text made from checked ones, and what it must be read as: one checked row a citation, in order."""

    name: str
    text: str
    rows: tuple[dict[str, Any], ...]


def _outside(text: str, act: Callable[[str], str]) -> str:
    """Change only what stands outside titles and brackets."""
    parts, at = [], 0
    for kept in _OUTSIDE.finditer(text):
        parts += [act(text[at : kept.start()]), kept[0]]
        at = kept.end()
    return "".join([*parts, act(text[at:])])


def _digits(write: Callable[[int], str]) -> Callable[[str], str]:
    def act(text: str) -> str:
        return _PLACE.sub(lambda found: f"第{write(chinese_to_int(found[1]))}{found[2]}", text)

    return act


_FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")
_WAYS: dict[str, Callable[[str], str]] = {
    "Arabic digits": lambda text: _outside(text, _digits(str)),
    "full-width digits": lambda text: _outside(text, _digits(lambda n: str(n).translate(_FULL_WIDTH))),
    "Chinese numerals": lambda text: _outside(text, _digits(int_to_chinese)),
    "blanks": lambda text: _outside(text, lambda part: part.replace("第", " 第 ").replace("条", " 条 ")),
    "half-width brackets": lambda text: text.replace("（", "(").replace("）", ")"),
    "full-width brackets": lambda text: text.replace("(", "（").replace(")", "）"),
    "ideographic blanks": lambda text: _outside(text, lambda part: part.replace(" ", "\u3000")),
}


def mutations(rows: list[dict[str, Any]], seed: int = 20261127) -> list[Mutation]:
    """Each way of writing on every checked row, and 150 lists of two to five rows in random order."""
    found = [Mutation(name, way(row["citation"]), (row,)) for name, way in _WAYS.items() for row in rows]
    chance = random.Random(seed)
    plain = [row for row in rows if "\n" not in row["citation"]]
    for _ in range(150):
        some = chance.sample(plain, chance.randint(2, 5))
        joint = chance.choice(["、", "，", "；", " ", "\n", ""])
        numbered = chance.random() < 0.3
        parts = [
            (f"{n}." if numbered else "") + re.sub(r"^\d+\.", "", row["citation"]).strip()
            for n, row in enumerate(some, start=1)
        ]
        found.append(Mutation("several in one text", joint.join(parts), tuple(some)))
    return found
