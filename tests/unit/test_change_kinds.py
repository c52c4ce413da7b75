"""What kind of change an article brings, told from one or two changed words."""

from __future__ import annotations

import pytest

from models.domain.change_kinds import KINDS, kind_of_change


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("设立早餐网点，应当经市商务部门批准。", "设立早餐网点，应当报市商务部门备案。", "approval_to_filing"),
        ("设立早餐网点的，应当经审批后开业。", "设立早餐网点的，应当自行开业。", "approval_dropped"),
        ("设立早餐网点的，可以自行开业。", "设立早餐网点的，经核准可以自行开业。", "approval_added"),
        ("申请人应当提交健康证明。", "申请人可以采取告知承诺方式提交健康证明。", "commitment_added"),
        ("由市卫生行政部门负责。", "由市疾病预防控制部门负责。", "authority"),
        ("由食品药品监督管理部门负责。", "由食品安全监督管理部门负责。", "authority"),
        ("由商务、质量监督部门负责。", "由商务部门负责。", "authority"),
        ("审批机关应当出具意见。", "市商务部门应当出具意见。", "authority"),
        ("自收到之日起六个月内提出。", "自收到之日起三个月内提出。", "time_limit"),
        ("自受理之日起十日内决定。", "自受理之日起十个工作日内决定。", "time_limit"),
        ("处一千元以下罚款。", "处二千元以下罚款。", "amount"),
        ("处货值五倍以下罚款。", "处货值十倍以下罚款。", "amount"),
        ("经营者必须公示。", "经营者应当公示。", "duty"),
        ("部门可以建立清单。", "部门应当建立清单。", "duty"),
        ("从业者应当具备三级资格。", "从业者应当具备相应能力。", "condition"),
        ("提交申请书和租赁合同复印件。", "提交申请书。", "material"),
        ("本条例适用于流动摊点。", "本条例适用于流动摊点以及固定摊点。", "scope"),
        ("逾期不办的，可以由登记机关吊销执照。", "逾期不办的，登记机关可以吊销执照。", "editorial"),
        ("向公安机关报告，不向登记机关报告的。", "向公安机关报告而不向登记机关报告的。", "content"),
        ("在中国境内设立分支机构。", "在中华人民共和国境内设立分支机构。", "editorial"),
        ("对直接负责的主管人员给予处分。", "对直接负责的领导人员给予处分。", "content"),
        ("会计帐簿登记。", "会计账簿登记。", "editorial"),
        ("依照本条例第十条的规定办理。", "依照本条例第十二条的规定办理。", "editorial"),
        ("相关部门负责。", "有关部门负责。", "editorial"),
        ("下列情形:一是超时", "下列情形：一是超时。", "editorial"),
        ("网点分为三类。", "网点分为早餐和夜市。", "content"),
    ],
)
def test_the_changed_words_tell_the_kind(old: str, new: str, kind: str) -> None:
    assert kind_of_change(old, new).kind == kind


def test_the_weightiest_place_gives_the_article_its_kind_and_says_which_words_told() -> None:
    found = kind_of_change(
        "设立早餐网点须经市商务部门批准。相关材料应当在二十日内备齐。",
        "设立早餐网点须报市商务部门备案。有关材料应当在十五日内备齐。",
    )
    assert found.kind == "approval_to_filing"
    assert [(place.old, place.new) for place in found.telling] == [("批准", "备案")]
    assert {place.kind for place in found.places} >= {"time_limit", "editorial"}


def test_equal_texts_have_no_place_that_differs() -> None:
    assert kind_of_change("同一条文。", "同一条文。").places == ()


def test_every_kind_has_a_name() -> None:
    assert all(KINDS.values())
