"""A law, its dated texts and one article of it: words, neighbours, other texts, who cites it, what was decided."""

from __future__ import annotations

import re
from datetime import date

import pytest
from sqlalchemy import text, update

from models.actions import steering
from models.domain.law_text import Article, LawText
from models.store import laws
from models.store.change import ADJUSTMENT, adjustments
from portal.pages import law_address
from tests.factories import dated_law
from tests.hostile import HOSTILE
from tests.law_office import CHANGE, TITLE
from tests.portal.conftest import Office
from tests.portal.test_injection import read
from tests.unit.test_impact import NEW_DAY, OLD, OLD_DAY


@pytest.fixture
def office(law_office_portal: Office) -> Office:
    return law_office_portal


def address(day: date, no: int | None = None, sub: int | None = None) -> str:
    return law_address(TITLE, day, no, sub)


def shown(page: str) -> str:
    """The text of a page without its tags."""
    return re.sub(r"\s+", "", re.sub(r"<[^>]+>", "", page))


def test_an_article_shows_its_words_its_neighbours_and_where_it_went(office: Office) -> None:
    page = office.client.get(address(OLD_DAY, 3)).text
    assert "餐饮服务提供者应当自变更之日起二十日内" in shown(page)
    assert f'href="{address(OLD_DAY, 2)}">第二条</a>' in page
    assert f'href="{address(OLD_DAY, 4)}">第四条</a>' in page
    assert "法条对照：原第三条，现第五条" in page
    assert "<del>二十</del>" in page and "<ins>十五</ins>" in page
    assert f'href="{address(NEW_DAY, 5)}"' in page
    assert "库中没有更早的文本。" in page


def test_the_newer_article_says_where_it_was_and_a_new_one_that_it_is_new(office: Office) -> None:
    page = office.client.get(address(NEW_DAY, 5)).text
    assert "法条对照：原第三条，现第五条" in page and "这是库中最新的文本。" in page
    assert "本文本新增的条文。" in office.client.get(address(NEW_DAY, 3)).text
    gone = office.client.get(address(OLD_DAY, 7)).text
    assert "没有对应的条文。" in gone and "变动：删除" in gone


def test_an_article_shows_the_division_it_stands_under(office: Office) -> None:
    articles = (
        Article(no=1, text="为了规范，制定本办法。", division=("第一编 总则", "第一章 一般规定")),
        Article(no=1, sub=1, text="本办法所称甲，是指乙。", division=("第一编 总则", "第一章 一般规定")),
    )
    law = LawText(
        title="示例市甲办法", edition_on=NEW_DAY, promulgated_on=NEW_DAY, effective_on=date(2027, 1, 1), certainty="certain",
        header=(), articles=articles,
    )  # fmt: skip
    with office.story.db.writer() as connection:
        laws.save_law(connection, law)
    page = office.client.get(law_address("示例市甲办法", NEW_DAY, 1, 1)).text
    assert "<h1>《示例市甲办法》第一条之一</h1>" in page
    assert "第一编 总则 第一章 一般规定" in page and "尚未施行" in page
    assert "目前没有事项引用本条。" in page and "还没有变更涉及本条。" in page
    whole = office.client.get(law_address("示例市甲办法")).text
    assert (
        whole.count("第一编 总则 第一章 一般规定") == 1
        and f'href="{law_address("示例市甲办法", NEW_DAY, 1, 1)}"' in whole
    )


def test_an_article_names_the_items_that_cite_it_and_those_that_cite_the_whole_law(office: Office) -> None:
    page = office.client.get(address(OLD_DAY, 6)).text
    assert "现在引用本条的事项（2 项）" in page
    assert "集体用餐配送报告" in page and "餐厨废弃物收运核准" in page and "流动摊贩经营许可" not in page
    assert "另有 1 项引用整部法规" in page


def test_a_basis_that_names_another_text_cites_the_article_of_that_text(office: Office) -> None:
    with office.story.db.writer() as connection:
        connection.execute(text("update basis set edition_on = :day where article = 6"), {"day": NEW_DAY})
    assert "目前没有事项引用本条。" in office.client.get(address(OLD_DAY, 6)).text
    assert "现在引用本条的事项（2 项）" in office.client.get(address(NEW_DAY, 6)).text


def test_a_range_cites_every_article_between_its_ends(office: Office) -> None:
    with office.story.db.writer() as connection:
        connection.execute(text("update basis set to_article = 6 where article = 4"))
    page = office.client.get(address(OLD_DAY, 5)).text
    assert "早餐车占道手续" in page and "第四条至第六条" in page


def test_a_citation_under_a_former_title_stands_at_the_article_with_that_title(office: Office) -> None:
    with office.story.db.writer() as connection:
        header = "2019年3月28日通过　根据2020年1月1日《关于修改〈示例市集体供餐管理条例〉的决定》修正"
        connection.execute(text("update law_version set header = :header"), {"header": header})
        connection.execute(
            text("update basis set title = :title, canonical = :title where article = 4 and title = :now"),
            {"title": "示例市集体供餐管理条例", "now": TITLE},
        )
    page = shown(office.client.get(address(OLD_DAY, 4)).text)
    assert (
        "现在引用本条的事项（1项）" in page
        and "早餐车占道手续" in page
        and "所引旧名：《示例市集体供餐管理条例》" in page
    )


def test_a_change_that_went_over_a_text_stands_at_the_articles_of_that_text_too(office: Office) -> None:
    between = date(2024, 5, 6)
    articles = tuple(Article(no=one.no + 10, text=one.text) for one in OLD)
    with office.story.db.writer() as connection:
        laws.save_law(connection, dated_law(TITLE, between, articles))
    decided(office)
    assert CHANGE["title"] in office.client.get(address(between, 13)).text
    assert CHANGE["title"] not in office.client.get(address(between, 11)).text


def decided(office: Office) -> None:
    """A change whose scope left what was pre-selected as no adjustment."""
    office.story.start("law_change", CHANGE)
    office.story.says("p-zhou", "confirm", comment="均已核对")


def test_what_was_decided_is_told_with_names_to_coordinators_alone(office: Office) -> None:
    decided(office)
    public = office.client.get(address(OLD_DAY, 6)).text
    history = public.split('id="d"')[1]
    assert "集体用餐配送报告" in history and CHANGE["title"] in history
    assert (
        "餐厨废弃物收运核准" not in history
        and "周敏" not in public
        and f"/changes/{office.story.change_id}" not in public
    )
    assert "统筹协调人登录后查看" in public
    office.sign_in()
    page = office.client.get(address(OLD_DAY, 6)).text.split('id="d"')[1]
    assert "餐厨废弃物收运核准" in page and "周敏" in page and f'href="/changes/{office.story.change_id}"' in page


def test_a_change_is_told_at_the_article_it_touched_in_the_old_text_and_in_the_new_and_nowhere_else(
    office: Office,
) -> None:
    decided(office)
    for path, touched in ((address(OLD_DAY, 3), True), (address(NEW_DAY, 5), True), (address(NEW_DAY, 3), False)):
        assert (CHANGE["title"] in office.client.get(path).text) is touched, path


def test_a_withdrawn_change_is_shown_to_coordinators_as_withdrawn(office: Office) -> None:
    office.story.start("law_change", CHANGE)
    steering.withdraw(
        office.story.db, change_id=office.story.change_id, by="p-zhou", reason="重复", now=office.story.now, collect_minutes=0
    )  # fmt: skip
    assert CHANGE["title"] not in office.client.get(address(OLD_DAY, 3)).text
    office.sign_in()
    assert "变更已撤回" in office.client.get(address(OLD_DAY, 3)).text


def test_the_laws_page_the_items_page_and_the_changes_page_lead_to_the_article(office: Office) -> None:
    assert f'href="{law_address(TITLE)}"' in office.client.get("/laws").text
    law = office.client.get(law_address(TITLE)).text
    assert f'href="{address(NEW_DAY, 5)}"' in law and f'href="{address(OLD_DAY)}"' in law
    with office.story.db.writer() as connection:
        connection.execute(text("update item_version set code = '990700000001' where item_id = 'itm-1'"))
    assert f'href="{address(NEW_DAY, 2)}"' in office.client.get("/i/990700000001").text
    decided(office)
    office.sign_in()
    change = office.client.get(f"/changes/{office.story.change_id}").text
    assert f'href="{address(OLD_DAY, 3)}"' in change and f'href="{address(NEW_DAY, 5)}"' in change


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/laws/没有的法", "法规库中没有《没有的法》"),
        (law_address(TITLE, "1999-01-01"), "没有 1999-01-01 的文本"),
        (law_address(TITLE, "1999-13-41"), "没有 1999-13-41 这一天的文本"),
        (law_address(TITLE, OLD_DAY, 99), "的文本没有第九十九条"),
        (law_address(TITLE, OLD_DAY, 3, 1), "的文本没有第三条之一"),
        (law_address(TITLE, OLD_DAY) + "/abc", "的文本没有条文“abc”"),
        (law_address(TITLE, OLD_DAY) + "/99999999999999999999", "的文本没有条文"),
    ],
)
def test_what_the_library_does_not_have_is_answered_with_a_sentence(office: Office, path: str, words: str) -> None:
    answer = office.client.get(path)
    assert answer.status_code == 404 and words in answer.text
    assert office.client.get(path + "?lang=en").status_code == 404


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_titles_and_words_stay_text_in_both_languages(office: Office, hostile: str) -> None:
    title = f"示例{hostile}办法"
    law = LawText(
        title=title, edition_on=NEW_DAY, promulgated_on=NEW_DAY, effective_on=None, certainty="uncertain",
        header=(), articles=(Article(no=1, text=hostile, division=(hostile.replace("\n", " "),)),),
    )  # fmt: skip
    with office.story.db.writer() as connection:
        laws.save_law(connection, law)
        kept = (
            connection.execute(text("select title from law where title like '示例%办法' order by id")).scalars().all()
        )
    assert title.strip() in kept
    for language in ("zh", "en"):
        for path in (law_address(title), law_address(title, NEW_DAY), law_address(title, NEW_DAY, 1), "/laws"):
            answer = office.client.get(f"{path}?lang={language}")
            assert answer.status_code == 200, (path, answer.text[:300])
            read(answer.text)


def test_both_languages_show_the_page(office: Office) -> None:
    decided(office)
    page = office.client.get(address(OLD_DAY, 2) + "?lang=en").text
    for words in ("In the next text", "Changes that touched this article", "Next article", "Article side by side"):
        assert words in page


def test_the_desk_opens_with_the_changed_articles_and_leads_from_one_to_the_next(office: Office) -> None:
    office.story.start("law_change", CHANGE)
    page = office.client.get(office.newest_link("p-zhou")).text
    opening = page[page.index('id="law"') : page.index("<form")]
    places = re.findall(r'<a href="#(law-[^"]+)">(第.+?条)</a>', opening)
    assert [name for _, name in places] == ["第二条", "第四条", "第三条", "第六条", "第七条", "第五条"]
    assert all(page.count(f'id="{place}"') == 1 for place, _ in places)
    assert "中央厨房设立审批" in opening and "时限变更" in opening
    third = page[page.index(f'id="{places[2][0]}"') :]
    third = third[: third.index("</section>")]
    assert "原第三条" in third and "法条对照：原第三条，现第五条" in third
    assert f'上一条：<a href="#{places[1][0]}">' in third and f'下一条：<a href="#{places[3][0]}">' in third


def test_the_words_beside_a_proposal_are_those_it_was_made_from(office: Office) -> None:
    """However the articles would be matched by themselves, the desk shows the one that the hint names."""
    office.story.start("law_change", CHANGE)
    with office.story.db.writer() as connection:
        [line] = [
            row
            for row in adjustments(connection, change_id=office.story.change_id)
            if row["name"] == "流动摊贩经营许可"
        ]
        hint = {
            **line["hint"],
            "articles": [{**line["hint"]["articles"][0], "new_article": 8, "change": "moved_and_amended"}],
        }
        connection.execute(update(ADJUSTMENT).where(ADJUSTMENT.c.id == line["id"]).values(hint=hint))
    page = office.client.get(office.newest_link("p-zhou")).text
    assert "法条对照：原第七条，现第八条" in page


def test_from_every_row_of_a_desk_the_texts_of_the_law_can_be_reached(office: Office) -> None:
    office.story.start("law_change", CHANGE)
    path = office.newest_link("p-zhou")
    page = office.client.get(path).text
    rows = page.split('<article class="adj"')[1:]
    assert len(rows) == 9
    for row in rows:
        assert f'href="{address(OLD_DAY)}"' in row and f'href="{address(NEW_DAY)}"' in row
    for link in set(re.findall(r'href="(/laws/[^"]+)"', page)):
        assert office.client.get(link).status_code == 200, link
