"""Laws that nobody passed, made of real ones: other titles, dates, numbers and words, so that a library can be large."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from models.domain.law_text import Article, LawText, canonical_title
from models.domain.numerals import int_to_chinese
from models.intake.laws import read_law_files

SEED: Final = 5
_FIRST_DAY: Final = date(1990, 1, 1)
_WORDS: Final = (
    str.maketrans("二三五", "三五六"),
    str.maketrans({"批": "核", "县": "区"}),
    str.maketrans({"应": "必", "当": "须"}),
)
"""Each leaves a text as long and as law-like as it was."""


def write_variants(data: Path, folder: Path, count: int) -> None:
    """Write `count` laws made of those in `data` into `folder`, in both Markdown styles; always the same ones."""
    chance = random.Random(SEED)
    folder.mkdir(parents=True)
    texts = list(_texts(data))
    for number, (title, articles) in enumerate((chance.choice(texts) for _ in range(count)), start=1):
        day = _FIRST_DAY + timedelta(days=chance.randrange(13_000))
        name = f"示例第{int_to_chinese(number)}市{title}"
        lines = [f"# {name}", f"（{day.year}年{day.month}月{day.day}日示例市人民代表大会常务委员会通过）"]
        lines += _body(articles, chance)
        file = folder / f"{name.replace('/', '／')[:60]}({day}).md"
        file.write_text("\n\n".join(lines) + "\n", encoding="utf-8")


def _texts(data: Path) -> Iterator[tuple[str, tuple[Article, ...]]]:
    for _, law in read_law_files([data]):
        if isinstance(law, LawText):
            yield canonical_title(law.title), law.articles


def _body(articles: Iterable[Article], chance: random.Random) -> Iterator[str]:
    """Headings and articles in one of both styles, one article in five with other words, one in forty left out."""
    head = chance.choice(("**{}**　", "{} "))
    above: tuple[str, ...] = ()
    for article in articles:
        if article.no > 1 and chance.random() < 1 / 40:
            continue
        yield from (f"## {heading}" for heading in article.division if heading not in above)
        above = article.division
        text = article.text.translate(chance.choice(_WORDS)) if chance.random() < 1 / 5 else article.text
        yield head.format(article.name) + text.replace("\n", "\n\n")
