"""Numbers as Chinese legal texts write them: 一千二百六十, 廿一, 二〇二四, 22, ２２."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

_DIGITS: Final = {c: n for n, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "○": 0, "两": 2}
_UNITS: Final = {"十": 10, "百": 100, "千": 1000}
_TENS: Final = {"廿": 20, "卅": 30}
_ARABIC: Final = {chr(base + n): n for base in (ord("0"), ord("０")) for n in range(10)}

NUMERAL_CHARS: Final = "".join([*_DIGITS, *_UNITS, *_TENS, "万", *_ARABIC])
"""Every character a number can be written with, for use inside a regular expression's [...]."""

MAX_LENGTH: Final = 32


@lru_cache(maxsize=4096)
def chinese_to_int(text: str) -> int:
    """The number that `text` writes; 一百五 is read as 105 (older texts leave the 零 out of article numbers).

    Chinese units and digits, digit by digit (二〇二四), 廿 and 卅, ASCII and full-width digits; blanks are ignored.
    Raises ValueError for anything else, also for mixed writing (2十) and texts above 32 characters.
    """
    chars = "".join(text.split())
    if not chars or len(chars) > MAX_LENGTH:
        raise ValueError(f"not a number: {text[:40]!r}")
    if all(c in _ARABIC for c in chars):
        return _by_digits([_ARABIC[c] for c in chars])
    if all(c in _DIGITS for c in chars):
        return _by_digits([_DIGITS[c] for c in chars])
    head, ten_thousand, tail = chars.partition("万")
    if not ten_thousand:
        return _below_ten_thousand(head)
    return _below_ten_thousand(head) * 10_000 + (_below_ten_thousand(tail) if tail else 0)


def _by_digits(digits: list[int]) -> int:
    value = 0
    for digit in digits:
        value = value * 10 + digit
    return value


def _below_ten_thousand(chars: str) -> int:
    """A number written with units, each unit smaller than the one before it."""
    total, digit, last_unit = 0, None, 10_000
    for char in chars:
        unit = _UNITS.get(char)
        if unit is not None and unit < last_unit and (digit != 0 or unit == 10):
            # 十 alone stands for 一十, also after 零 (一百零十二 is met in older texts).
            total += (digit or 1) * unit
            digit, last_unit = None, unit
        elif char in _TENS and not digit and last_unit > 10:
            total, digit, last_unit = total + _TENS[char], None, 10
        elif char in _DIGITS and not digit:
            digit = _DIGITS[char]
        else:
            raise ValueError(f"not a number: {chars!r}")
    if not chars:
        raise ValueError("not a number: nothing before or after 万")
    return total + (digit or 0)


def int_to_chinese(number: int) -> str:
    """46 -> 四十六, 105 -> 一百零五, 12 -> 十二, 112 -> 一百一十二 (GB/T 15835 as laws number their articles).

    From 0 to 99,999,999; ValueError outside.
    """
    if not 0 <= number < 100_000_000:
        raise ValueError(f"cannot be written: {number}")
    if number >= 10_000:
        high, low = divmod(number, 10_000)
        gap = "零" if 0 < low < 1000 else ""
        return int_to_chinese(high) + "万" + gap + (_full(low) if low else "")
    if 10 <= number < 20:
        return _full(number)[1:]
    return _full(number) or "零"


@lru_cache(maxsize=4096)
def _full(number: int) -> str:
    """Below ten thousand; "" for nothing."""
    digits = "零一二三四五六七八九"
    text, zero_pending = "", False
    for unit, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit, number = divmod(number, unit)
        if digit:
            text += ("零" if zero_pending else "") + digits[digit] + name
            zero_pending = False
        elif text:
            zero_pending = True
    return text


def article_name(no: int | None, sub: int | None = None) -> str:
    """第一百二十条之一; "" where no article is named."""
    if not no:
        return ""
    return f"第{int_to_chinese(no)}条" + (f"之{int_to_chinese(sub)}" if sub else "")


def article_written(no: int | None, sub: int | None = None) -> int | str | None:
    """An article where one value must name it: 35, and 第一百二十条之一 as laws write it, since 120 is another article."""
    return article_name(no, sub) if no and sub else no
