"""A comparison that is kept and read again says what it said."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.comparison import compare, packed, unpacked
from models.domain.law_text import Article

SENTENCES = (
    "设立中央厨房，应当经市商务部门批准，并按照规定公示经营信息。",
    "设立中央厨房，应当报市商务部门备案，并按照规定公示经营信息。",
    "餐饮服务提供者应当自变更之日起二十日内向原登记部门办理变更手续。",
    "餐饮服务提供者应当自变更之日起十五日内向原登记部门办理变更手续。",
    "本条例自公布之日起施行。",
)
TEXTS = st.lists(st.sampled_from(SENTENCES), max_size=6).map(
    lambda texts: tuple(Article(no=n, text=text) for n, text in enumerate(texts, start=1))
)


@given(TEXTS, TEXTS)
def test_what_is_kept_as_json_gives_the_same_comparison(old: tuple[Article, ...], new: tuple[Article, ...]) -> None:
    worked_out = compare(old, new)
    read = unpacked(json.loads(json.dumps(packed(worked_out))), old, new)
    assert list(read.matches) == list(worked_out.matches)
    assert read.kinds == worked_out.kinds


def test_every_amended_pair_has_a_kind_and_no_other_has_one() -> None:
    old = tuple(Article(no=n, text=SENTENCES[i]) for n, i in ((1, 0), (2, 2), (3, 4)))
    new = tuple(Article(no=n, text=SENTENCES[i]) for n, i in ((1, 1), (2, 3), (3, 4)))
    told = compare(old, new)
    assert {match.new.no: kind.kind for match in told.matches if match.new and (kind := told.kind(match))} == {
        1: "approval_to_filing",
        2: "time_limit",
    }


def test_what_was_kept_of_other_texts_is_not_taken_for_these() -> None:
    old, new = (Article(no=1, text=SENTENCES[0]),), (Article(no=2, text=SENTENCES[1]),)
    with pytest.raises(KeyError):
        unpacked(packed(compare(old, new)), new, old)
