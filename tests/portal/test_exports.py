"""What leaves the system as a file: the side-by-side table as Word document. A text in it is a text, and so is its name."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from docx import Document
from sqlalchemy import text

from models.domain.outside import printable
from tests.factories import LAW, LAW_CHANGE
from tests.hostile import HOSTILE
from tests.portal.conftest import Office

#: Beside the list: what XML cannot hold or ends early, halves of a text direction, and what is very long.
WORSE = [
    "\x01\x0b\x1f",
    "\ufffe\uffff",
    "]]>&amp;&#x0;<!ENTITY x>",
    "\u202etxt.exe\u2066",
    "名" * 20_000,
    "=1" * 10_000,
]
EVERY = [*HOSTILE, *WORSE]
#: All that makes a Word document do something when it is opened or pressed.
ACTIVE = re.compile(
    r"<w:(hyperlink|instrText|altChunk|object|pict|control|subDoc|dir|bdo)\b|TargetMode=|macro", re.IGNORECASE
)

ROOT = Path(__file__).resolve().parents[2]
OURS = ("portal", "models", "deployments", "flows", "tasks", "notifications")


@pytest.fixture
def change(office: Office) -> Office:
    """A law change with its reach, whose coordinator is signed in."""
    office.story.start("law_change", {**LAW_CHANGE, "title": "对照"})
    office.sign_in()
    return office


def poison(office: Office, hostile: str) -> None:
    """The law, its articles, the items and the change carry this text."""
    with office.story.db.writer() as connection:
        for statement in (
            "update law set title = :t || canonical",
            "update article set text = :t || text",
            "update adjustment set name = :t",
            "update change set title = :t",
        ):
            connection.execute(text(statement), {"t": hostile})


def opened(made: bytes) -> tuple[Any, dict[str, str]]:
    """The document as a reader opens it, and its parts; each of them is XML, none does anything."""
    with zipfile.ZipFile(io.BytesIO(made)) as package:
        assert package.testzip() is None
        parts = {name: package.read(name).decode() for name in package.namelist() if name.endswith((".xml", ".rels"))}
    for content in parts.values():
        ElementTree.fromstring(content.encode())
    document = parts["word/document.xml"]
    assert not ACTIVE.search(document) and "TargetMode" not in parts["word/_rels/document.xml.rels"]
    fields = {found for part in parts.values() for found in re.findall(r'w:instr="([^"]*)"', part)}
    assert fields == {"PAGE", "NUMPAGES"}
    return Document(io.BytesIO(made)), parts


def check_table(made: bytes, hostile: str) -> None:
    document, _ = opened(made)
    shown = printable(hostile)
    assert document.paragraphs[0].text == f"《{shown}{LAW}》修改前后对照表"
    cells = [cell.text for row in document.tables[0].rows for cell in row.cells]
    lines = "\n".join(printable(line) for line in hostile.split("\n"))
    assert any(lines in cell for cell in cells), cells
    assert not any(mark in cell for cell in cells for mark in "\x00\x0b\x1b\u202e\u2066")


def check_name(said: str) -> None:
    found = re.fullmatch(r"attachment; filename=\"table\.docx\"; filename\*=UTF-8''([A-Za-z0-9%._~-]+)", said)
    assert found, said
    name = unquote(found.group(1), errors="strict")
    assert name.endswith("修改前后对照表.docx") and len(name) < 100 and not name.startswith((".", "-"))
    assert not re.search(r'[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069/\\:*?"<>|]', name)


def test_the_downloaded_table_opens_its_texts_are_texts_and_its_name_is_one_header(change: Office) -> None:
    for hostile in EVERY:
        poison(change, hostile)
        answer = change.client.get(f"/changes/{change.story.change_id}/table?whole=1")
        assert answer.status_code == 200
        check_table(answer.content, hostile)
        [said] = answer.headers.get_list("content-disposition")
        check_name(said)
        assert "bcc" not in answer.headers and answer.headers["x-content-type-options"] == "nosniff"


def test_there_is_no_other_way_out_as_a_file(office: Office) -> None:
    # Who adds a CSV, a workbook or another download sends tests/hostile.py through it, here.
    said = "\n".join(path.read_text(encoding="utf-8") for part in OURS for path in (ROOT / part).rglob("*.py"))
    assert said.lower().count("content-disposition") == 1
    assert not re.search(r"openpyxl|xlsxwriter|csv\.writer|DictWriter|FileResponse|StreamingResponse|text/csv", said)
