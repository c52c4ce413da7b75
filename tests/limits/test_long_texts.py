"""No text makes the readers raise, hang or grow faster than its length."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import pytest

from models.domain.amending import read_decision
from models.domain.citation import MAX_WRITTEN_OUT_IN_ALL, read_citations
from models.domain.errors import Refusal
from models.domain.law_text import read_law
from models.domain.numerals import int_to_chinese
from tests.long_texts import long_texts

SHORT, LONG = dict(long_texts(15_000)), dict(long_texts(60_000))
#: Four times the text may take eight times the time: far from the sixteen of a square, far from a machine's moods.
GROWTH = 8
#: A time below which nothing is said of growth, in seconds.
TOO_SHORT = 0.05


def law_in(text: str) -> None:
    """Read a law; a refusal is an answer too."""
    with contextlib.suppress(Refusal):
        read_law(text, "甲法(2020-01-01).md")


def seconds(read: Callable[[str], object], text: str) -> float:
    """Of this thread's processor, whatever else the machine does."""
    begin = time.thread_time()
    read(text)
    return time.thread_time() - begin


def decision_in(text: str) -> None:
    """Read an amending decision."""
    read_decision(f"作如下修改：{text}")


@pytest.mark.parametrize("read", [read_citations, law_in, decision_in], ids=["citations", "law", "decision"])
@pytest.mark.parametrize("name", LONG)
def test_the_time_grows_with_the_length_and_no_faster(name: str, read: Callable[[str], object]) -> None:
    for _ in range(4):  # whatever happens beside it must happen four times
        long = seconds(read, LONG[name])
        if long < TOO_SHORT or long < GROWTH * seconds(read, SHORT[name]):
            return
    pytest.fail(f"{name}: {long:.2f} s")


def test_a_list_of_two_thousand_articles_is_read_to_its_end() -> None:
    numbers = range(1, 2001)
    [citation] = read_citations("《示例法》" + "、".join(f"第{int_to_chinese(n)}条" for n in numbers)).citations
    assert [place.article for place in citation.articles] == list(numbers)


def test_a_hundred_thousand_citations_are_all_given() -> None:
    assert len(read_citations("《示例法》第一条，" * 100_000).citations) == 100_000


def test_a_hundred_thousand_characters_without_a_blank_hide_no_citation() -> None:
    text = "为了规范办理" * 20_000
    assert [c.title for c in read_citations(f"{text}《示例法》第一条{text}").citations] == ["示例法"]


def test_a_range_that_would_make_the_answer_longer_than_the_text_stays_in_the_rest() -> None:
    text = "《示例法》第一条" + "第一项至第五十项、" * 1000
    [citation] = read_citations(text).citations
    assert MAX_WRITTEN_OUT_IN_ALL <= len(citation.articles) <= MAX_WRITTEN_OUT_IN_ALL + 1000
    assert citation.rest is not None and citation.rest.startswith("至第五十项")
