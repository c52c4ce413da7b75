"""Reading laws: citations, comparison, the library, and the impact of one law over catalogues of growing size."""

from __future__ import annotations

import csv
import gc
import json
import math
import resource
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeVar

from models.actions.impact import check, impact
from models.actions.load import load
from models.domain.citation import read_citations
from models.domain.law_compare import match_articles
from models.domain.law_text import LawText, canonical_title, read_law
from models.intake.laws import read_law_files
from models.store.catalogue import BASIS, ITEM, VERSION
from models.store.database import Database
from models.store.migrate import migrate
from models.store.sql import insert_all
from tests.bench.variants import write_variants
from tests.long_texts import long_texts

T = TypeVar("T")
LAW, OLD, NEW = "公司法", date(2018, 10, 26), date(2023, 12, 29)
#: Versions in a large library: the published ones, and as many made of them.
LIBRARY = 1300
#: What the three sizes stand for.
SIZES = ("a city's catalogue", "a province's catalogue", "a province's bases")
#: So many Chinese characters are one megabyte of UTF-8.
MEGABYTE = 333_333
#: Seconds below which growth is the clock's.
NOTICED = 0.1
#: How often a long text is read: at least, and at most where it seems to take more than so many times its half.
_READINGS, _SEEMS_TO_GROW = (3, 15), 2.2
#: One base in so many names the law that changes.
_LAWS = 50


def laws(url: str, data: Path, folder: Path, sizes: Sequence[tuple[int, int]]) -> dict[str, float]:
    """Seconds (and megabytes) by what was done, on an empty database, with the published laws in `data`.

    `folder` takes the laws made of them; `sizes` are numbers of items and of bases of each, growing.
    """
    found: dict[str, float] = {}
    with (data / "citations" / "citations_raw.csv").open(encoding="utf-8-sig", newline="") as file:
        texts = [row["citation"] for row in csv.DictReader(file)]
    found["10,000 citations, s"] = best(lambda: [read_citations(texts[n % len(texts)]) for n in range(10_000)])
    found |= long_reads()
    old, new = (
        read_law((data / "laws" / "versions" / LAW / f"{day}.md").read_text(encoding="utf-8"), f"{LAW}({day}).md")
        for day in (OLD, NEW)
    )
    found["公司法 2018→2023 compared, s"] = best(lambda: match_articles(old.articles, new.articles))
    db = Database(url)
    try:
        migrate(db)
        found |= _import(db, data, folder)
        have = (0, 0)
        for name, (items, bases) in zip(SIZES, sizes, strict=True):
            _grow(db, have, (items, bases))
            have = (items, bases)
            call = lambda: impact(db, law=LAW, from_edition=OLD, to_edition=NEW, now=datetime.now(UTC))  # noqa: E731
            if name == SIZES[0]:
                found["impact, asked for the first time, s"] = best(call, times=1)
            found[f"impact, {name}, s"] = best(call)
            found[f"impact, {name}: bases"] = items * bases
            if name == SIZES[0]:
                found["every basis of a city checked, s"] = timed(lambda: check(db, now=datetime.now(UTC)))[1]
    finally:
        db.close()
    found["memory at most, MB"] = _memory()
    return found


def _import(db: Database, data: Path, folder: Path) -> dict[str, float]:
    """A library of 1,300 versions into an empty database, in one call."""
    published = {
        (canonical_title(law.title), law.edition_on)
        for _, law in read_law_files([data / "laws"])
        if isinstance(law, LawText)
    }
    write_variants(data / "laws", folder / "made", LIBRARY - len(published))
    paths = [data / "laws", folder / "made"]
    loaded, took = timed(lambda: load(db, paths=paths, kind="laws", now=datetime.now(UTC)))
    return {
        f"library of {LIBRARY:,} versions imported, s": took,
        "library, texts": sum(report.added for report in loaded.files),
        "library, of these published": len(published),
        "memory after that, MB": _memory(),
    }


def _memory() -> float:
    """The most memory this process has held so far, in megabytes."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def long_reads() -> dict[str, float]:
    """Every named long text of 1 MB (as UTF-8, as a rule): the slowest one, and how much longer it takes than its half.

    What is loaded by now is frozen, as the engine and the portal do: otherwise the longer reading alone may be what makes the
    collector walk through everything this process holds. Growth is told by processor time, the least of several readings of
    each length in turn; a case that seems to grow is read more often, so that no busy moment is taken for growth.
    """
    slowest, growth = 0.0, 0.0
    halves = dict(long_texts(MEGABYTE // 2))
    gc.collect()
    gc.freeze()
    try:
        for name, text in long_texts(MEGABYTE):
            took = whole = half = math.inf
            for turn in range(_READINGS[1]):
                if turn >= _READINGS[0] and whole <= _SEEMS_TO_GROW * half:
                    break
                took = min(took, timed(lambda text=text: read_citations(text))[1])  # type: ignore[misc]
                whole, half = min(whole, _processor_seconds(text)), min(half, _processor_seconds(halves[name]))
            slowest = max(slowest, took)
            growth = max(growth, whole / half if took > NOTICED else 0.0)
    finally:
        gc.unfreeze()
    return {"a text of 1 MB, s": slowest, "a text of 1 MB to one of half of it": round(growth, 2)}


def _processor_seconds(text: str) -> float:
    begin = time.process_time()
    read_citations(text)
    return time.process_time() - begin


def best(act: Callable[[], Any], times: int = 3) -> float:
    """The shortest of several runs, in seconds."""
    return min(timed(act)[1] for _ in range(times))


def timed(act: Callable[[], T]) -> tuple[T, float]:
    """What it gave, and how long it took in seconds."""
    begin = time.perf_counter()
    result = act()
    return result, round(time.perf_counter() - begin, 4)


def _grow(db: Database, have: tuple[int, int], want: tuple[int, int]) -> None:
    """From so many items and bases of each to more of both; every fiftieth basis names the law."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    with db.writer() as connection:
        for start in range(have[0], want[0], 10_000):
            numbers = range(start, min(start + 10_000, want[0]))
            items = [{"id": f"itm-{n}", "kind": "item", "identity": f"bench:{n}", "parent_id": None} for n in numbers]
            insert_all(connection, ITEM, items)
            insert_all(connection, VERSION, [_version(n, now) for n in numbers])
        for start in range(0, want[0], 10_000):
            numbers = range(start, min(start + 10_000, want[0]))
            bases = [_basis(n, k) for n in numbers for k in range(have[1] if n < have[0] else 0, want[1])]
            insert_all(connection, BASIS, bases)
    with db.writer() as connection:
        connection.exec_driver_sql("analyze")


def _version(number: int, now: datetime) -> dict[str, Any]:
    return {
        "id": f"ver-{number}",
        "item_id": f"itm-{number}",
        "no": 1,
        "recorded_at": now,
        "superseded_at": None,
        "valid_from": now,
        "valid_to": None,
        "legal_since": None,
        "state": "active",
        "name": f"第 {number} 号事项",
        "type": "01",
        "code": f"9901{number:08d}",
        "department_id": None,
        "department_text": "",
        "content": json.loads('{"bases": []}'),
        "hash": "",
        "adjustment_id": None,
        "publication_id": None,
    }


#: Every second basis quotes its article, as catalogues do; one in ten names another law in it.
_QUOTED = (
    "国家对食品生产经营实行许可制度。从事食品生产、食品销售、餐饮服务，应当依法取得许可；不服的，可以依照《{}》起诉。"
)


def _basis(number: int, ord_: int) -> dict[str, Any]:
    which = (number + 7 * ord_) % _LAWS
    named = "行政诉讼法" if (number + ord_) % 1000 else "公司法"
    title = "中华人民共和国公司法" if which == 0 else f"示例市第{which}号条例"
    return {
        "version_id": f"ver-{number}",
        "ord": ord_,
        "canonical": canonical_title(title),
        "title": title,
        "edition_on": None,
        "article": number % 200 + 1,
        "to_article": None,
        "sub": None,
        "paragraph": None,
        "item": None,
        "subitem": None,
        "annex": None,
        "quoted": _QUOTED.format(named) if (number + ord_) % 2 else None,
        "mentions": f"|{named}|" if (number + ord_) % 10 == 1 else None,
        "rank": 1,
    }
