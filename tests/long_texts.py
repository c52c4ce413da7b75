"""Texts that make a careless reader raise, hang or grow: named, of any length. Written by us; no law says such things."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

from models.domain.numerals import int_to_chinese

_REPEATED: Final = {
    "marks of a list": "、",
    "unclosed title marks": "《",
    "unclosed brackets": "（",
    "unclosed titles in brackets": "《（",
    "unclosed quotations": "“",
    "unclosed tags": "【",
    "closing marks alone": "》",
    "empty titles": "《》",
    "titles alone": "《法》",
    "words without a blank": "为了规范政务服务事项办理维护公民法人其他组织合法权益",
    "blanks": " ",
    "line ends": "\n",
    "numerals": "一",
    "a title a line": "《公司法》\n",
    "titles broken by a line end": "《公司\n法》第一条",
    "short forms": "《公司法》第一条，同法第二条",
    "short forms that are introduced": "《公司法》（以下简称《公》）",
    "open quotations": "《公司法》第一条：甲。",
    "unclosed quotations of articles": "《公司法》第一条：“",
    "tags": "【法律】《公司法》第一条",
    "tags and titles never closed": "【《甲法》",
    "annexes": "《公司法》附件1第1项",
    "brackets with dates": "《公司法》（2012年1月1日修正）",
    "brackets with joint orders": "《公司法》（国务院令第412号，商务部、海关总署公告第50号）",
    "issuers that are none": "《公司法》局",
    "ranges of ranges": "《公司法》第一条至第二条至第三条",
    "ranges written out": "《公司法》第一条第一项至第五十项",
}
_CONTINUED: Final = {
    "articles in a list": ("《公司法》", "".join(f"第{int_to_chinese(n)}条、" for n in range(1, 2001))),
    "articles in figures": ("《公司法》", "".join(f"第{n}条、" for n in range(1, 2001))),
    "numbers of one place": ("《公司法》第", "一、"),
    "items in brackets": ("《公司法》第一条第", "（一）"),
    "items in brackets never closed": ("《公司法》第一条第", "（一"),
    "blanks before a number": ("《公司法》第", " "),
    "a number without an end": ("《公司法》第", "一"),
    "ranges of one article": ("《公司法》第一条", "第一项至第五十项、"),
    "words that join": ("《公司法》第一条", "和"),
    "sub-numbers": ("《公司法》第一条", "之一"),
    "sentences of a quotation": ("《公司法》第一条：", "甲。"),
    "lines of a quotation that name laws": ("《公司法》第一条：", "甲\n《乙法》丙"),
    "sentences of a quotation that name laws": ("《公司法》第一条：", "甲。1.《乙法》、第一条丙"),
    "stops after a quotation": ("《公司法》第一条：甲", "。"),
    "dots after a quotation": ("《公司法》第一条：甲", "…"),
    "articles of a quotation that are earlier": ("《公司法》第九条：甲", "。第一条、第二条 "),
    "articles in one line": ("《公司法》", "".join(f"第{int_to_chinese(n)}条 甲乙。" for n in range(1, 2001))),
    "numbers from and to": ("《公司法》第", "一至二、"),
    "brackets one after another": ("《公司法》", "（以下简称公司法）"),
    "lines that begin with an article": ("《公司法》\n", "第一条 甲乙。\n"),
    "a bracket of dates": ("《公司法》（", "2012年1月1日修正"),
    "articles that become others": ("", "改为第一条"),
    "articles that are added": ("", "增加一条，作为第一条、"),
    "articles that are deleted": ("", "删去第一条、"),
    "nested titles": ("", "《《《《法》》》》"),
    "comments never closed": ("# 甲法\n", "<!--"),
    "links of a table of contents": ("# 甲法\n", "[甲](#"),
    "headings": ("# 甲法\n", "# 第一章 总则\n"),
}


def long_texts(length: int) -> Iterator[tuple[str, str]]:
    """Each case by its name, at this many characters (one Chinese character is three bytes of UTF-8)."""
    for name, piece in _REPEATED.items():
        yield name, (piece * (length // len(piece) + 1))[:length]
    for name, (begin, piece) in _CONTINUED.items():
        yield name, (begin + piece * (length // len(piece) + 1))[:length]
    yield "ever new titles", "".join(f"《第{n}号条例》第一条，该条例第二条，" for n in range(length // 20))[:length]
    chance = random.Random(20261127)
    for name, letters in (
        ("any order of marks", list("《》（）“”\n第一条款项目、至和附件同法该条例令号年月日〔〕【】： 。；1２")),
        (
            "any order of words",
            ["《公司法》", "第一条", "、", "至", "\n", "（2012年修正）", "“", "”", "附件", "同法", "甲。"],
        ),
        ("any characters", [chr(code) for code in range(0x3000)]),
    ):
        yield name, "".join(chance.choices(letters, k=length))[:length]
