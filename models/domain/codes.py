"""Codes of government-service items: what the characters say, which are wrong, which comes next.

Layout after GB/T 39554.1-2020 (basic 12, implementation 31, handling item 33) and GB 32100-2015 for the unified
social credit code (USCC) inside. Real catalogues hold virtual subjects, wrong check characters and local codes, so
nothing here refuses: `code_problems` says in sentences what a clerk should look at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict

from models.domain.errors import BadInput, Conflict

# GB 32100-2015: 31 characters, no I O S V Z; the value of a character is its index.
USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
USCC_WEIGHTS = tuple(pow(3, i, 31) for i in range(17))
_VALUE = {character: index for index, character in enumerate(USCC_ALPHABET)}
_USCC = re.compile(r"[0-9A-HJ-NPQRTUWXY]{2}\d{6}[0-9A-HJ-NPQRTUWXY]{10}")
_BASIC = re.compile(r"\d{2}(?:0[1-9]|1\d|2\d)\d{5}(?:\d{3}|00Y)")
# Other provinces keep codes of their own: base-area-parent-subject-n-nn (Sichuan).
_DASHED = re.compile(r"(?P<base>[0-9A-Za-z-]+?)-(?P<area>\d{12})-(?P<parent>\d{3})-(?P<uscc>[0-9A-Za-z-]+)-\d-\d{2}")
# Virtual subjects of live data, such as 310000999000YB0000: division, then 999000.
_VIRTUAL = re.compile(r"\d{6}999000")
_REPEATED = re.compile(r"([0-9A-Z])\1{9,}")

CodeKind = Literal["basic", "implementation", "handling", "local"]


class ItemCode(BaseModel):
    """A code taken apart; parts that its kind does not have are None, `serial` is "01".."99" of a handling item."""

    model_config = ConfigDict(frozen=True)
    text: str
    kind: CodeKind
    uscc: str | None = None
    level: str | None = None
    basic: str | None = None
    serial: str | None = None

    @property
    def type_segment(self) -> str | None:
        """Characters 3 and 4 of the basic code: the item type as the province counts it."""
        return self.basic[2:4] if self.basic else None


def uscc_check(code17: str) -> str:
    """The 18th character for the first 17 of a USCC (GB 32100-2015, weights 3^i mod 31).

    Raises BadInput field_invalid for another length or a character outside the alphabet.
    """
    if len(code17) != 17 or any(character not in _VALUE for character in code17):
        raise BadInput("field_invalid", "统一社会信用代码前 17 位只能是数字和大写字母（I、O、S、V、Z 除外）。")
    total = sum(_VALUE[character] * weight for character, weight in zip(code17, USCC_WEIGHTS, strict=True))
    return USCC_ALPHABET[(31 - total % 31) % 31]


def uscc_ok(code: str) -> bool:
    """True for 18 characters of the right shape whose check character is right."""
    return _USCC.fullmatch(code) is not None and uscc_check(code[:17]) == code[17]


def basic_ok(code: str) -> bool:
    """True for the 12-character shape: division 2, type 01 to 29, main item 5, sub-item 3 or 00Y."""
    return _BASIC.fullmatch(code) is not None


def parse_code(text: str) -> ItemCode:
    """Take a code apart by its length: 12, 31, 33 letters and digits; anything else is a local code.

    Parts are given in upper case, `text` stays as written (outer blanks removed).
    """
    written = text.strip()
    upper = written.upper()
    plain = upper.isascii() and upper.isalnum()
    if plain and len(upper) == 12:
        return ItemCode(text=written, kind="basic", basic=upper)
    if plain and len(upper) in (31, 33):
        return ItemCode(
            text=written,
            kind="implementation" if len(upper) == 31 else "handling",
            uscc=upper[:18],
            level=upper[18],
            basic=upper[19:31],
            serial=upper[31:] or None,
        )
    dashed = _DASHED.fullmatch(upper)
    return ItemCode(text=written, kind="local", uscc=dashed["uscc"] if dashed else None)


def is_blank_placeholder(text: str) -> bool:
    """True where the code is only zeros (and dashes): it names nothing and cannot identify a row."""
    stripped = text.strip()
    return bool(stripped) and not stripped.strip("0-")


def code_problems(text: str) -> list[str]:
    """What is odd about a code, a Chinese sentence each without full stop; [] for a sound or an empty code."""
    written = text.strip()
    if not written:
        return []
    if is_blank_placeholder(written):
        return [f"编码“{written}”全为 0，是占位编码"]
    problems = _character_problems(written)
    parsed = parse_code(written)
    if parsed.kind == "local":
        return problems + _local_problems(parsed)
    if parsed.uscc is not None:
        problems += uscc_problems(parsed.uscc)
    if parsed.level is not None and parsed.level not in "1234567":
        problems.append(f"编码第 19 位行使层级“{parsed.level}”应为 1 至 7")
    if parsed.basic is not None:
        problems += _basic_problems(parsed.basic)
    if parsed.serial is not None and not re.fullmatch(r"0[1-9]|[1-9]\d", parsed.serial):
        problems.append(f"编码末两位业务办理项序号“{parsed.serial}”应为 01 至 99")
    return problems


def uscc_problems(uscc: str) -> list[str]:
    """Sentences about a USCC alone: length, virtual subject, characters, check character."""
    if not uscc.strip("0-"):
        return [f"实施主体代码“{uscc}”全为 0，是占位代码"]
    if len(uscc) != 18:
        return [f"实施主体代码“{uscc}”为 {len(uscc)} 位，应为 18 位统一社会信用代码"]
    if _VIRTUAL.match(uscc):
        return [f"实施主体代码“{uscc}”是占位的虚拟主体"]
    if not _USCC.fullmatch(uscc):
        return [f"实施主体代码“{uscc}”不符合统一社会信用代码的格式"]
    right = uscc_check(uscc[:17])
    if right != uscc[17]:
        return [f"实施主体代码“{uscc}”校验位应为“{right}”，现为“{uscc[17]}”"]
    return []


def next_basic_code(type_code: str, region2: str, taken: Iterable[str]) -> str:
    """The next free 12-character basic code of a type ("01") and a division ("31"; "00" is the national catalogue).

    `taken` holds every code ever given, retired ones too: a serial is never used again, so counting goes on after the
    highest one, and only a full range falls back to gaps. Raises BadInput field_invalid and Conflict codes_exhausted.
    """
    prefix = region2 + type_code
    if not basic_ok(prefix + "00001000"):
        message = f"“事项类型”应为两位类型代码，例如 01；现为“{type_code}”（区划“{region2}”）。"
        raise BadInput("field_invalid", message, field="type")
    used = {int(code[4:9]) for code in taken if len(code) == 12 and code.startswith(prefix) and code[4:9].isdigit()}
    serial = max(used, default=0) + 1
    if serial > 99999:
        gap = next((number for number in range(1, 100000) if number not in used), None)
        if gap is None:
            message = f"区划“{region2}”、类型“{type_code}”的 99999 个主项编码已用完，请联系目录管理人员。"
            raise Conflict("codes_exhausted", message)
        serial = gap
    return f"{prefix}{serial:05d}000"


def _character_problems(written: str) -> list[str]:
    problems = []
    if written != written.upper():
        problems.append(f"编码“{written}”含小写字母")
    if not re.fullmatch(r"[0-9A-Za-z-]+", written):
        problems.append(f"编码“{written}”含字母、数字以外的字符")
    return problems


def _basic_problems(basic: str) -> list[str]:
    if not basic_ok(basic):
        return [f"基本编码“{basic}”不符合 12 位规则（区划 2 位、类型 01 至 29、主项 5 位、子项 3 位）"]
    return []


def _local_problems(parsed: ItemCode) -> list[str]:
    if parsed.uscc is not None:
        return uscc_problems(parsed.uscc)
    if _REPEATED.search(parsed.text.upper()):
        return [f"编码“{parsed.text}”是占位编码"]
    return [f"编码“{parsed.text}”为 {len(parsed.text)} 位，应为 12、31 或 33 位，已按地方编码保留"]
