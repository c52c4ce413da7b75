"""Texts from outside: what may be stored, and how they are shown where a text can be more than a text. Pure.

Pages are escaped by their templates; everything else that shows a name, a title or a remark goes through here.
"""

from __future__ import annotations

import math
import re
from typing import Any

from models.domain.errors import BadInput

#: Deeper than any submission, change or item is.
MOST_NESTED = 32
#: Numbers beyond this fit no column and no other system's JSON.
LARGEST = 2**53
#: Ends a line or a header, moves a terminal's cursor, or turns the direction of what follows.
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
#: What no XML document holds: halves of characters and the two that are none.
_NO_XML = re.compile(r"[\ud800-\udfff\ufffe\uffff]")
_MARKS = re.compile(r"([\\`*_\[\]()!|#~$])")
#: What readers of markdown and of logs make a link of by themselves; a word joiner inside shows nothing and breaks it.
_LINK = re.compile(r"(?i)(?=://)|(?<=www)(?=\.)|(?=@)")


def check_storable(value: Any) -> None:
    """Refuse what no database and no other system takes: NUL, half a character, endless numbers, endless nesting.

    Raises `BadInput field_invalid`.
    """
    waiting = [(value, 0)]
    while waiting:
        one, depth = waiting.pop()
        if isinstance(one, str):
            if "\x00" in one or _SURROGATE.search(one):
                raise BadInput("field_invalid", "提交的内容含有不能保存的字符，未作任何改动。请重新输入该处文字。")
        elif isinstance(one, bool) or one is None:
            continue
        elif isinstance(one, (int, float)):
            if not math.isfinite(one) or abs(one) > LARGEST:
                raise BadInput("field_invalid", "提交的内容含有过大的数字，未作任何改动。")
        elif depth >= MOST_NESTED:
            raise BadInput("field_invalid", "提交的内容层次过多，未作任何改动。")
        elif isinstance(one, dict):
            waiting += [(part, depth + 1) for pair in one.items() for part in pair]
        elif isinstance(one, (list, tuple)):
            waiting += [(part, depth + 1) for part in one]


def one_line(text: object) -> str:
    """A text that begins no new line, header or log entry, and turns no direction."""
    return _UNSEEN.sub(" ", str(text)).strip()


def unlinked(text: object) -> str:
    """A text on one line of which a page that looks for addresses makes no link."""
    return _LINK.sub("\u2060", one_line(text))


def printable(text: object) -> str:
    """A text on one line of a document: what XML cannot hold, or turns the direction, is a blank; the rest stays."""
    return _NO_XML.sub("\ufffd", _UNSEEN.sub(" ", str(text)))


def md(text: object) -> str:
    """A text inside markdown: no image, no link, no HTML, no table cell of its own."""
    value = " ".join(one_line(text).split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _LINK.sub("\u2060", _MARKS.sub(r"\\\1", value))
