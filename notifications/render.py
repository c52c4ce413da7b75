"""Notices as text: a template per kind, filled from a frozen payload. The body exists only while it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from models.domain.outside import one_line

TEMPLATES = Path(__file__).with_name("templates") / "zh"
TITLE_LENGTH = 24
#: A longer one makes a line of a header that mail servers refuse (998 bytes, encoded).
SUBJECT_LENGTH = 160


@dataclass(frozen=True)
class Message:
    """What is sent: one line of subject, a plain text body."""

    subject: str
    body: str


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=False,  # plain text mail: nothing here becomes HTML
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )


def kinds() -> list[str]:
    """Every kind of notice that has a text."""
    return sorted(path.stem for path in TEMPLATES.glob("*.txt") if not path.stem.startswith("_"))


def render(kind: str, payload: Mapping[str, Any], link: str | None, repeat: int = 0) -> Message:
    """The subject and the body of a notice. Raises jinja2's errors where a payload lacks a name its text uses."""
    values = {name: _tame(value) for name, value in payload.items()}
    change = values.get("change")
    if isinstance(change, dict) and len(str(change.get("title", ""))) > TITLE_LENGTH:
        change["title"] = str(change["title"])[:TITLE_LENGTH] + "…"
    # A code stands where other mails have their link.
    values.setdefault("code", link or "")
    text = _environment().get_template(f"{kind}.txt").render(**values, link=link or "", repeat=repeat)
    subject, _, body = text.partition("\n")
    prefix = "【示例】" if values.get("sample") else ""
    subject = prefix + subject.strip()
    if len(subject) > SUBJECT_LENGTH:
        subject = subject[: SUBJECT_LENGTH - 1] + "…"
    return Message(subject, body.strip("\n") + "\n")


def _tame(value: Any) -> Any:
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, Mapping):
        return {key: _tame(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_tame(inner) for inner in value]
    return value
