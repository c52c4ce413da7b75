"""`make accuracy`: citations, article comparison and impact on the real data, as numerators and denominators.

Every row that is wrong is named; the result is compared with the last recorded one (docs/accuracy.json) row by row.
`--write` records it. The figures wanted stand beside the measured ones; the exit code is 1 where one is missed.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from models.actions.impact import check, impact
from models.actions.load import load
from models.domain.change_kinds import kind_of_change
from models.domain.citation import Citation, Place, read_citations
from models.domain.impact import Impact
from models.domain.law_compare import ArticleMatch, match_articles, normal_form
from models.domain.law_text import Article, canonical_title, read_law
from models.domain.numerals import chinese_to_int
from models.store import laws
from models.store.database import Database
from models.store.migrate import migrate
from tests.accuracy.data import DATA, DOCS
from tests.accuracy.mutations import mutations
from tests.accuracy.whole import READ_BY_HAND, every

#: Wrong in the checked file, as its issue says: two numbers without their first issuers, one form called a basis.
CORRECTED: dict[str, dict[str, Any]] = {
    "C0048": {"doc_no": "商务部、国防科工委、海关总署公告第50号"},
    "C0055": {"doc_no": "财政部 税务总局公告 2020 年第 2 号"},
    "C0108": {"is_legal_basis": False},
}
#: Real changes of one or two characters, with the kind a lawyer gives them.
KINDS = (
    ("仲裁法", "2017-09-01", "2025-09-12", 59, "time_limit"),
    ("民事诉讼法", "2017-06-27", "2021-12-24", 92, "time_limit"),
    ("治安管理处罚法", "2012-10-26", "2025-06-27", 65, "amount"),
    ("会计法", "2017-11-04", "2024-06-28", 15, "editorial"),
    ("公司法", "2018-10-26", "2023-12-29", 11, "duty"),
    ("海洋观测预报管理条例", "2012-03-01", "2023-07-20", 10, "approval_to_filing"),
    ("食品安全法", "2015-04-24", "2021-04-29", 8, "authority"),
    ("反垄断法", "2007-08-30", "2022-06-24", 25, "editorial"),
)
SMALL = (
    ("海洋观测预报管理条例", "2012-03-01", "2023-07-20"),
    ("食品安全法", "2021-04-29", "2025-09-12"),
    ("治安管理处罚法", "2005-08-28", "2012-10-26"),
    ("农业技术推广法", "2012-08-31", "2024-04-26"),
    ("未成年人保护法", "2020-10-17", "2024-04-26"),
)


#: Rows that are not as the file says, read side by side: who is right, and why.
JUDGED = {
    "公司法 2018-10-26→2023-12-29 第三条→第四条": "both: the old article's two paragraphs are 第三条 and 第四条 now",
    "公司法 2018-10-26→2023-12-29 第七十四条→第八十九条": "the file: 股权 of a limited company; ours, marked as doubtful, 股份",
    "公司法 2018-10-26→2023-12-29 第一百零一条→第六十三条": "ours: 第一百一十四条 is that of the joint-stock company",
    "上海市未成年人保护条例: 上海市青少年保护条例": "the sentence stands in a text without a date, which is refused",
}


@dataclass
class Figure:
    """So many right of so many, the share wanted, and the rows that were wrong."""

    name: str
    wanted: float
    right: int = 0
    of: int = 0
    wrong: list[str] = field(default_factory=list)
    #: Rows that the file sees otherwise for a reason that is known of all of them.
    apart: list[str] = field(default_factory=list)

    def add(self, right: bool, row: str) -> None:
        """Count one row."""
        self.of += 1
        self.right += right
        if not right:
            self.wrong.append(row)

    @property
    def share(self) -> float:
        """Right of all; 1 where there is nothing."""
        return self.right / self.of if self.of else 1.0


class Figures(dict[str, Figure]):
    """By name, made when first counted."""

    def add(self, name: str, wanted: float, right: bool, row: str) -> None:
        """Count one row of a figure."""
        self.setdefault(name, Figure(name, wanted)).add(right, row)


# --- citations -----------------------------------------------------------------------------------------------------


def _checked() -> list[dict[str, Any]]:
    with (DATA / "citations" / "citations_parsed_checked.jsonl").open(encoding="utf-8") as file:
        return [{**(row := json.loads(line)), **CORRECTED.get(row["id"], {})} for line in file]


def _places(row: dict[str, Any]) -> tuple[Place, ...]:
    return tuple(
        Place(
            p.get("article", p.get("from")),
            p.get("sub"),
            p.get("paragraph"),
            p.get("item"),
            p.get("subitem"),
            p.get("to"),
        )
        for p in row["articles"]
    )


def _bare(text: str | None) -> str | None:
    """A text without regard to the width of brackets and blanks, which mutations change."""
    return None if text is None else normal_form(text)


def _one(figures: Figures, set_name: str, found: Citation | None, row: dict[str, Any], text: str) -> None:
    annex = None if found is None or found.annex is None else found.annex._asdict()
    facts = {
        "title": (1.0, found is not None and _bare(found.title) == _bare(row["title"]), True),
        "doc_no": (0.98, found is not None and _bare(found.doc_no) == _bare(row["doc_no"]), row["doc_no"] is not None),
        "articles": (0.99, found is not None and found.articles == _places(row), bool(row["articles"])),
        "annex": (0.98, annex == row["annex"], row["annex"] is not None),
        "is_legal_basis": (0.97, found is not None and found.is_legal_basis == row["is_legal_basis"], True),
    }
    for name, (wanted, right, has_one) in facts.items():
        figures.add(f"citations, {set_name}: {name}", wanted, right, f"{row['id']} {text[:80]}")
        if has_one and name not in {"title", "is_legal_basis"}:
            figures.add(f"citations, {set_name}: {name}, of those that have one", wanted, right, row["id"])


def citations(figures: Figures) -> None:
    """The checked file, the same rows written otherwise, and every raw string."""
    rows = _checked()
    for row in rows:
        found = read_citations(row["citation"]).citations
        _one(figures, "checked", found[0] if len(found) == 1 else None, row, row["citation"])
    for mutation in mutations(rows):
        found = read_citations(mutation.text).citations
        same = len(found) == len(mutation.rows)
        figures.add("citations, mutated: grouping", 0.99, same, f"{mutation.name}: {mutation.text[:100]}")
        for n, row in enumerate(mutation.rows):
            _one(figures, "mutated", found[n] if same else None, row, f"{mutation.name}: {mutation.text}")
    with (DATA / "citations" / "citations_raw.csv").open(encoding="utf-8-sig", newline="") as file:
        for raw in csv.DictReader(file):
            found = read_citations(raw["citation"]).citations
            figures.add("citations, raw: a title is set", 0.99, bool(found), raw["id"])


def whole_texts(figures: Figures) -> None:
    """Thirty whole texts as a person read them: every mention with its places, in order. A text that is another by now
    (its SHA-256 says so) is wrong as a whole.
    """
    texts = every(DATA)
    for read in json.loads(READ_BY_HAND.read_text(encoding="utf-8")):
        name = f"{read['file']} {read['row']}"
        text = texts.get((read["file"], read["row"]))
        same = text is not None and text.mark == read["sha256"]
        found = read_citations(text.text).citations if text is not None and same else ()
        wanted = read["mentions"]
        listed = [_bare(citation.title) for citation in found] == [_bare(row["title"]) for row in wanted]
        got = "、".join(citation.title for citation in found)
        figures.add("citations, whole texts: mentions and grouping", 1.0, listed, f"{name}: {got}")
        for number, row in enumerate(wanted):
            full = {
                "id": f"{name} {number + 1}",
                "doc_no": None,
                "articles": [],
                "annex": None,
                "is_legal_basis": True,
                **row,
            }
            citation = found[number] if listed else None
            _one(figures, "whole texts", citation, full, row["title"])
            means = citation is not None and citation.resolved_from == row.get("means")
            figures.add("citations, whole texts: short forms", 1.0, means, full["id"])


# --- comparison ----------------------------------------------------------------------------------------------------


def _articles(law: str, day: str) -> tuple[Article, ...]:
    file = DATA / "laws" / "versions" / law / f"{day}.md"
    return read_law(file.read_text(encoding="utf-8"), f"{law}({day}).md").articles


def _number(text: str) -> tuple[int, int] | None:
    found = re.fullmatch(r"第(.+?)条(?:之(.+))?", text)
    return (chinese_to_int(found[1]), chinese_to_int(found[2]) if found[2] else 0) if found else None


def _pairs() -> Iterator[tuple[tuple[str, str, str], list[dict[str, str]]]]:
    with (DATA / "laws" / "article_changes_derived.csv").open(encoding="utf-8-sig", newline="") as file:
        grouped: dict[tuple[str, str, str], list[dict[str, str]]] = {}
        for row in csv.DictReader(file):
            grouped.setdefault((row["law"], row["from_version"], row["to_version"]), []).append(row)
    yield from grouped.items()


_PAIRS = "comparison: pairs of similarity 0.7 and more"


def comparison(figures: Figures) -> None:
    """Pairs of the derived file, the small amendments exactly, and the kinds of small changes."""
    for (law, old_day, new_day), rows in _pairs():
        old, new = _articles(law, old_day), _articles(law, new_day)
        matches = match_articles(old, new)
        where = {(m.old.no, m.old.sub): m for m in matches if m.old is not None}
        _every_article_once(figures, law, matches, old, new)
        for row in rows:
            wanted = _number(row["new_article"])
            if wanted is None or not row["similarity"].replace(".", "").isdigit() or float(row["similarity"]) < 0.7:
                continue
            key = _number(row["old_article"])
            got = where.get(key) if key else None
            there = None if got is None or got.new is None else (got.new.no, got.new.sub)
            line = f"{law} {old_day}→{new_day} {row['old_article']}→{row['new_article']} ({row['similarity']}): {there}"
            figures.add(_PAIRS, 0.97, there == wanted, line)
            if "修改" in row["change"] and got is not None and got.similarity == 1.0 and there == wanted:
                figures[_PAIRS].apart.append(f"differs in form alone: {line}")
        if (law, old_day, new_day) in SMALL:
            _exactly(figures, (law, old_day, new_day), rows, matches)
    for law, old_day, new_day, number, kind in KINDS:
        pairs = match_articles(_articles(law, old_day), _articles(law, new_day))
        match = next(m for m in pairs if m.old is not None and m.old.no == number)
        assert match.old is not None and match.new is not None
        told = kind_of_change(match.old.text, match.new.text)
        figures.add(
            "comparison: kinds of small changes", 1.0, told.kind == kind, f"{law} 第{number}条: {told.kind}, not {kind}"
        )


def _every_article_once(
    figures: Figures, law: str, matches: list[ArticleMatch], old: tuple[Article, ...], new: tuple[Article, ...]
) -> None:
    olds = sorted((m.old.no, m.old.sub) for m in matches if m.old)
    news = sorted((m.new.no, m.new.sub) for m in matches if m.new)
    whole = olds == sorted((a.no, a.sub) for a in old) and news == sorted((a.no, a.sub) for a in new)
    figures.add("comparison: every article in exactly one row", 1.0, whole, law)


def _exactly(
    figures: Figures, pair: tuple[str, str, str], rows: list[dict[str, str]], matches: list[ArticleMatch]
) -> None:
    """The derived file compares forms of punctuation too: a pair that differs in those alone is unchanged here."""
    changed = {_number(row["old_article"]) for row in rows if row["change"] not in {"不变", "移条未改", "新增或大改"}}
    found = {(m.old.no, m.old.sub) for m in matches if m.old and m.change not in {"unchanged", "moved"}}
    equal = {
        (m.old.no, m.old.sub) for m in matches if m.old and m.new and normal_form(m.old.text) == normal_form(m.new.text)
    }
    missed, more = sorted((changed - equal - {None}) - found), sorted(found - changed)  # type: ignore[type-var]
    figures.add(
        "comparison: small amendments exactly", 1.0, not missed and not more, f"{pair}: missed {missed}, more {more}"
    )


# --- impact --------------------------------------------------------------------------------------------------------


def impacts(figures: Figures) -> None:
    """Every derived link from an item to an article, and the traps that must stay silent."""
    with (DATA / "citations" / "item_law_links_derived.csv").open(encoding="utf-8-sig", newline="") as file:
        links = list(csv.DictReader(file))
    items = {row["law"] for row in links}
    folders = sorted(DATA / "laws" / "versions" / law for law in items)
    with tempfile.TemporaryDirectory() as home:
        db = Database(f"sqlite:///{home}/shixiang.db")
        migrate(db)
        paths = [
            *(f for f in folders if f.is_dir()),
            DATA / "items" / "liaoning_power_items.json",
            DATA / "items" / "zhejiang_inspection_items.csv",
        ]
        load(db, paths=paths, now=datetime.now(UTC))
        mains = _mains()
        for link in links:
            for old, new in re.findall(r"(\d{4}-\d\d-\d\d)→(\d{4}-\d\d-\d\d)", link["detail"]):
                found = impact(
                    db,
                    law=link["law"],
                    from_edition=date.fromisoformat(old),
                    to_edition=date.fromisoformat(new),
                    now=datetime.now(UTC),
                )
                _link(figures, link, found, mains)
                _numbers_stand(figures, link["law"], (old, new), found)
            if "废止" in link["finding"]:
                _repealed(figures, db, link, mains)
        db.close()


def _numbers_stand(figures: Figures, law: str, pair: tuple[str, str], found: Impact) -> None:
    """Every proposed number against the text: what stands there must be what the comparison of both texts says, or, where
    the quoted words led elsewhere, hold most of them.
    """
    old, new = ({article.key: article for article in _articles(law, day)} for day in pair)
    partner = {m.old.key: m.new for m in match_articles([*old.values()], [*new.values()]) if m.old is not None}
    for row in (*found.rows, *found.editorial):
        if row.new_article is None:
            continue
        here = new.get((row.new_article, row.new_sub or 0))
        expected = partner.get((row.old_article or 0, row.old_sub or 0))
        right = here is not None and (here == expected or row.confidence < 1.0)
        figures.add(
            "impact: proposed numbers stand in the new text", 1.0, right, f"{law} {row.basis}→{row.new_article}"
        )


def _repealed(figures: Figures, db: Database, link: dict[str, str], mains: dict[str, str]) -> None:
    """A cited law that is repealed, though no text of it is held."""
    found = impact(db, law=link["law"], from_edition=date(2000, 1, 1), to_edition=None, now=datetime.now(UTC))
    items = {name for row in found.rows for name in (row.item, row.item_name, mains.get(row.item_name))}
    line = f"{link['item_name'][:20]} {link['law']} {link['detail']}"
    figures.add("impact: items that cite a repealed law", 1.0, link["item_code"] in items, line)


def repeal_sentences(figures: Figures) -> None:
    """A catalogue of one item for each repealed title: each is called repealed, an older namesake of a law in force is not."""
    with (DATA / "laws" / "repeals.csv").open(encoding="utf-8-sig", newline="") as file:
        listed = list(csv.DictReader(file))
    with tempfile.TemporaryDirectory() as home:
        db = Database(f"sqlite:///{home}/shixiang.db")
        migrate(db)
        titles = {canonical_title(title) for row in listed for title in row["repealed"].split("；")}
        rows = [["name", "type", "code", "department", "bases"]]
        rows += [[f"事项{n}", "01", "", "市示例局", f"《{title}》第三条"] for n, title in enumerate(sorted(titles))]
        with (Path(home) / "items.csv").open("w", encoding="utf-8", newline="") as items:
            csv.writer(items).writerows(rows)
        load(db, paths=[Path(home) / "items.csv", *sorted((DATA / "laws").glob("*.jsonl"))], now=datetime.now(UTC))
        with db.reader() as connection:
            held = {row.canonical for row in laws.texts(connection)}
        void = {
            canonical_title(p.basis or "").split("第三条")[0]
            for p in check(db, now=datetime.now(UTC))
            if p.problem == "repealed"
        }
        db.close()
    named = Counter(canonical_title(title) for row in listed for title in row["repealed"].split("；"))
    for row in listed:
        law = canonical_title(row["new_law"])
        for title in map(canonical_title, row["repealed"].split("；")):
            line = f"{row['new_law']}: {title}"
            if title == law and named[title] == 1:
                figures.add("repeals: namesakes that stay silent", 1.0, title not in void, line)
            elif title != law and law in held:
                figures.add("repeals: titles called repealed", 0.99, title in void, line)


def _mains() -> dict[str, str]:
    """The item above each sub-item of the inspection list, by the name of the sub-item, without blanks."""
    with (DATA / "items" / "zhejiang_inspection_items.csv").open(encoding="utf-8-sig", newline="") as source:
        return {row["抽查子项"]: row["抽查事项名称"] for row in csv.DictReader(source) if row["抽查子项"]}


def _link(figures: Figures, link: dict[str, str], found: Impact, mains: dict[str, str]) -> None:
    def mine(name: str) -> list[int | None]:
        wanted = canonical_title(link["law"])
        return [
            row.old_article
            for row in getattr(found, name)
            if link["item_code"] in (row.item, row.item_name, mains.get(row.item_name))
            and canonical_title(row.basis[1:].split("》")[0]) == wanted
        ]

    line = f"{link['item_name'][:20]} {link['law']} {link['finding']} {link['detail']}"
    if link["eye_check"] or "不变" in link["finding"]:
        figures.add("impact: traps that stay silent", 1.0, not mine("rows"), line)
    elif "未引到条" in link["finding"]:
        # The power list names its law inside a quoted article: the row's basis is the article that is quoted there.
        named = bool(mine("whole_law")) or any(row.item == link["item_code"] for row in found.whole_law)
        figures.add("impact: items that cite the whole law", 1.0, named and not mine("rows"), line)
    else:
        article = re.findall(r"第([^第]+?)条→", link["detail"])
        figures.add("impact: links found", 1.0, chinese_to_int(article[0]) in mine("rows"), line)


# --- together ------------------------------------------------------------------------------------------------------


def main() -> int:
    """Measure, print, compare; 0 where every figure is reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="keep the result in docs/")
    options = parser.parse_args()
    if not DATA.is_dir():
        print(f"real data not found at {DATA}: set SHIXIANG_TEST_DATA")
        return 2
    figures = Figures()
    citations(figures)
    whole_texts(figures)
    comparison(figures)
    impacts(figures)
    repeal_sentences(figures)
    last_file = DOCS / "accuracy.json"
    last = json.loads(last_file.read_text(encoding="utf-8")) if last_file.exists() else {}
    for figure in figures.values():
        mark = "" if figure.share >= figure.wanted else "   MISSED"
        print(f"{figure.name}: {figure.right}/{figure.of} = {figure.share:.2%} (wanted {figure.wanted:.0%}){mark}")
        for row in figure.wrong:
            print(f"    {row}" + (f" [{why}]" if (why := _judged(row)) else ""))
        if figure.apart:
            print(f"    listed apart, {len(figure.apart)}:")
        for row in figure.apart:
            print(f"      {row}")
    print("Compared with the last recorded run:")
    for line in against(last, figures) or ["nothing gained, nothing lost"]:
        print(f"    {line}")
    if options.write:
        kept = {
            f.name: {"right": f.right, "of": f.of, "wanted": f.wanted, "wrong": sorted(f.wrong), "apart": f.apart}
            for f in figures.values()
        }
        last_file.write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        (DOCS / "accuracy.md").write_text(_page(figures), encoding="utf-8")
    return 0 if all(figure.share >= figure.wanted for figure in figures.values()) else 1


def against(last: Mapping[str, Any], figures: Mapping[str, Figure]) -> list[str]:
    """Every row lost (right before, wrong now) and gained since the last recorded run, and figures that count other rows."""
    found: list[str] = []
    for figure in figures.values():
        before = last.get(figure.name)
        if before is None:
            found.append(f"new: {figure.name}, {figure.right}/{figure.of}")
            continue
        was, now = Counter(before["wrong"]), Counter(figure.wrong)
        found += [f"lost: {figure.name}: {row}" for row in sorted((now - was).elements())]
        found += [f"gained: {figure.name}: {row}" for row in sorted((was - now).elements())]
        if before["of"] != figure.of:
            found.append(f"counts other rows: {figure.name}, {before['of']} before, {figure.of} now")
    return found + [f"no longer measured: {name}" for name in last if name not in figures]


def _page(figures: Figures) -> str:
    lines = [
        "# Accuracy",
        "",
        "Made by `make accuracy` on the published laws and items of the test data; rows that are wrong stand in accuracy.json.",
        "",
        "| what | right | of | share | wanted |",
        "|---|---|---|---|---|",
    ]
    lines += [f"| {f.name} | {f.right} | {f.of} | {f.share:.2%} | {f.wanted:.0%} |" for f in figures.values()]
    lines += ["", "## Rows that are not as the file says", ""]
    lines += [f"- {row}{f': {why}' if (why := _judged(row)) else ''}" for f in figures.values() for row in f.wrong]
    apart = sum(len(f.apart) for f in figures.values())
    lines += [
        f"- {apart} pairs that the file calls amended differ in form alone (brackets, marks, blanks): accuracy.json."
    ]
    return "\n".join(lines) + "\n"


def _judged(row: str) -> str:
    return next((why for start, why in JUDGED.items() if row.startswith(start)), "")


if __name__ == "__main__":
    sys.exit(main())
