"""One row for each item that cites the law, the bases filled in, and the road it is to go."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from models.domain.impact import Amendment, CitedBasis, impact_of_amendment, impact_of_repeal
from models.domain.law_reach import LawFacts, reach_of_law
from models.domain.law_text import Article
from models.domain.reach import Reach, ReachRow
from tests.unit.test_impact import NEW, NEW_DAY, OLD, OLD_DAY, TITLE, TODAY, text

OTHER = "示例市食品安全条例"


@dataclass
class Standing:
    """A standing version with these bases."""

    item_id: str
    content: dict[str, Any]
    id: str = "ver-1"
    kind: str = "item"
    name: str = "事项"
    code: str | None = None
    department_id: str | None = "d-trade"
    department_text: str = ""


@dataclass
class Catalogue:
    """Items by what they cite; a range is `(first, last)`."""

    cited: list[CitedBasis] = field(default_factory=list)
    versions: dict[str, Standing] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)

    def item(self, name: str, *cited: int | tuple[int, int] | dict[str, Any] | None) -> None:
        bases = []
        for number, one in enumerate(cited, start=1):
            more: dict[str, Any] = (
                one if isinstance(one, dict) else {"article": one[0] if isinstance(one, tuple) else one}
            )
            last = one[1] if isinstance(one, tuple) else None
            basis = {
                "law": TITLE,
                "edition": None,
                "article": None,
                "sub": None,
                "paragraph": None,
                "quoted": None,
            } | more
            bases.append(basis)
            if basis["law"] == TITLE:
                self.cited.append(
                    CitedBasis(
                        item_id=name, code=name, name=name, ord=number, title=TITLE, article=basis["article"],
                        to_article=last, paragraph=basis["paragraph"], quoted=basis["quoted"],
                    )
                )  # fmt: skip
            else:
                self.others[name] = self.others.get(name, 0) + 1
        content = {"name": name, "type": "01", "bases": bases}
        self.versions[name] = Standing(name, content, name=name, code=name)

    def reach(self, *, off: tuple[str, ...] = (), repeal: bool = False, new: tuple[Article, ...] = NEW) -> Reach:
        if repeal:
            found = impact_of_repeal(TITLE, self.cited, bases_of=self.others)
        else:
            change = Amendment(title=TITLE, from_edition=OLD_DAY, to=text(articles=new), old=OLD)
            found = impact_of_amendment(change, self.cited, bases_of=self.others, today=TODAY)
        facts = LawFacts(TITLE, TITLE, OLD_DAY, None if repeal else NEW_DAY, OLD, None if repeal else new)
        return reach_of_law(found, facts, self.versions, off=off)


def one(*cited: Any, **more: Any) -> ReachRow:
    catalogue = Catalogue()
    catalogue.item("甲", *cited)
    [row] = catalogue.reach(**more).every
    return row


def bases(row: ReachRow) -> list[tuple[int | None, str | None]]:
    assert row.content is not None
    return [(basis["article"], basis["quoted"]) for basis in row.content["bases"]]


def test_an_item_is_one_row_with_all_its_articles() -> None:
    row = one(2, 3, 5)
    assert (row.outcomes, row.road, bases(row)) == (("change_basis",), None, [(2, None), (5, None), (8, None)])
    assert [detail["new_article"] for detail in row.hint["articles"]] == [2, 5, 8]
    assert row.article == "第二条、第三条、第五条"
    assert row.hint["kinds"] == ["approval_to_filing", "time_limit"]


def test_new_words_stand_where_words_were_quoted() -> None:
    assert bases(one({"article": 2, "quoted": OLD[1].text})) == [(2, NEW[1].text)]


def test_what_is_not_carried_yet_is_advised() -> None:
    row = one(2)
    assert (row.outcomes, row.hint["advised"]) == (("change_basis",), ["retype"])
    assert "事项类型变更" in row.reason


def test_the_only_basis_gone_cancels_and_one_of_several_is_dropped() -> None:
    assert one(7).outcomes == ("cancel",)
    row = one(7, {"law": OTHER, "article": 1})
    assert (row.outcomes, bases(row)) == (("change_basis",), [(1, None)])


def test_a_removed_article_whose_words_live_on_elsewhere_cancels_nothing() -> None:
    new = (
        *NEW[:6],
        Article(
            no=9,
            text=f"餐饮服务活动应当遵守有关规定，并接受市场监督管理部门的监督检查。\n{OLD[6].text.replace('划定区域', '指定区域')}",
        ),
    )
    row = one(7, new=new)
    assert (row.outcomes, row.road, row.certain) == (("change_basis",), None, False)
    assert "见于新文本第九条" in row.reason or row.hint["articles"][0]["new_article"] == 9
    assert bases(row) == [(9, None)]


def test_a_repeal_drops_the_basis_or_cancels() -> None:
    assert one(1, repeal=True).outcomes == ("cancel",)
    row = one(1, None, {"law": OTHER, "article": 1}, repeal=True)
    assert (row.article, row.change, bases(row)) == ("第一条、全文", "废止", [(1, None)])
    assert row.hint["rules"] == ["repealed"]


def test_a_range_is_written_out() -> None:
    row = one((2, 5))
    assert bases(row) == [(2, None), (5, None), (4, None), (8, None)]


def test_two_bases_that_become_the_same_are_one() -> None:
    row = one({"article": 3, "quoted": OLD[2].text}, {"article": 3, "quoted": OLD[2].text})
    assert bases(row) == [(5, NEW[4].text)]


def test_an_unchanged_article_beside_a_changed_one_names_the_new_text_too() -> None:
    row = one({"article": 1, "edition": OLD_DAY.isoformat()}, 5)
    assert row.content is not None
    assert [basis["edition"] for basis in row.content["bases"]] == [NEW_DAY.isoformat()] * 2


def test_numbers_and_words_alone_go_the_short_road() -> None:
    assert (one(5).road, one(5, 6).road) == ("short", "short")
    assert one(2, 5).road is None


def test_an_editorial_change_alone_is_pre_selected_as_no_adjustment_and_taken_in_goes_the_short_road() -> None:
    row = one({"article": 6, "quoted": OLD[5].text})
    assert (row.road, row.hint["list"], row.hint["when_taken_in"]) == ("none", "editorial", "short")
    assert bases(row) == [(6, NEW[5].text)]
    assert row.hint["articles"][0]["words"] == [["相关", "有关", "editorial"]]


def test_nothing_guessed_goes_the_short_road_however_sure_it_looks() -> None:
    misquoted = one({"article": 5, "quoted": "举办大型活动的，应当报市场监管局批准。"})
    assert (misquoted.road, misquoted.certain) == (None, True)
    catalogue = Catalogue()
    catalogue.item("甲", 5)
    catalogue.cited = [replace(catalogue.cited[0], edition_on=OLD_DAY.replace(year=2001))]
    [outdated] = catalogue.reach().rows
    assert (outdated.road, outdated.certain) == (None, False)


def test_the_whole_law_a_reference_and_the_new_text_are_pre_selected_as_no_adjustment() -> None:
    rows = [one(None), one(4), one({"article": 2, "quoted": "设立中央厨房，应当报市商务部门备案"})]
    assert [(row.road, row.hint["rules"]) for row in rows] == [
        ("none", ["whole_law"]),
        ("none", ["refers"]),
        ("none", ["already_new"]),
    ]


def test_an_article_the_old_text_does_not_have_goes_the_full_way() -> None:
    row = one(99)
    assert (row.road, row.certain, bases(row)) == (None, False, [(99, None)])


ONE = st.one_of(
    st.none(),
    st.integers(1, 9),
    st.tuples(st.integers(1, 4), st.integers(5, 8)),
    st.builds(
        lambda article, quoted: {"article": article, "quoted": quoted},
        st.integers(1, 7),
        st.sampled_from([article.text for article in OLD] + [NEW[1].text, "从未有过的文字，不见于任何文本。"]),
    ),
    st.builds(lambda article: {"law": OTHER, "article": article}, st.integers(1, 3)),
)


@given(st.dictionaries(st.sampled_from("甲乙丙丁戊"), st.lists(ONE, min_size=1, max_size=4), min_size=1), st.booleans())
def test_whatever_is_cited_each_item_is_one_row_and_nothing_is_made_up(
    items: dict[str, list[Any]], repeal: bool
) -> None:
    catalogue = Catalogue()
    for name, cited in items.items():
        catalogue.item(name, *cited)
    found = catalogue.reach(repeal=repeal)
    assert len({row.name for row in found.every}) == len(found.every)
    for row in found.every:
        assert row.content is not None
        before, after = catalogue.versions[row.name].content["bases"], row.content["bases"]
        others = [basis for basis in before if basis["law"] == OTHER]
        assert [basis for basis in after if basis["law"] == OTHER] == others
        assert after or row.outcomes == ("cancel",)
        for basis in after:
            if basis["law"] == TITLE and basis not in before:
                [article] = [one for one in NEW if one.no == basis["article"]]
                assert not basis["quoted"] or basis["quoted"] in article.text
        if row.road == "short":
            assert {detail["rule"] for detail in row.hint["articles"]} <= NOT_FOR_A_DRAFTER
            assert row.certain


NOT_FOR_A_DRAFTER = {"moved", "editorial", "amended", "whole_law", "refers", "already_new"}


def test_what_a_rule_that_is_off_would_have_found_is_counted() -> None:
    catalogue = Catalogue()
    catalogue.item("甲", None)
    catalogue.item("乙", None, 5)
    found = catalogue.reach(off=("whole_law",))
    assert [row.name for row in found.every] == ["乙"]
    assert [(hidden.rule, hidden.rows, hidden.items) for hidden in found.hidden] == [("whole_law", 2, 2)]
