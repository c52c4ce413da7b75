"""An amending decision as a second witness: what it says it does, and whether the comparison agrees."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.amending import Instruction, as_json, read_decision, weigh
from models.domain.comparison import compare
from models.domain.law_text import Article

DECISION = """示例市人民代表大会常务委员会关于修改《示例市餐饮服务管理条例》的决定

（2026年9月25日示例市第三届人民代表大会常务委员会第九次会议通过）

示例市第三届人民代表大会常务委员会第九次会议决定对《示例市餐饮服务管理条例》作如下修改：
一、将第二条中的“经市商务部门批准”修改为“报市商务部门备案”。
二、增加一条，作为第三条：“网络餐饮服务第三方平台应当对入网经营者进行实名登记并审查资质。
“平台不得将第九条改为他用。”
三、将第三条改为第五条，修改为：“餐饮服务提供者应当自变更之日起十五日内办理变更手续。”
四、将第五条改为第八条。
五、删去第七条。
本决定自2026年11月1日起施行。《示例市餐饮服务管理条例》根据本决定作相应修改，重新公布。
"""
OLD = (
    "为了规范本市餐饮服务活动，保障公众身体健康，制定本条例。",
    "设立中央厨房，应当经市商务部门批准，并按照规定公示经营信息。",
    "餐饮服务提供者应当自变更之日起二十日内办理变更手续。",
    "早餐车占用道路经营的，应当依照本条例第三条的规定办理手续。",
    "举办大型活动提供集体用餐的，应当提前报告活动所在地市场监管部门。",
    "餐厨废弃物应当交由取得许可的单位收运，相关部门应当公布单位名单。",
    "流动摊贩应当在划定区域内经营，经营时段由区人民政府规定并公布。",
)
NEW = (
    OLD[0],
    OLD[1].replace("经市商务部门批准", "报市商务部门备案"),
    "网络餐饮服务第三方平台应当对入网经营者进行实名登记并审查资质。\n平台不得将第九条改为他用。",
    OLD[3].replace("第三条", "第五条"),
    OLD[2].replace("二十日", "十五日"),
    OLD[5],
    "本条例所称早餐车，是指在规定时段和地点提供早餐服务的移动式餐车。",
    OLD[4],
)


def articles(texts: tuple[str, ...]) -> tuple[Article, ...]:
    return tuple(Article(no=number, text=text) for number, text in enumerate(texts, start=1))


def acts(text: str) -> list[tuple[str, list[int], list[int]]]:
    return [(one.act, [n for n, _ in one.old], [n for n, _ in one.new]) for one in read_decision(text).instructions]


def test_a_decision_names_what_it_does_to_each_article_and_its_quotations_are_not_read() -> None:
    assert acts(DECISION) == [
        ("amended", [2], []),
        ("added", [], [3]),
        ("renumbered", [3], [5]),
        ("amended", [3], [5]),
        ("renumbered", [5], [8]),
        ("removed", [7], []),
    ]
    assert read_decision(DECISION).rest == ()


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("将第十条修改为：“甲。”", [("amended", [10], [])]),
        ("第十条第二款修改为：“甲。”", [("amended", [10], [])]),
        ("第十条增加一款，作为第三款：“甲。”", [("amended", [10], [])]),
        ("删去第十条第二款。", [("amended", [10], [])]),
        ("删去第十条、第十二条。", [("removed", [10, 12], [])]),
        ("将第十条删去。", [("removed", [10], [])]),
        ("将第五条、第六条中的“甲”修改为“乙”", [("amended", [5, 6], [])]),
        ("将第十条改为第十一条，第二款修改为：“甲。”", [("renumbered", [10], [11]), ("amended", [10], [11])]),
        (
            "将第十条、第十一条合并，作为第九条，修改为：“甲。”",
            [("renumbered", [10, 11], [9]), ("amended", [10, 11], [9])],
        ),
        ("将第十条、第十一条合并，改为第九条", [("renumbered", [10, 11], [9]), ("amended", [10, 11], [9])]),
        (
            "将第十条改为两条，作为第十条、第十一条：“甲。”",
            [("renumbered", [10], [10, 11]), ("amended", [10], [10, 11])],
        ),
        ("增加两条，分别作为第六条、第七条：“甲。”", [("added", [], [6, 7])]),
        ("增加三条，作为第六条至第八条：“甲。”", [("added", [], [6, 7, 8])]),
        ("在第五条后增加一条，作为第六条：“甲。”", [("added", [], [6])]),
        ("将第十条至第十二条改为第十三条至第十五条", [("renumbered", [10, 11, 12], [13, 14, 15])]),
    ],
)
def test_the_forms_a_decision_is_written_in(words: str, wanted: list[tuple[str, list[int], list[int]]]) -> None:
    assert acts(f"决定作如下修改：\n一、{words}") == wanted


def test_an_article_between_two_others_is_named_with_its_sub_number() -> None:
    [found] = read_decision("作如下修改：增加一条，作为第十条之一：“甲。”").instructions
    assert found == Instruction("added", (), ((10, 1),), "增加一条，作为第十条之一：“…”")


def test_what_was_not_understood_is_said() -> None:
    found = read_decision("作如下修改：\n一、删去附则。\n二、将名称修改为：“甲”。")
    assert found.instructions == () and found.rest == ("删去附则", "将名称修改为：“…”")


def test_agreement_and_every_disagreement_are_named() -> None:
    told = weigh(read_decision(DECISION), compare(articles(OLD), articles(NEW)))
    assert [one.act for one in told.agreed] == ["amended", "added", "renumbered", "amended", "renumbered", "removed"]
    assert [(one.said, one.new_article, one.compared, one.detail) for one in told.differ] == [
        (None, 7, "added", "决定没有提到该条")
    ]


def test_a_comparison_that_says_otherwise_is_a_disagreement() -> None:
    compared = compare(articles(OLD), articles(NEW))
    words = "作如下修改：一、将第一条修改为：“甲。”二、删去第五条。三、将第三条改为第四条。四、增加一条，作为第六条：“乙。”五、删去第九条。"
    details = [one.detail for one in weigh(read_decision(words), compared).differ if one.said is not None]
    assert details == [
        "决定说第一条有修改，对照为文字未改",
        "决定说第五条已删去，对照为现第八条",
        "决定说第三条改为第四条，对照为现第五条",
        "决定说第六条是新增，对照为原第六条",
        "旧文本没有第九条",
    ]


def test_what_is_said_can_be_read_by_other_programs() -> None:
    decision = read_decision(DECISION)
    told = as_json(decision, weigh(decision, compare(articles(OLD), articles(NEW))))
    assert json.loads(json.dumps(told)) == told
    assert told["agreed"][2] == {
        "act": "renumbered",
        "old_articles": [3],
        "new_articles": [5],
        "said": "将第三条改为第五条，修改为：“…”",
    }


PIECES = st.sampled_from(
    [
        "第一条",
        "第二条之一",
        "第九条",
        "至",
        "、",
        "中的",
        "“甲”",
        "修改为",
        "改为",
        "增加一条，作为",
        "删去",
        "将",
        "第二款",
        "合并",
        "。",
        "\n",
        "二、",
    ]
)


@given(st.lists(PIECES, max_size=25).map("".join))
def test_whatever_it_says_a_decision_is_read_and_every_silent_change_is_named(words: str) -> None:
    compared = compare(articles(OLD), articles(NEW))
    decision = read_decision(f"作如下修改：{words}")
    told = weigh(decision, compared)
    named = {number for one in decision.instructions for number, _ in (*one.old, *one.new)}
    for match in compared.matches:
        numbers = {article.no for article in (match.old, match.new) if article is not None}
        if match.change in {"removed", "added"} and not numbers & named:
            assert any(numbers & {one.old_article, one.new_article} for one in told.differ if one.said is None)
    for one in told.agreed:
        assert one in decision.instructions


def test_the_amendments_of_the_constitution_are_read_by_the_articles_they_name(real_data: Path) -> None:
    with (real_data / "laws" / "corpus_laws.jsonl").open(encoding="utf-8") as file:
        [text] = [row["text"] for line in file if (row := json.loads(line))["source_path"].endswith("05-amendment.md")]
    of_2018 = text.split("（2018年）")[1]
    whole = re.sub(r":::.*?:::", "", of_2018, flags=re.S).replace("宪法", "")
    sentences = [acts("作如下修改：" + one.split("条**", 1)[1]) for one in whole.split("**第")[1:]]
    amended = [number for one in sentences for act, old, _ in one if act == "amended" for number in old]
    assert amended == [1, 3, 4, 24, 27, 62, 63, 65, 67, 70, 79, 89, 100, 101, 103, 104, 107]
    assert [one for one in sentences[-1] if one[0] != "amended"] == [
        ("added", [], list(range(123, 128))),
        ("renumbered", list(range(123, 139)), list(range(128, 144))),
    ]
