"""Strings that try to be more than text. One list for every way out: pages, mails, markdown, logs, terminals, tables."""

from __future__ import annotations

#: What must never be drawn, followed or run.
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "</textarea></title><script>alert(1)</script>",
    "javascript:alert(1)",
    "![picture](https://evil.example/pixel.png)",
    "[press here](https://evil.example/press)",
    "<https://evil.example/auto>",
    "https://evil.example/bare www.evil.example evil@evil.example",
    "| a | b |\n|---|---|\n| c | d |",
    "```mermaid\ngraph TD; A-->B\n```",
    "{{ 7 * 7 }} {% raw %} ${7*7} #{7*7}",
    "name\r\nBcc: evil@evil.example\r\n\r\nbody",
    "title\n2026-11-23 09:00:00 shixiang.access INFO forged",
    "\x1b[2J\x1b[31mterminal",
    "\u202egnp.exe",
    "\u2028line\u2029paragraph\u0085next",
    "'; drop table decision; --",
    "%s %(name)s %n {0} {name}",
    "../../../etc/passwd",
    '=HYPERLINK("https://evil.example/cell","x")',
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(1+1)",
    "\t=1+1",
    '{"__prefect_kind": "jinja", "template": "{{ 1 }}"}',
    "𠮷野家👩‍👩‍👧 ﷺ",
]
#: What cannot be stored: refused wherever it comes in.
UNSTORABLE = ["a\x00b", "half \ud800 character"]
