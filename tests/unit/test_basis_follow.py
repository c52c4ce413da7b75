"""A basis is followed to its new number, paragraph, item and words; what had to be guessed says so."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from models.domain.basis_follow import Followed, NewText, kept_ranges
from models.domain.law_compare import normal_form
from models.domain.law_text import Article

EDITION = "2026-09-25"
ONE = "举办大型活动提供集体用餐的，应当提前报告活动所在地市场监管部门。"
TWO = "报告应当写明用餐人数、供餐单位和食品安全保障方案。"
THREE = "市场监管部门应当自收到报告之日起三日内派员到场检查。"
OLD = Article(no=5, text=f"{ONE}\n{TWO}\n{THREE}")


def basis(**more: Any) -> dict[str, Any]:
    empty = dict.fromkeys(("sub", "paragraph", "item", "subitem", "annex", "quoted"))
    return {"law": "示例市餐饮服务管理条例", "edition": "2019-03-28", **empty, "article": 5, **more}


def follow(cited: dict[str, Any], *new: Article, old: Article = OLD) -> Followed:
    return NewText(new, EDITION).follow(cited, old, new[0])


def test_a_moved_article_takes_its_new_number_and_keeps_the_quotation_as_it_was_written() -> None:
    found = follow(basis(quoted=TWO), Article(no=8, text=OLD.text))
    assert found.bases == (basis(article=8, edition=EDITION, quoted=TWO),)
    assert found.exact


def test_a_basis_without_a_quotation_gets_none() -> None:
    [only] = follow(basis(), Article(no=8, text=ONE)).bases
    assert only["quoted"] is None


def test_a_cited_paragraph_is_followed_to_the_paragraph_with_its_words() -> None:
    new = Article(
        no=5,
        text=f"{ONE}\n餐饮服务提供者应当留样备查，留样时间不少于四十八小时。\n{TWO.replace('写明', '载明')}\n{THREE}",
    )
    [only] = follow(basis(paragraph=2, quoted=TWO), new).bases
    assert (only["paragraph"], only["quoted"]) == (3, TWO.replace("写明", "载明"))


def test_a_paragraph_of_an_article_that_has_one_only_is_not_named() -> None:
    [only] = follow(basis(paragraph=1, quoted=ONE), Article(no=7, text=ONE)).bases
    assert (only["article"], only["paragraph"]) == (7, None)


def test_a_paragraph_that_went_to_another_article_is_followed_there() -> None:
    found = follow(
        basis(paragraph=3, quoted=THREE), Article(no=5, text=f"{ONE}\n{TWO}"), Article(no=6, sub=1, text=THREE)
    )
    [only] = found.bases
    assert (only["article"], only["sub"], only["paragraph"], only["quoted"]) == (6, 1, None, THREE)
    assert found.exact


def test_a_paragraph_that_is_gone_is_left_to_a_person() -> None:
    found = follow(basis(paragraph=3, quoted=THREE), Article(no=5, text=f"{ONE}\n{TWO}"))
    assert not found.exact
    assert (found.bases[0]["paragraph"], found.bases[0]["quoted"]) == (None, f"{ONE}\n{TWO}")


def test_a_split_article_becomes_two_bases() -> None:
    found = follow(basis(quoted=OLD.text), Article(no=5, text=f"{ONE}\n{TWO}"), Article(no=6, text=THREE))
    assert [(one["article"], one["quoted"]) for one in found.bases] == [(5, f"{ONE}\n{TWO}"), (6, THREE)]
    assert not found.exact


def test_a_quoted_sentence_of_one_paragraph_is_replaced_by_that_paragraph_alone() -> None:
    new = THREE.replace("三日", "五日")
    [only] = follow(
        basis(quoted="市场监管部门应当自收到报告之日起三日内"), Article(no=5, text=f"{ONE}\n{TWO}\n{new}")
    ).bases
    assert only["quoted"] == new


def test_a_cited_item_is_followed_by_its_words() -> None:
    old = Article(
        no=9, text="有下列情形之一的，注销登记：\n（一）登记有效期届满未延续的；\n（二）餐饮服务提供者终止经营的；"
    )
    new = Article(
        no=9,
        text="有下列情形之一的，注销登记：\n（一）营业执照被吊销的；\n（二）登记有效期届满未延续的；\n（三）餐饮服务提供者终止经营的；",
    )
    [only] = follow(
        basis(article=9, paragraph=1, item=2, quoted="（二）餐饮服务提供者终止经营的；"), new, old=old
    ).bases
    assert (only["item"], only["quoted"]) == (3, "（三）餐饮服务提供者终止经营的；")


def test_a_quotation_that_never_stood_in_the_old_text_is_not_exact() -> None:
    assert not follow(basis(quoted="举办大型活动的，应当报市场监管局批准。"), Article(no=8, text=OLD.text)).exact


def test_the_words_of_an_article_that_is_gone_are_found_where_they_live_on() -> None:
    new = NewText(
        [
            Article(no=7, text=f"另有规定的除外。\n{THREE.replace('三日', '五日')}"),
            Article(no=9, text="本条例自公布之日起施行。"),
        ],
        EDITION,
    )
    [one] = new.remains(basis(paragraph=3, quoted=THREE), OLD).bases
    assert (one["article"], one["paragraph"], one["quoted"]) == (7, 2, THREE.replace("三日", "五日"))
    [whole] = new.remains(basis(), OLD).bases
    assert (whole["article"], whole["paragraph"], whole["quoted"]) == (7, None, None)
    assert new.remains(basis(paragraph=1, quoted=ONE), OLD).bases == ()


def test_a_range_stays_one_unless_it_was_written_out() -> None:
    law, other = "示例市餐饮服务管理条例", "示例市食品安全条例"
    bases = [basis(article=5), basis(article=6), {**basis(article=8), "law": other}]
    assert kept_ranges(bases, [(law, 5, 0, 7), (other, 8, 0, 12), (other, 20, 0, 22)]) == ((3, 12),)


@given(
    st.lists(st.text("甲乙丙丁戊己庚辛", min_size=1, max_size=30), min_size=1, max_size=4),
    st.lists(st.text("甲乙丙丁戊己庚辛", min_size=1, max_size=30), min_size=1, max_size=4),
    st.integers(1, 5) | st.none(),
    st.booleans(),
)
def test_whatever_the_texts_every_number_exists_and_every_quotation_stands_in_the_new_text(
    olds: list[str], news: list[str], paragraph: int | None, quotes: bool
) -> None:
    old, new = Article(no=1, text="\n".join(olds)), Article(no=2, text="\n".join(news))
    cited = basis(article=1, paragraph=paragraph, quoted=olds[0] if quotes else None)
    for one in follow(cited, new, old=old).bases:
        assert one["article"] == 2 and (paragraph is None or (one["paragraph"] or 1) <= max(len(news), paragraph))
        assert (one["quoted"] is not None) == quotes
        assert not one["quoted"] or normal_form(one["quoted"]) in normal_form(new.text)
