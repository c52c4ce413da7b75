"""Law files: Markdown or plain text of one version each, and JSONL corpora with one record a law (or a part of one)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from models.domain.errors import BadInput, Refusal
from models.domain.law_text import Article, LawText, read_law
from models.domain.os_words import reason_of
from models.intake.files import read_text

MAX_MEGABYTES: Final = 64
_SUFFIXES: Final = frozenset({".md", ".jsonl"})


def read_law_files(paths: Iterable[Path]) -> Iterator[tuple[Path, LawText | Refusal]]:
    """Each law in `paths`, directories walked for *.md and *.jsonl in the order of their names.

    A file or record that cannot be used comes as a Refusal, the others are read all the same; nothing is raised.
    """
    for path in paths:
        for file in _files(path):
            try:
                yield from ((file, law) for law in _read_file(file))
            except Refusal as refusal:
                yield file, refusal
            except OSError as error:
                yield file, _unreadable(file, reason_of(error))


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    yield from sorted(p for p in path.rglob("*") if p.suffix.lower() in _SUFFIXES and p.is_file())


def _unreadable(file: Path, reason: str) -> BadInput:
    sentence = f"{file.name} 不存在或者无法读取：{reason}（支持 UTF-8、GB18030 编码的 CSV、JSON、Markdown）。"
    return BadInput("file_unreadable", sentence, file=str(file))


def _read_file(file: Path) -> Iterator[LawText | Refusal]:
    if file.stat().st_size > MAX_MEGABYTES * 1024 * 1024:
        raise BadInput("file_too_large", f"{file.name} 超过 {MAX_MEGABYTES} MB。", file=str(file))
    text = read_text(file)
    if file.suffix.lower() == ".jsonl":
        yield from _read_corpus(file, text)
    else:
        yield read_law(text, file.name)


def _read_corpus(file: Path, text: str) -> Iterator[LawText | Refusal]:
    """One law a line; the parts of a code (records with one `group`) are put together into one law at the end."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = _record(file, number, line)
            if record.get("group"):
                groups.setdefault(str(record["group"]), []).append(record)
            else:
                yield _law_of(record, str(record["title"]))
        except Refusal as refusal:
            yield refusal
    for title, parts in groups.items():
        try:
            yield _joined(title, parts)
        except Refusal as refusal:
            yield refusal


def _record(file: Path, number: int, line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict) or not all(isinstance(record.get(k), str) and record[k] for k in ("title", "text")):
        reason = "应为含有 title、text 的 JSON 记录"
        raise BadInput("row_refused", f"第 {number} 行“title”：{reason}，该行未导入，其他行不受影响。", file=str(file))
    return record


def _law_of(record: dict[str, Any], title: str) -> LawText:
    """The record's law under the record's title; `version_date` names the edition where it is given."""
    law = _dated(str(record["text"]), title, str(record.get("version_date") or ""), _day_in_force([record]))
    return law.model_copy(update={"title": title.strip()})


def _dated(text: str, title: str, day: str, in_force: str) -> LawText:
    """A law of this day, else of the day in its header, else of the day on which it says it takes effect."""
    name = title.replace("/", "／")
    try:
        return read_law(text, f"{name}({day}).md")
    except BadInput as refusal:
        if refusal.code != "law_without_date" or not in_force:
            raise
    law = read_law(text, f"{name}({in_force}).md")
    return law.model_copy(update={"certainty": "uncertain", "dated_by_force": True})


def _day_in_force(records: Iterable[dict[str, Any]]) -> str:
    """What the corpus has read in the text of a record, or of one of the parts of a code."""
    return next((str(day) for record in records if (day := record.get("effective_date_in_text"))), "")


def _joined(title: str, parts: list[dict[str, Any]]) -> LawText:
    """A code whose books are separate records: articles in the order of their numbers, the first text of a number kept."""
    day = next((str(part["version_date"]) for part in parts if part.get("version_date")), "")
    header = next((found for part in parts if (found := _header_of(part))), "")
    articles: dict[tuple[int, int], Article] = {}
    last: LawText | None = None
    for part in parts:
        # Without any date the first part is refused with its named sentence, which then stands for the whole code.
        text = f"# {title}\n\n{header}\n\n<!-- INFO END -->\n\n{_without_header(part)}"
        law = _dated(text, title, day, _day_in_force(parts))
        for article in law.articles:
            articles.setdefault(article.key, article)
        last = law if last is None or law.articles[-1].no >= last.articles[-1].no else last
    assert last is not None  # a group has at least one record
    return last.model_copy(update={"articles": tuple(articles[key] for key in sorted(articles))})


def _header_of(record: dict[str, Any]) -> str:
    head, mark, _ = str(record["text"]).partition("<!-- INFO END -->")
    return "\n\n".join(line for line in head.split("\n") if not line.startswith("#")).strip() if mark else ""


def _without_header(record: dict[str, Any]) -> str:
    text = str(record["text"])
    return text.partition("<!-- INFO END -->")[2] or text
