"""Files: their text whatever the encoding, and what they hold, told from the content and never from the name."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.domain.content import FIELDS
from models.domain.errors import BadInput
from models.domain.os_words import reason_of

MAX_MEGABYTES = 200
_CELL_LIMIT = 10_000_000
_ARTICLE = re.compile(r"^\s*(?:#+\s*)?\**第[〇零一二三四五六七八九十百千\d]+条", re.MULTILINE)

# The columns or keys that tell a shape; the first shape whose columns are all there is taken.
ITEM_SHAPES: tuple[tuple[str, frozenset[str]], ...] = (
    ("guangdong", frozenset({"TASK_CODE", "TASK_NAME", "TASK_TYPE"})),
    ("sichuan", frozenset({"item_name", "itemCode", "taskType"})),
    ("shanghai", frozenset({"item_name", "item_code"})),
    ("liaoning", frozenset({"事项名称", "职权编码", "事项类型"})),
    ("guangxi", frozenset({"task_name", "task_code", "task_type"})),
    ("jiading", frozenset({"itemName", "itemNo", "clDealAccording"})),
    ("zhejiang", frozenset({"抽查事项名称", "抽查依据"})),
)
_OWN_COLUMNS = frozenset({field.name for field in FIELDS} | {field.label_zh for field in FIELDS} | {"设定和实施依据"})
_OWN_NAMES = ("name", "事项名称")


@dataclass(frozen=True)
class Source:
    """A file as recognised: kind items, people, departments or laws; shape names its reader."""

    path: Path
    kind: str
    shape: str
    text: str


@dataclass(frozen=True)
class Table:
    """Records of a CSV or JSON file with their row numbers; every cell is stripped text ("" where empty)."""

    columns: tuple[str, ...]
    records: tuple[tuple[int, dict[str, str]], ...]
    bad: tuple[tuple[int, str], ...] = ()
    odd: tuple[tuple[int, str], ...] = ()


def unreadable(path: Path, reason: str) -> BadInput:
    """The refusal of a file: names it and says why."""
    message = f"{path} 不存在或者无法读取：{reason}（支持 UTF-8、GB18030 编码的 CSV、JSON、Markdown）。"
    return BadInput("file_unreadable", message, file=str(path), reason=reason)


def read_text(path: Path) -> str:
    """The text of a file in UTF-8 (with or without BOM) or GB18030, line ends as "\\n".

    Raises BadInput file_unreadable or file_too_large.
    """
    data = _bytes(path)
    if data[:2] == b"PK" or data[:4] == b"\xd0\xcf\x11\xe0":
        raise unreadable(path, "这是 Excel、Word 或者压缩文件，请另存为 CSV 或者文本")
    if b"\x00" in data:
        raise unreadable(path, "不是文本文件")
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if not text.strip():
            raise unreadable(path, "文件是空的")
        return text.replace("\r\n", "\n").replace("\r", "\n")
    raise unreadable(path, "编码既不是 UTF-8 也不是 GB18030")


def recognise(path: Path) -> str:
    """The kind of a file: items, people, departments or laws. Raises BadInput file_unreadable."""
    return examine(path).kind


def examine(path: Path) -> Source:
    """Read a file and tell what it holds. Raises BadInput file_unreadable with what was found instead."""
    text = read_text(path)
    start = text.lstrip()[:1]
    if start in "[{":
        kind, shape = _json_shape(path, text)
    elif start == "#":
        kind, shape = "laws", "markdown"
    else:
        kind, shape = _csv_shape(path, text)
    return Source(path=path, kind=kind, shape=shape, text=text)


def parse_csv(path: Path, text: str) -> Table:
    """The records of a CSV with a heading; blank lines are left out. Raises BadInput file_unreadable."""
    lines = _csv_lines(path, text)
    columns = tuple(cell.strip() for cell in lines[0])
    while columns and not columns[-1]:
        columns = columns[:-1]
    doubled = sorted({name for name in columns if columns.count(name) > 1})
    if doubled:
        raise unreadable(path, f"表头中的列“{'、'.join(doubled)}”出现了两次")
    records: list[tuple[int, dict[str, str]]] = []
    odd: list[tuple[int, str]] = []
    for number, cells in enumerate(lines[1:], start=2):
        stripped = [cell.strip() for cell in cells]
        if not any(stripped):
            continue
        if len(stripped) < len(columns) or any(stripped[len(columns) :]):
            odd.append((number, f"有 {len(stripped)} 列，表头有 {len(columns)} 列"))
        padded = stripped + [""] * (len(columns) - len(stripped))
        records.append((number, dict(zip(columns, padded, strict=False))))
    return Table(columns=columns, records=tuple(records), odd=tuple(odd))


def parse_json(path: Path, text: str) -> list[Any]:
    """The entries of a JSON list, of an object's only list, or of JSON lines. Raises BadInput file_unreadable."""
    try:
        value = json.loads(text)
    except ValueError as error:
        if text.lstrip().startswith("{"):
            return _json_lines(path, text)
        raise unreadable(path, f"不是完整的 JSON（{_where(error)}）") from None
    except RecursionError:
        raise unreadable(path, "JSON 嵌套过深") from None
    if isinstance(value, dict):
        lists = [entry for entry in value.values() if isinstance(entry, list)]
        wrapped = len(lists) == 1 and bool(lists[0]) and all(isinstance(entry, dict) for entry in lists[0])
        # An item may itself hold lists; only an envelope has no text beside them that names an item.
        return lists[0] if wrapped and not _shape_of(set(value)) else [value]
    return value if isinstance(value, list) else [value]


def json_table(path: Path, text: str) -> Table:
    """The records of a JSON file as text cells; lists and objects stay JSON text. Raises BadInput file_unreadable."""
    records: list[tuple[int, dict[str, str]]] = []
    bad: list[tuple[int, str]] = []
    columns: dict[str, None] = {}
    for number, entry in enumerate(parse_json(path, text), start=1):
        if not isinstance(entry, dict):
            bad.append((number, "这一条不是对象"))
            continue
        record = {key.strip(): _cell(value) for key, value in entry.items()}
        columns.update(dict.fromkeys(record))
        records.append((number, record))
    return Table(columns=tuple(columns), records=tuple(records), bad=tuple(bad))


def _bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise unreadable(path, "这是一个文件夹")
        if path.stat().st_size > MAX_MEGABYTES * 1024 * 1024:
            error = BadInput("file_too_large", f"{path} 超过 {MAX_MEGABYTES} MB。", file=str(path), max=MAX_MEGABYTES)
            error.status = 413
            raise error
        return path.read_bytes()
    except FileNotFoundError:
        raise unreadable(path, "没有这个文件") from None
    except PermissionError:
        raise unreadable(path, "没有读取权限") from None
    except OSError as error:
        raise unreadable(path, reason_of(error)) from None


def _csv_lines(path: Path, text: str) -> list[list[str]]:
    csv.field_size_limit(_CELL_LIMIT)
    try:
        # Strict reading alone notices a quotation mark that is never closed and would swallow all rows after it.
        return list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            raise unreadable(path, "有一个引号没有配对，后面的行无法分开") from None
    try:
        return list(csv.reader(io.StringIO(text, newline="")))
    except csv.Error as error:
        raise unreadable(path, f"不是完整的 CSV（{error}）") from None


def _csv_shape(path: Path, text: str) -> tuple[str, str]:
    heading = [cell.strip() for cell in next(csv.reader([text.lstrip("\n").split("\n", 1)[0]]), [])]
    columns = set(heading)
    shape = _shape_of(columns)
    if shape is not None:
        return "items", shape
    if {"id", "name"} <= columns and ("roles" in columns or "email" in columns):
        return "people", "own"
    if {"id", "full"} <= columns:
        return "departments", "own"
    if any(name in columns for name in _OWN_NAMES) and len(columns & _OWN_COLUMNS) >= 2:
        return "items", "own"
    # Asked last: a cell of a CSV may hold quoted articles on lines of their own.
    if _ARTICLE.search(text):
        return "laws", "markdown"
    raise unreadable(path, f"认不出内容，表头是“{_shorten(heading)}”")


def _json_shape(path: Path, text: str) -> tuple[str, str]:
    entries = [entry for entry in parse_json(path, text)[:20] if isinstance(entry, dict)]
    if not entries:
        raise unreadable(path, "JSON 中没有任何记录")
    keys: set[str] = set().union(*entries)
    shape = _shape_of(keys)
    if shape is not None:
        return "items", shape
    if {"title", "text"} <= keys:
        return "laws", "jsonl"
    if "name" in keys and len(keys & _OWN_COLUMNS) >= 2 and "email" not in keys:
        return "items", "own"
    raise unreadable(path, f"认不出内容，记录的键是“{_shorten(sorted(keys))}”")


def _shape_of(columns: set[str]) -> str | None:
    return next((shape for shape, needed in ITEM_SHAPES if needed <= columns), None)


def _json_lines(path: Path, text: str) -> list[Any]:
    entries = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            entries.append(json.loads(line))
        except ValueError:
            raise unreadable(path, f"第 {number} 行不是完整的 JSON") from None
    return entries


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    return json.dumps(value, ensure_ascii=False)


def _where(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"第 {error.lineno} 行第 {error.colno} 列"
    return "内容有误"


def _shorten(names: Sequence[str]) -> str:
    text = ", ".join(names)
    return text if len(text) <= 80 else text[:80] + "…"
