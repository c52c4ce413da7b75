"""Mails, refusals and pages say what the wording tables say; what is said otherwise is named there with its reason."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment

from models.domain.content import FIELD_BY_NAME
from models.domain.reach import CHANGE_WORDS
from notifications.render import TEMPLATES, kinds, render
from portal.texts import kept

ROOT = Path(__file__).resolve().parents[2]
WORDING: dict[str, Any] = tomllib.loads((ROOT / "tests" / "wording.toml").read_text(encoding="utf-8"))
KEPT: dict[str, str] = WORDING["kept"]
LATER: dict[str, list[str]] = WORDING["later"]
CODE = ("models", "portal", "notifications", "deployments", "flows", "tasks")
LINK = "https://example.org/d/token"


# --- mails ---------------------------------------------------------------------------------------------------------


def payload(**more: Any) -> dict[str, Any]:
    """A notice whose every value is its own name, so that a wrong or missing one is seen."""
    person = {name: {"name": f"‹{name}.name›"} for name in (
        "person", "by", "from", "to", "assignee", "superior", "recipient", "role", "system")}  # fmt: skip
    named = ("due", "due_day", "at", "reason", "comment", "opinions", "delta", "departments", "uncertain", "passed",
             "next_day", "next_at", "reminded_at", "told_at", "verdict", "effective_at", "effective_day", "late",
             "legal_since", "published", "n", "due_old", "year", "subject", "error", "tries", "code")  # fmt: skip
    return {
        **person,
        **{name: f"‹{name}›" for name in named},
        "change": {"title": "‹title›", "number": "‹number›", "reason": "‹change.reason›"},
        "sheet": {"department": "‹department›", "round": 2},
        "stage": {"name": "‹stage.name›", "verb": "‹verb›"},
        "procedure": {"basis": "‹basis›"},
        "publication": {"number": "‹publication›"},
        "document": {"number": "‹document›"},
        "contact": {"name": "‹contact›", "phone": "", "email": "‹email›"},
        "count": "‹count›",
        "blocked": "‹count›",
        "silence": True,
        "sample": False,
        "acting_for": None,
        "can_reassign": True,
        "items": [],
        "more": 0,
        "lines": [
            {"i": i, "stage": {"name": "‹s›"}, "sheet": {"department": "‹d›"}, "count": i, "due": "‹due›"}
            for i in (1, 2)
        ],
        "more_lines": 3,
        "code": LINK,
        **more,
    }


def wanted(text: str, values: dict[str, Any]) -> str:
    """A text of the table, filled."""
    return Environment().from_string(text.replace("⏎", "\n")).render(**values, link=LINK)


def mail_wanted(kind: str, values: dict[str, Any]) -> tuple[str, str]:
    """Subject and body as the table has them."""
    table, frame = WORDING["notices"][kind], WORDING["frame"]
    head, _, details = wanted(table["body"], values).partition("\n\n")
    first = f"{values['person']['name']}同志，{head}"
    extra = [frame["acting_for"]] if values["acting_for"] else []
    body = "\n".join([*(wanted(line, values) for line in extra), details])
    return wanted(table["subject"], values), f"{first}\n\n{body}\n\n{wanted(frame['footer'], values)}\n"


@pytest.mark.parametrize("kind", kinds())
def test_a_mail_says_what_the_wording_table_says(kind: str) -> None:
    assert kind in WORDING["notices"], "a mail needs its row in the wording table"
    for more in ({}, {"silence": False, "passed": 0, "late": 0}, {"acting_for": {"name": "‹other›"}}):
        values = payload(**more)
        message = render(kind, values, LINK)
        agrees = (message.subject, message.body) == mail_wanted(kind, values)
        if f"notices.{kind}" in KEPT:
            if kind != "supervise":
                assert not agrees, "agrees again: strike it from [kept]"
        else:
            assert (message.subject, message.body) == mail_wanted(kind, values)


def test_a_rung_that_fired_is_told_of_as_the_wording_table_says() -> None:
    values = payload()
    message = render("supervise", values, LINK)
    assert (message.subject, message.body) == mail_wanted("supervise", values)


def test_a_mail_lists_its_items_below_the_footer() -> None:
    items = [{"n": n, "name": f"‹i{n}›", "code": "‹c›", "outcomes": "‹o›"} for n in (1, 2)]
    body = render("draft_opened", payload(items=items, more=870), LINK).body
    rows = "\n".join(wanted(WORDING["frame"]["item"], {"n": one["n"], "item": one}) for one in items)
    assert body.endswith(f"\n\n附：\n{rows}\n{wanted(WORDING['frame']['more'], {'more': 870})}\n{LINK}\n")


def test_a_repeated_mail_and_one_of_the_sample_office_say_so() -> None:
    message = render("draft_opened", payload(sample=True), LINK, repeat=1)
    assert message.subject.startswith(WORDING["frame"]["sample"])
    assert message.body.split("\n\n")[1].startswith(WORDING["frame"]["repeat"])


# --- refusals ------------------------------------------------------------------------------------------------------


def shape(text: str) -> str:
    """A sentence with its values left out."""
    return re.sub(r"\{\{.*?\}\}|%\(\w+\)s|□+", "□", text)


@cache
def said_in_code() -> str:
    """Every string of the code, values left out, each on a line of its own."""
    found = []
    for folder in CODE:
        for path in sorted((ROOT / folder).rglob("*.py")):
            found += [shape(text) for text in _strings(ast.parse(path.read_text(encoding="utf-8")))]
    return "\n".join(found)


def _strings(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "□" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def is_said(sentence: str) -> bool:
    """Whether the code says a sentence; a value of it may be part of a longer one, or be written out."""
    pattern = r"[^\n]*?".join(re.escape(part) for part in shape(sentence).split("□"))
    return re.search(pattern, said_in_code()) is not None


@pytest.mark.parametrize("code", WORDING["refusals"])
def test_a_refusal_says_what_the_wording_table_says(code: str) -> None:
    missing = [sentence for sentence in WORDING["refusals"][code] if not is_said(sentence)]
    if f"refusals.{code}" in KEPT:
        assert missing or code in LATER["refusals"], "agrees again: strike it from [kept]"
    elif code not in LATER["refusals"]:
        assert missing == []


# --- pages ---------------------------------------------------------------------------------------------------------


@cache
def page_texts() -> frozenset[str]:
    """Everything pages say in Chinese."""
    found: set[str] = set()
    for message in kept("zh"):
        if message.id:
            found |= {message.string} if isinstance(message.string, str) else set(message.string or ())
    return frozenset(shape(text) for text in found)


@pytest.mark.parametrize("group", WORDING["pages"])
def test_pages_say_what_the_wording_table_says(group: str) -> None:
    missing = [text for text in WORDING["pages"][group] if shape(text) not in page_texts()]
    left = [text for text in missing if text not in LATER["pages"]]
    if f"pages.{group}" in KEPT:
        assert left, "agrees again: strike it from [kept]"
    else:
        assert left == []


def test_articles_and_fields_are_explained_as_in_the_wording_table() -> None:
    assert {word: CHANGE_WORDS[word] for word in WORDING["articles"]} == WORDING["articles"]
    for name, text in WORDING["helps"].items():
        parts = [part for part in re.split(r"[。；，]", text) if part]
        assert all(part in FIELD_BY_NAME[name].help for part in parts), name


def test_nobody_is_greeted_or_blamed_and_words_taken_by_others_are_not_used() -> None:
    mails = [path.read_text(encoding="utf-8") for path in sorted(TEMPLATES.glob("*.txt"))]
    everything = "\n".join([*page_texts(), said_in_code(), *mails])
    assert [word for word in WORDING["never"]["words"] if word in everything] == []


@pytest.mark.parametrize(
    ("word", "allowed"),
    [
        (
            "取消",
            {
                "取消",
                "已取消",
                "拟取消本事项，生效后不再受理。",
                "部门提出对指定事项的调整：名称、依据、指南、取消、新增。",
            },
        ),
        ("暂停", {"暂停"}),
        ("恢复", set()),
        ("公布", {"旧文本（公布日期）", "新文本（公布日期，废止的不填）"}),
        ("补正", {"退回补正"}),
        ("施行", {"尚未施行", "，自□起施行"}),
    ],
)
def test_a_reserved_word_stands_on_pages_only_where_it_belongs(word: str, allowed: set[str]) -> None:
    assert {text for text in page_texts() if word in text} == allowed
