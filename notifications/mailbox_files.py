"""The local mailbox as files: one mail a file, so that the portal can show what the office would send."""

from __future__ import annotations

import email
import itertools
import os
import re
import time
from dataclasses import dataclass, field
from datetime import datetime
from email import policy
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from pathlib import Path

_NAME = re.compile(r"^\d{13,}-\d+-\d+\.eml$")
_LINK = re.compile(r"^https?://\S+$", re.MULTILINE)
_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Mail:
    """One mail; `link` is the address that stands on a line of its own."""

    id: str
    to: str
    sender: str
    reply_to: str
    subject: str
    date: datetime | None
    kind: str
    change: str
    notice: str
    body: str
    link: str | None
    headers: dict[str, str] = field(default_factory=dict)


def store_mail(folder: Path, content: bytes) -> Path:
    """Write one mail whole or not at all; names sort by the moment of arrival."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{time.time_ns() // 1000}-{os.getpid()}-{next(_NUMBERS)}.eml"
    fresh = path.with_suffix(".new")
    fresh.write_bytes(content)
    fresh.rename(path)
    return path


def read_mails(folder: Path, limit: int = 500) -> list[Mail]:
    """The mails of the box, newest first."""
    if not folder.is_dir():
        return []
    names = sorted((path.name for path in folder.glob("*.eml") if _NAME.match(path.name)), reverse=True)
    return [mail for name in names[:limit] if (mail := read_mail(folder, name)) is not None]


def read_mail(folder: Path, name: str) -> Mail | None:
    """One mail by the name of its file, or None."""
    if not _NAME.match(name):
        return None
    try:
        content = (folder / name).read_bytes()
    except OSError:
        return None
    message = email.message_from_bytes(content, policy=policy.default)
    part = message.get_body(preferencelist=("plain",))
    body = "" if part is None else str(part.get_content()).replace("\r\n", "\n")
    found = _LINK.search(body)
    return Mail(
        id=name,
        to=str(message["To"] or ""),
        sender=str(message["From"] or ""),
        reply_to=str(message["Reply-To"] or ""),
        subject=str(message["Subject"] or ""),
        date=_date(message),
        kind=str(message["X-Shixiang-Kind"] or ""),
        change=str(message["X-Shixiang-Change"] or ""),
        notice=str(message["X-Shixiang-Notice"] or ""),
        body=body,
        link=None if found is None else found.group(0),
        headers={key: str(value) for key, value in message.items()},
    )


def _date(message: EmailMessage) -> datetime | None:
    try:
        return parsedate_to_datetime(str(message["Date"]))
    except (TypeError, ValueError):
        return None
