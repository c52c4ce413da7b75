"""From a law's new text to exactly the items it touches."""

from __future__ import annotations

from datetime import date

from models.domain.impact import (
    Amendment,
    CitedBasis,
    Impact,
    candidates_of,
    impact_of_amendment,
    impact_of_repeal,
    implementing,
    mentioned,
)
from models.domain.law_text import Article, LawText, missing_editions

TITLE = "示例市餐饮服务管理条例"
OLD_DAY, NEW_DAY = date(2019, 3, 28), date(2026, 9, 25)
TODAY = date(2026, 11, 27)
OLD = (
    Article(no=1, text="为了规范本市餐饮服务活动，保障公众身体健康，制定本条例。"),
    Article(no=2, text="设立中央厨房，应当经市商务部门批准，并按照规定公示经营信息。"),
    Article(no=3, text="餐饮服务提供者应当自变更之日起二十日内向原登记部门办理变更手续。"),
    Article(no=4, text="早餐车占用道路经营的，应当依照本条例第三条的规定办理手续。"),
    Article(no=5, text="举办大型活动提供集体用餐的，应当提前报告活动所在地市场监管部门。"),
    Article(no=6, text="餐厨废弃物应当交由取得许可的单位收运，相关部门应当公布单位名单。"),
    Article(no=7, text="流动摊贩应当在划定区域内经营，经营时段由区人民政府规定并公布。"),
)
NEW = (
    OLD[0],
    Article(no=2, text="设立中央厨房，应当报市商务部门备案，并按照规定公示经营信息。"),
    Article(no=3, text="网络餐饮服务第三方平台应当对入网经营者进行实名登记并审查资质。"),
    Article(no=4, text="早餐车占用道路经营的，应当依照本条例第三条的规定办理手续。"),
    Article(no=5, text="餐饮服务提供者应当自变更之日起十五日内向原登记部门办理变更手续。"),
    Article(no=6, text="餐厨废弃物应当交由取得许可的单位收运，有关部门应当公布单位名单。"),
    Article(no=8, text="举办大型活动提供集体用餐的，应当提前报告活动所在地市场监管部门。"),
)


def text(**more: object) -> LawText:
    values = {
        "title": TITLE,
        "edition_on": NEW_DAY,
        "promulgated_on": NEW_DAY,
        "effective_on": date(2026, 11, 1),
        "certainty": "certain",
        "header": (),
        "articles": NEW,
        **more,
    }
    return LawText.model_validate(values)


def cites(article: int | None, **more: object) -> CitedBasis:
    values: dict[str, object] = {
        "item_id": f"i-{article}",
        "code": f"9901000000{article or 0:02}",
        "name": "事项",
        "ord": 0,
    }
    return CitedBasis(**{**values, "title": TITLE, "article": article, **more})  # type: ignore[arg-type]


def judged(*cited: CitedBasis, bases_of: dict[str, int] | None = None, to: LawText | None = None) -> Impact:
    change = Amendment(title=TITLE, from_edition=OLD_DAY, to=to or text(), old=OLD)
    return impact_of_amendment(change, cited, bases_of=bases_of or {}, today=TODAY)


def total(found: Impact) -> int:
    return sum(len(rows) for rows in found.as_json().values())


def test_an_unchanged_article_that_keeps_its_number_is_no_alarm() -> None:
    assert total(judged(cites(1))) == 0


def test_an_article_that_is_one_of_another_is_written_out_where_one_value_must_name_it() -> None:
    old = (*OLD, Article(no=7, sub=1, text="流动摊贩应当佩戴登记证明。"))
    new = (*NEW, Article(no=8, sub=1, text="流动摊贩应当佩戴区人民政府核发的登记证明。"))
    change = Amendment(title=TITLE, from_edition=OLD_DAY, to=text(articles=new), old=old)
    [row] = impact_of_amendment(change, [cites(7, sub=1)], bases_of={}, today=TODAY).rows
    told = row.as_json()
    assert (told["old_article"], told["new_article"]) == ("第七条之一", "第八条之一")
    assert len(told) == 12


def test_an_amended_article_is_a_row_with_its_kind_and_the_words_that_told() -> None:
    [row] = judged(cites(2)).rows
    assert (row.new_article, row.change, row.kind, row.outcome) == (2, "amended", "approval_to_filing", "retype")
    assert "批准→备案" in row.reason and row.preselected


def test_a_moved_article_is_a_row_with_its_new_number() -> None:
    [row] = judged(cites(5)).rows
    assert (row.old_article, row.new_article, row.change, row.outcome) == (5, 8, "moved", "change_basis")


def test_a_moved_and_amended_article_says_both() -> None:
    [row] = judged(cites(3)).rows
    assert (row.new_article, row.change, row.kind) == (5, "moved_and_amended", "time_limit")


def test_a_removed_article_cancels_an_item_that_stands_on_nothing_else() -> None:
    [row] = judged(cites(7)).rows
    assert (row.new_article, row.change, row.outcome) == (None, "removed", "cancel")
    [row] = judged(cites(7), bases_of={"i-7": 1}).rows
    assert row.outcome == "change_basis"
    rows = judged(cites(7), cites(1, item_id="i-7", ord=1)).rows
    assert [row.outcome for row in rows] == ["change_basis"]


def test_an_editorial_change_stands_apart_and_is_not_selected() -> None:
    found = judged(cites(6))
    [row] = found.editorial
    assert (row.kind, row.outcome, row.preselected, found.rows) == ("editorial", "none", False, [])


def test_the_whole_law_is_no_alarm_but_shown() -> None:
    found = judged(cites(None))
    [row] = found.whole_law
    assert (row.old_article, row.outcome, row.preselected, found.rows) == (None, "none", False, [])


def test_a_citation_that_names_the_new_text_is_no_alarm() -> None:
    found = judged(cites(2, edition_on=NEW_DAY))
    assert (len(found.already_new), found.rows) == (1, [])


def test_a_citation_that_quotes_the_new_text_is_no_alarm() -> None:
    found = judged(cites(2, quoted="设立中央厨房，应当报市商务部门备案"))
    assert (len(found.already_new), found.rows) == (1, [])


def test_a_range_is_written_out_article_by_article() -> None:
    found = judged(cites(2, to_article=5))
    assert [row.old_article for row in found.rows] == [2, 3, 5]
    assert [row.old_article for row in found.indirect] == [4]


def test_an_unchanged_article_that_refers_to_a_changed_one_is_named_and_not_selected() -> None:
    [row] = judged(cites(4)).indirect
    assert (row.change, row.preselected) == ("unchanged", False) and "第三条" in row.reason


def test_an_article_the_old_text_does_not_have_is_to_be_checked() -> None:
    [row] = judged(cites(99)).uncertain
    assert (row.outcome, row.confidence) == ("check", 0.0)


def test_the_words_quoted_lead_to_the_part_of_a_split_article_the_item_stands_on() -> None:
    whole = "从事餐厨废弃物收集、运输、处置业务的企业，应当经过资质审查，具体办法由市人民政府规定。"
    rest = "部门委托企业从事前款规定的业务，应当与其签订保密协议，提出安全要求，采取安全措施。"
    old = (Article(no=1, text=whole + rest),)
    new = (
        Article(no=1, text="从事餐厨废弃物收集、运输、处置业务的企业，应当经过资质审查，取得相应资质。"),
        Article(no=2, text="采购服务的部门应当遵守规定。" + rest),
    )
    change = Amendment(title=TITLE, from_edition=OLD_DAY, to=text(articles=new), old=old)
    for quoted, number in ((whole, 1), (rest, 2)):
        [row] = impact_of_amendment(change, [cites(1, quoted=quoted)], bases_of={}, today=TODAY).rows
        assert row.new_article == number


def test_a_repeal_voids_every_citation_and_names_what_takes_its_place() -> None:
    found = impact_of_repeal(TITLE, [cites(2), cites(None, item_id="i-2b")], bases_of={"i-2b": 2}, by="示例市早餐条例")
    assert [(row.change, row.outcome) for row in found.rows] == [("removed", "cancel"), ("removed", "change_basis")]
    assert all("示例市早餐条例" in row.reason for row in found.rows)


def test_a_gap_in_the_library_is_said_on_every_row() -> None:
    header = (
        "2019年3月28日通过 根据2022年6月1日《关于修改的决定》第一次修正 根据2026年9月25日《关于修改的决定》第二次修正",
    )
    [row] = judged(cites(2), to=text(header=header)).rows
    assert row.gap is not None and "2022-06-01" in row.gap
    assert missing_editions(header, [date(2022, 6, 1), NEW_DAY]) == []


def test_a_text_not_yet_in_force_and_a_citation_of_an_older_one_are_said() -> None:
    [row] = judged(cites(2), to=text(effective_on=date(2027, 1, 1))).rows
    assert row.gap is not None and "尚未生效" in row.gap
    [row] = judged(cites(2, edition_on=date(2012, 5, 1))).rows
    assert row.gap is not None and "2012-05-01" in row.gap
    [row] = judged(cites(2)).rows
    assert row.gap is None


def test_a_regulation_that_cites_a_changed_article_leads_one_step_further() -> None:
    basis = cites(9, title=f"{TITLE}实施细则")
    found = implementing([basis, cites(8)], {(9, 0): [3, 2]}, f"{TITLE}实施细则", TITLE, {(2, 0): "修改"})
    assert [(row.old_article, row.preselected) for row in found] == [(9, False)]


def test_a_similar_title_is_left_to_a_person() -> None:
    [row] = candidates_of([cites(2, title="示例市餐饮服务营理条例")], TITLE)
    assert (row.outcome, row.confidence, row.preselected) == ("check", 0.5, False)


def test_a_law_that_is_only_mentioned_in_a_quoted_article_is_found_and_pre_selects_nothing() -> None:
    def quotes(item: str, words: str) -> CitedBasis:
        return cites(65, item_id=item, title="示例市专利条例", quoted=words)

    found = judged(cites(2, item_id="own"))
    whole, indirect = mentioned(
        [
            quotes("whole", f"当事人可以依照《{TITLE}》向窗口提出。"),
            quotes("changed", f"依照《{TITLE}》第三条的规定办理手续。"),
            quotes("unchanged", f"依照《{TITLE}》第一条的规定办理。"),
            quotes("own", f"依照《{TITLE}》办理。"),
            quotes("another", f"依照《{TITLE}实施细则》第三条办理。"),
        ],
        TITLE,
        TITLE,
        found,
        {"own"},
    )
    assert [(row.item_id, row.basis, row.old_article, row.outcome) for row in whole] == [
        ("whole", "《示例市专利条例》第六十五条", None, "none")
    ]
    assert [(row.item_id, row.preselected) for row in indirect] == [("changed", False)]
    assert "第三条" in indirect[0].reason and "移" in indirect[0].reason
