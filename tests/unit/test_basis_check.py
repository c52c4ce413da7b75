"""Which bases of the catalogue no longer stand as they are written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from models.domain.basis_check import BasisProblem, KnownLaw, LawLibrary, check_bases
from models.domain.impact import CitedBasis
from models.domain.law_text import Article

OLD, NEW = date(2019, 3, 28), date(2024, 5, 30)
TEXTS = {
    OLD: [Article(no=2, text="餐饮服务提供者应当取得许可证。"), Article(no=3, text="许可有效期为三年。")],
    NEW: [Article(no=2, text="餐饮服务提供者应当办理备案。\n备案不收费。")],
}


def _articles(canonical: str, edition: date) -> Sequence[Article]:
    return TEXTS[edition]


def library() -> LawLibrary:
    return LawLibrary(
        laws={
            "示例市餐饮条例": KnownLaw("示例市餐饮条例", (OLD, NEW), NEW),
            "食品安全法": KnownLaw("中华人民共和国食品安全法", (NEW,), None),
        },
        void={"示例市早餐办法": "示例市餐饮条例"},
        articles=_articles,
    )


def problems(*bases: CitedBasis) -> list[tuple[str, str]]:
    return [(found.problem, found.detail) for found in check_bases(bases, library())]


def cites(title: str = "示例市餐饮条例", article: int | None = 2, **more: object) -> CitedBasis:
    values: dict[str, object] = {"item_id": "i-1", "code": "990100000001", "name": "餐饮许可", "ord": 0}
    return CitedBasis(**{**values, "title": title, "article": article, **more})  # type: ignore[arg-type]


def kinds(*bases: CitedBasis) -> list[str]:
    return [kind for kind, _ in problems(*bases)]


def test_a_basis_that_stands_has_no_problem() -> None:
    assert kinds(cites(), cites(article=None, ord=1), cites(quoted="餐饮服务提供者应当办理备案。", ord=2)) == []


def test_a_quotation_may_leave_words_out() -> None:
    assert kinds(cites(quoted="餐饮服务提供者……备案不收费。")) == []


def test_a_repealed_law_is_named_with_what_repealed_it() -> None:
    [(kind, detail)] = problems(cites("示例市早餐办法"))
    assert kind == "repealed" and "示例市餐饮条例" in detail


def test_a_title_the_library_does_not_have_is_unknown_and_similar_ones_are_named() -> None:
    [(kind, detail)] = problems(cites("示例市餐营条例"))
    assert kind == "unknown" and "《示例市餐饮条例》" in detail


def test_an_older_text_an_older_wording_and_a_vanished_article_are_superseded() -> None:
    assert kinds(cites(edition_on=OLD)) == ["superseded"]
    assert kinds(cites(quoted="餐饮服务提供者应当取得许可证。")) == ["superseded"]
    assert kinds(cites(article=3)) == ["superseded"]


def test_words_that_no_text_has_differ() -> None:
    assert kinds(cites(quoted="餐饮服务提供者应当悬挂证照。")) == ["quote_differs"]


def test_a_law_none_of_whose_texts_is_in_force_yet_is_left_alone() -> None:
    assert kinds(cites("食品安全法")) == []


def test_bases_stand_from_high_to_low() -> None:
    [found] = check_bases([cites(), cites("中华人民共和国食品安全法", article=5, ord=1)], library())
    assert found == BasisProblem(
        "990100000001",
        "《中华人民共和国食品安全法》第五条",
        "order",
        "法律《中华人民共和国食品安全法》应列在地方性法规《示例市餐饮条例》之前",
    )
    assert kinds(cites("中华人民共和国食品安全法", article=5), cites(ord=1)) == []


def test_items_are_judged_each_by_itself() -> None:
    assert kinds(cites(), cites("中华人民共和国食品安全法", article=5, item_id="i-2")) == []


def test_a_former_title_is_superseded_by_the_present_one() -> None:
    known = KnownLaw("示例市餐饮条例", (OLD, NEW), NEW, formerly=("示例市饮食业条例",))
    renamed = LawLibrary(laws={"示例市餐饮条例": known}, void={}, articles=_articles)
    [found] = check_bases([cites("示例市饮食业条例")], renamed)
    assert (found.problem, found.detail) == ("superseded", "《示例市饮食业条例》现名《示例市餐饮条例》")
