"""Loading real and made-up files into an empty catalogue, twice, and over the sample office; on both databases."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from models.actions.load import Loaded, load, load_calendar
from models.actions.starting import register
from models.actions.views import change_list
from models.domain.content import ItemContent
from models.domain.errors import BadInput, Unusable
from models.store import catalogue, laws, office, quick
from models.store.database import Database
from models.store.migrate import migrate
from models.store.publication import new_publication
from models.store.sql import table
from models.tables import Assignment, Document, Item, ItemVersion, ListSnapshot, Publication, Step, Workday, metadata
from tests.factories import LAW as LAW_NAME
from tests.factories import NEW, OLD, small_office

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
DEPARTMENTS = """id,full,short,uscc,level,region,superior
d-civil,示例市民政局,市民政局,,2,990000,d-gov
d-gov,示例市人民政府,市政府,,2,990000,
d-service,示例市政务服务办公室,市政务服务办,,2,990000,d-gov
"""
PEOPLE = """id,name,email,department,roles,level,region,from,to
p-1,周敏,zhou@shili.example,d-service,coordinator,2,990000,2020-01-01,
p-2,何晓岚,he@shili.example,市民政局,drafter;approver,2,990000,,
"""
ITEMS = """事项名称,事项类型,事项编码,主管部门,设定和实施依据
社会团体登记,01,990100001000,市民政局,《社会团体登记管理条例》（2016年2月6日修订）第三条至第五条
养老机构备案,其他类别,990100002000,示例市民政局,《中华人民共和国老年人权益保障法》第四十三条第二款：“设立养老机构应当登记。”
"""
LAW = """# 社会团体登记管理条例

（2016年2月6日修订）

<!-- INFO END -->

**第一条**　为了保障公民的结社自由，制定本条例。

**第二条**　本条例自公布之日起施行。
"""


@pytest.fixture(autouse=True)
def schema(db: Database) -> None:
    migrate(db)


def write(folder: Path, **files: str) -> list[Path]:
    """Files by name (`items_csv` is items.csv)."""
    paths = []
    for name, text in files.items():
        path = folder / name.replace("_", ".")
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


def run(db: Database, *paths: Path, **more: Any) -> Loaded:
    return load(db, paths=list(paths), now=more.pop("now", NOW), **more)


def rows(db: Database, model: Any, *columns: str) -> list[tuple[Any, ...]]:
    target = table(model)
    with db.reader() as connection:
        return [tuple(row) for row in connection.execute(select(*(target.c[name] for name in columns)))]


def counts(loaded: Loaded) -> tuple[int, int, int, int]:
    """Added, changed, unchanged, refused over all files."""
    names = ("added", "changed", "unchanged", "refused")
    added, changed, unchanged, refused = (sum(getattr(file, name) for file in loaded.files) for name in names)
    return added, changed, unchanged, refused


def found_item(db: Database, code: str, kind: str | None = None) -> catalogue.VersionRow:
    with db.reader() as connection:
        version = catalogue.find_target(connection, kind, code)
    assert version is not None
    return version


# --- what a load does ----------------------------------------------------------------------------------------------


def test_files_are_loaded_in_the_right_order_whatever_order_they_are_given_in(db: Database, tmp_path: Path) -> None:
    paths = write(tmp_path, items_csv=ITEMS, people_csv=PEOPLE, law_md=LAW, departments_csv=DEPARTMENTS)
    loaded = run(db, *paths)
    assert [file.kind for file in loaded.files] == ["items", "people", "laws", "departments"]
    assert counts(loaded) == (8, 0, 0, 0)
    assert [file.warned for file in loaded.files] == [0, 0, 0, 0]
    assert found_item(db, "990100001000").department_id == "d-civil"


def test_a_second_load_of_the_same_files_changes_nothing_and_publishes_nothing(db: Database, tmp_path: Path) -> None:
    paths = write(tmp_path, items_csv=ITEMS, people_csv=PEOPLE, law_md=LAW, departments_csv=DEPARTMENTS)
    run(db, *paths)
    again = run(db, *paths, now=NOW + timedelta(days=400))
    assert counts(again) == (0, 0, 8, 0)
    assert again.publication is None
    assert len(rows(db, Publication, "id")) == 1


def test_the_first_load_of_items_is_the_initial_catalogue_with_the_file_as_its_document(
    db: Database, tmp_path: Path
) -> None:
    [path] = write(tmp_path, items_csv=ITEMS)
    loaded = run(db, path)
    [(publication_id, number, title, document)] = rows(db, Publication, "id", "number", "title", "document_id")
    assert (number, title) == (loaded.publication, "初始目录")
    mark = hashlib.sha256(path.read_bytes()).hexdigest()
    assert rows(db, Document, "id", "sha256", "title", "owner_id") == [(document, mark, "items.csv", publication_id)]
    assert rows(db, ListSnapshot, "list", "total", "added") == [("行政许可事项清单", 1, 1)]


def test_several_item_files_of_one_load_are_one_publication_with_a_document_each(db: Database, tmp_path: Path) -> None:
    head, first, second = ITEMS.strip().split("\n")
    paths = write(tmp_path, a_csv=f"{head}\n{first}\n", b_csv=f"{head}\n{second}\n")
    run(db, *paths)
    assert len(rows(db, Publication, "id")) == 1
    assert sorted(rows(db, Document, "title")) == [("a.csv",), ("b.csv",)]


def test_a_later_load_with_a_change_is_a_publication_of_what_changed(db: Database, tmp_path: Path) -> None:
    [path] = write(tmp_path, items_csv=ITEMS)
    run(db, path)
    write(tmp_path, items_csv=ITEMS.replace("养老机构备案", "养老机构登记"))
    later = run(db, path, now=NOW + timedelta(days=1))
    assert counts(later) == (0, 1, 1, 0)
    assert sorted(rows(db, Publication, "title")) == [("初始目录",), ("导入",)]
    version = found_item(db, "990100002000")
    assert (version.no, version.name, version.valid_from) == (2, "养老机构登记", NOW + timedelta(days=1))


def publish_change(db: Database, code: str, at: datetime, **values: Any) -> None:
    """What a change leaves behind: a new version of an item, made by an adjustment."""
    standing = found_item(db, code)
    content = ItemContent.model_validate({**standing.content, **values})
    version = catalogue.NewVersion.of(standing.item_id, content, department_id=None, adjustment_id="adj-1")
    with db.writer() as connection:
        publication, _ = new_publication(connection, change_id=None, title="变更", effective_at=at, now=at)
        catalogue.write_versions(connection, publication_id=publication, versions=[version], effective_at=at, now=at)


def test_a_second_load_does_not_take_back_what_a_change_has_published(db: Database, tmp_path: Path) -> None:
    [path] = write(tmp_path, items_csv=ITEMS)
    run(db, path)
    publish_change(db, "990100001000", NOW + timedelta(days=1), name="社会团体设立登记")
    again = run(db, path, now=NOW + timedelta(days=2))
    assert counts(again) == (0, 0, 2, 0)
    assert found_item(db, "990100001000").name == "社会团体设立登记"


def test_a_file_that_differs_from_the_last_load_wins_over_a_change_and_says_so(db: Database, tmp_path: Path) -> None:
    [path] = write(tmp_path, items_csv=ITEMS)
    run(db, path)
    publish_change(db, "990100001000", NOW + timedelta(days=1), name="社会团体设立登记")
    write(tmp_path, items_csv=ITEMS.replace("社会团体登记,", "社会团体成立登记,"))
    later = run(db, path, now=NOW + timedelta(days=2))
    assert counts(later) == (0, 1, 1, 0)
    assert [problem.row for problem in later.files[0].problems if "经变更调整过" in problem.message] == [2]
    assert found_item(db, "990100001000").name == "社会团体成立登记"


def test_a_folder_given_is_its_files_and_a_file_given_twice_is_loaded_once(db: Database, tmp_path: Path) -> None:
    paths = write(tmp_path, items_csv=ITEMS, departments_csv=DEPARTMENTS)
    loaded = run(db, tmp_path, *paths)
    assert sorted(Path(file.file).name for file in loaded.files) == ["departments.csv", "items.csv"]


# --- items ---------------------------------------------------------------------------------------------------------


def test_bases_are_read_from_the_text_with_ranges_and_the_text_is_kept(db: Database, tmp_path: Path) -> None:
    run(db, *write(tmp_path, items_csv=ITEMS))
    basis = catalogue.BASIS.c
    with db.reader() as connection:
        query = select(basis.canonical, basis.edition_on, basis.article, basis.to_article, basis.paragraph)
        found = set(connection.execute(query).tuples().all())
    assert found == {
        ("社会团体登记管理条例", date(2016, 2, 6), 3, 5, None),
        ("老年人权益保障法", None, 43, None, 2),
    }
    content = found_item(db, "990100002000").content
    assert content["bases"][0]["quoted"] == "设立养老机构应当登记。"
    assert content["extra"]["设定和实施依据（原文）"].startswith("《中华人民共和国老年人权益保障法》第四十三条")


def test_an_unknown_department_is_a_warning_that_names_a_similar_one(db: Database, tmp_path: Path) -> None:
    items = ITEMS.replace(",市民政局,", ",市民正局,")
    loaded = run(db, *write(tmp_path, departments_csv=DEPARTMENTS, items_csv=items))
    report = loaded.files[1]
    assert (report.taken, report.warned, report.refused, loaded.exit_code) == (1, 1, 0, 0)
    message = "第 2 行“主管部门”：没有名为“市民正局”的部门，相近的有：市民政局、示例市民政局，已导入，请核对。"
    assert [problem.message for problem in report.problems] == [message]
    version = found_item(db, "990100001000")
    assert (version.department_id, version.department_text) == (None, "市民正局")


def test_a_row_without_a_name_is_refused_and_the_others_are_loaded(db: Database, tmp_path: Path) -> None:
    loaded = run(db, *write(tmp_path, items_csv=ITEMS + ",01,990100003000,市民政局,\n"))
    report = loaded.files[0].as_json()
    assert (report["rows"], report["refused"], report["added"]) == (3, 1, 2)
    assert report["rows"] == report["taken"] + report["warned"] + report["refused"]
    assert report["added"] + report["changed"] + report["unchanged"] == report["taken"] + report["warned"]
    assert [problem["row"] for problem in report["problems"] if problem["level"] == "refusal"] == [4]
    assert loaded.exit_code == 1


def test_a_handling_item_gets_the_implementation_and_the_item_its_code_names(db: Database, tmp_path: Path) -> None:
    code = "11990000MB0000000K2" + "990100001000" + "01"
    text = f"TASK_CODE,TASK_NAME,TASK_TYPE,DEPT_NAME,CATAID,subCatalogName\n{code},社团名称变更,01,市民政局,990100001000,社团登记\n"
    first = run(db, *write(tmp_path, g_csv=text))
    assert counts(first) == (1, 0, 0, 0)
    item = catalogue.ITEM.c
    with db.reader() as connection:
        parents = dict(connection.execute(select(item.id, item.parent_id)).tuples().all())
    handling = found_item(db, code, "handling")
    implementation = found_item(db, code[:31], "implementation")
    above = found_item(db, "990100001000", "item")
    assert (parents[handling.item_id], parents[implementation.item_id]) == (implementation.item_id, above.item_id)
    assert (above.name, implementation.name) == ("社团登记", "社团名称变更")


def test_a_parent_that_stands_in_the_catalogue_is_not_made_again(db: Database, tmp_path: Path) -> None:
    code = "11990000MB0000000K2" + "990100001000"
    text = f"TASK_CODE,TASK_NAME,TASK_TYPE,DEPT_NAME,CATAID\n{code},社会团体成立登记,01,市民政局,990100001000\n"
    run(db, *write(tmp_path, items_csv=ITEMS))
    run(db, *write(tmp_path, g_csv=text), now=NOW + timedelta(days=1))
    with db.reader() as connection:
        assert catalogue.count_items(connection) == 3


def test_the_same_item_in_two_files_of_one_load_is_one_item_and_stays_so(db: Database, tmp_path: Path) -> None:
    paths = write(tmp_path, a_csv=ITEMS, b_csv=ITEMS.replace("养老机构备案", "养老机构登记"))
    first = run(db, *paths)
    assert counts(first) == (2, 0, 2, 0)
    assert found_item(db, "990100002000").name == "养老机构登记"
    assert counts(run(db, *paths, now=NOW + timedelta(days=1))) == (0, 0, 4, 0)


# --- departments and people ----------------------------------------------------------------------------------------


def test_a_department_may_name_a_superior_further_down_and_changes_are_counted(db: Database, tmp_path: Path) -> None:
    [path] = write(tmp_path, departments_csv=DEPARTMENTS)
    run(db, path)
    target = office.DEPARTMENT.c
    with db.reader() as connection:
        found = {row.id: row for row in connection.execute(select(target.id, target.superior_id, target.office))}
    assert (found["d-civil"].superior_id, found["d-civil"].office) == ("d-gov", "")
    assert (found["d-service"].office, found["d-gov"].office) == ("service", "government")
    write(tmp_path, departments_csv=DEPARTMENTS.replace("示例市民政局,市民政局", "示例市民政局,市民政"))
    assert counts(run(db, path)) == (0, 1, 2, 0)


def test_a_column_no_field_has_is_said_and_kept(db: Database, tmp_path: Path) -> None:
    text = "id,full,电话\nd-1,示例市档案局,12345\n"
    loaded = run(db, *write(tmp_path, departments_csv=text))
    assert ["列“电话”" in problem.message for problem in loaded.files[0].problems] == [True]
    with db.reader() as connection:
        assert json.loads(office.get_meta(connection, "columns.departments") or "") == {"d-1": {"电话": "12345"}}


def test_people_come_with_their_posts_and_addresses(db: Database, tmp_path: Path) -> None:
    run(db, *write(tmp_path, departments_csv=DEPARTMENTS, people_csv=PEOPLE))
    with db.reader() as connection:
        found = office.people(connection)
        assert [row.person_id for row in office.coordinators(connection, NOW.date())] == ["p-1"]
    assert {**found[1], "roles": sorted(found[1]["roles"])} == {
        "id": "p-2", "name": "何晓岚", "email": "he@shili.example",
        "department": {"id": "d-civil", "name": "市民政局"}, "roles": ["approver", "drafter"],
    }  # fmt: skip


def test_a_role_the_file_no_longer_names_ends_and_a_new_one_begins(db: Database, tmp_path: Path) -> None:
    paths = write(tmp_path, departments_csv=DEPARTMENTS, people_csv=PEOPLE)
    run(db, *paths)
    write(tmp_path, people_csv=PEOPLE.replace("drafter;approver", "drafter;list_reviewer"))
    assert counts(run(db, *paths)) == (0, 1, 4, 0)
    with db.reader() as connection:
        held = {
            role: [one.person_id for one in office.eligible(connection, role=role, on=NOW.date())]
            for role in ("drafter", "approver", "list_reviewer")
        }
    assert held == {"drafter": ["p-2"], "approver": [], "list_reviewer": ["p-2"]}
    assert counts(run(db, *paths, now=NOW + timedelta(days=3))) == (0, 0, 5, 0)


def test_an_address_that_cannot_be_used_is_not_registered_and_a_shared_one_is_marked(
    db: Database, tmp_path: Path
) -> None:
    text = PEOPLE + "p-3,申正,a&b@shili.example,d-gov,approver,,,,\np-4,陆清,HE@shili.example,d-gov,,,,,\n"
    loaded = run(db, *write(tmp_path, departments_csv=DEPARTMENTS, people_csv=text))
    assert (loaded.files[1].warned, loaded.exit_code) == (3, 0)
    contact = office.CONTACT.c
    with db.reader() as connection:
        found = dict(connection.execute(select(contact.person_id, contact.shared)).tuples().all())
    assert found == {"p-1": False, "p-2": True, "p-4": True}


def test_a_person_of_an_unknown_department_is_loaded_without_a_post_and_said(db: Database, tmp_path: Path) -> None:
    loaded = run(db, *write(tmp_path, people_csv=PEOPLE))
    assert (loaded.files[0].warned, loaded.files[0].added) == (2, 2)
    with db.reader() as connection:
        assert connection.execute(select(func.count()).select_from(office.POST)).scalar_one() == 0


# --- files that cannot be used -------------------------------------------------------------------------------------


def test_a_missing_file_is_refused_by_name_and_the_others_are_loaded(db: Database, tmp_path: Path) -> None:
    [path] = write(tmp_path, departments_csv=DEPARTMENTS)
    loaded = run(db, tmp_path / "none.csv", path)
    assert loaded.exit_code == 2
    assert "none.csv 不存在或者无法读取：没有这个文件" in loaded.files[0].problems[0].message
    assert (loaded.files[0].rows, loaded.files[1].added) == (0, 3)


def test_a_file_of_another_kind_than_told_is_refused(db: Database, tmp_path: Path) -> None:
    loaded = run(db, *write(tmp_path, departments_csv=DEPARTMENTS), kind="people")
    assert (loaded.exit_code, loaded.files[0].rows) == (2, 0)
    assert "内容是 departments，不是 people" in loaded.files[0].problems[0].message
    with pytest.raises(BadInput) as error:
        run(db, tmp_path, kind="nothing")
    assert error.value.code == "field_invalid"


def test_a_law_without_articles_is_refused_and_the_next_one_is_loaded(db: Database, tmp_path: Path) -> None:
    paths = write(tmp_path, bad_md="# 空条例\n\n没有条文。\n", good_md=LAW)
    loaded = run(db, *paths)
    assert (loaded.exit_code, counts(loaded)) == (1, (1, 0, 0, 1))
    assert "没有识别出条文" in loaded.files[0].problems[0].message


def test_of_two_copies_of_one_text_the_later_one_stands_and_stays(db: Database, tmp_path: Path) -> None:
    paths = write(
        tmp_path, a_md=LAW, b_md=LAW.replace("结社自由", "结社的自由"), c_md=LAW.replace("结社自由", "结社的自由")
    )
    first = run(db, *paths)
    assert ([file.added for file in first.files], [file.warned for file in first.files]) == ([0, 0, 1], [1, 0, 0])
    again = run(db, *paths)
    assert counts(again) == (0, 0, 3, 0)
    with db.reader() as connection:
        law = laws.law_by_title(connection, "社会团体登记管理条例")
        assert law is not None
        assert "结社的自由" in laws.articles(connection, law.id, date(2016, 2, 6))[0].text


# --- the sample office ---------------------------------------------------------------------------------------------


def test_real_data_are_not_mixed_with_the_sample_office(db: Database, tmp_path: Path) -> None:
    small_office(db, NOW, schema=False)
    with db.writer() as connection:
        office.set_meta(connection, "sample", "true")
    [path] = write(tmp_path, departments_csv=DEPARTMENTS)
    with pytest.raises(Unusable) as error:
        run(db, path)
    assert (error.value.code, "--replace-sample" in error.value.message) == ("sample_mixed", True)
    with db.reader() as connection:
        assert "d-civil" not in office.departments(connection)


def test_replacing_the_sample_empties_it_and_keeps_the_holidays(db: Database, tmp_path: Path) -> None:
    small_office(db, NOW, schema=False)
    with db.writer() as connection:
        office.set_meta(connection, "sample", "true")
        office.save_workdays(connection, {date(2027, 1, 1): False})
    loaded = run(db, *write(tmp_path, departments_csv=DEPARTMENTS, items_csv=ITEMS), replace_sample=True)
    assert counts(loaded) == (5, 0, 0, 0)
    assert rows(db, Publication, "title", "number") == [("初始目录", loaded.publication)]
    with db.reader() as connection:
        assert not office.is_sample(connection)
        assert set(office.departments(connection)) == {"d-civil", "d-gov", "d-service"}
        assert laws.laws(connection) == []
        full = [t.name for t in metadata.sorted_tables if connection.execute(select(t).limit(1)).first()]
    assert "workday" in full and not {"person", "change", "assignment", "notice"} & set(full)


def test_the_sample_stays_where_no_file_can_be_used(db: Database, tmp_path: Path) -> None:
    small_office(db, NOW, schema=False)
    with db.writer() as connection:
        office.set_meta(connection, "sample", "true")
    assert run(db, tmp_path / "none.csv", replace_sample=True).exit_code == 2
    with db.reader() as connection:
        assert office.is_sample(connection) and "d-market" in office.departments(connection)


# --- the calendar, and short reads ---------------------------------------------------------------------------------


def test_a_calendar_is_loaded_once_and_bad_days_are_refused(db: Database, tmp_path: Path) -> None:
    text = "date,workday\n2027-01-01,0\n2027-01-02,休息日\n2027-01-32,0\n2027-01-03,也许\n2027-01-01,1\n"
    [path] = write(tmp_path, days_csv=text)
    first = load_calendar(db, path=path)
    assert (first.added, first.refused, first.rows) == (2, 3, 5)
    assert [problem.row for problem in first.problems] == [4, 5, 6]
    again = load_calendar(db, path=path)
    assert (again.added, again.changed, again.unchanged) == (0, 0, 2)
    assert sorted(rows(db, Workday, "day", "is_workday")) == [(date(2027, 1, 1), False), (date(2027, 1, 2), False)]


def test_a_calendar_without_its_columns_is_refused(db: Database, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as error:
        load_calendar(db, path=write(tmp_path, days_csv="day,free\n2027-01-01,1\n")[0])
    assert error.value.code == "file_unreadable"


def test_short_reads_answer_as_the_store_does(db: Database, tmp_path: Path) -> None:
    paths = write(tmp_path, items_csv=ITEMS, people_csv=PEOPLE, law_md=LAW, departments_csv=DEPARTMENTS)
    if db.url == "sqlite://":
        db = Database(f"sqlite:///{tmp_path / 'file.db'}")
        migrate(db)
    run(db, *paths)
    with db.writer() as connection:
        connection.execute(insert(office.PERSON).values(id="p-9", name="无岗"))
        connection.execute(insert(office.PERSON).values(id="p-8", name="离职", disabled_at=NOW))
        connection.execute(
            update(catalogue.VERSION).where(catalogue.VERSION.c.code == "990100002000").values(department_id=None)
        )
        office.save_workdays(connection, {date(2027, 1, 1): False, date(2027, 1, 2): True})
    with db.reader() as connection, quick.reading(db.url) as read:
        assert quick.items(read) == catalogue.items(connection) != []
        for department in ("市民政局", "示例市民政局", "d-civil", "无"):
            assert quick.items(read, department, 1) == catalogue.items(connection, department, 1)
        assert quick.people(read) == office.people(connection) != []
        assert quick.laws(read) == laws.laws(connection) != []
        assert quick.workdays(read) == {date(2027, 1, 1): False, date(2027, 1, 2): True}
    if db.sqlite:
        db.close()


def test_the_short_list_of_changes_is_that_of_the_views(db: Database, tmp_path: Path) -> None:
    if db.url == "sqlite://":
        db = Database(f"sqlite:///{tmp_path / 'file.db'}")
        migrate(db)
    small_office(db, NOW, schema=False)
    params = {"title": "条例修订", "law": LAW_NAME, "from_version": str(OLD), "to_version": str(NEW)}
    made = [
        register(db, trigger="law_change", params=params, by=by, via="cli", again=True, now=NOW)
        for by in ("p-zhou", None)
    ]
    with db.writer() as connection:
        step = {"change_id": made[0].id, "stage": "scope", "days": 2, "opened_at": NOW, "due_on": date(2026, 11, 26)}
        connection.execute(
            insert(table(Step)), [{"id": "s-1", "round": 1, "state": "open", "provisional": False, **step}]
        )
        seat = {"step_id": "s-1", "change_id": made[0].id, "seat": "coordinator", "state": "open", "opened_at": NOW}
        connection.execute(
            insert(table(Assignment)),
            [{"id": "a-1", "person_id": "p-zhou", "acting_for_id": "p-gao", "revision": "r", **seat}],
        )
    with quick.reading(db.url) as read:
        for state in (None, "open", "closed"):
            assert quick.changes(read, state) == change_list(db, state=state, now=NOW)
        assert len(quick.changes(read)) == 2
        assert quick.changes(read)[0]["steps"][0]["waits_for"][0]["acting_for"] == {"id": "p-gao", "name": "高远"}
        assert quick.change(read, "2026-9999") is None
    if db.sqlite:
        db.close()


# --- published data ------------------------------------------------------------------------------------------------


def test_published_catalogues_and_laws_are_loaded_whole_and_twice_alike(db: Database, real_data: Path) -> None:
    names = ("guangdong_items.csv", "sichuan_district_items.csv", "liaoning_power_items.json", "shanghai_item_codes.csv",
             "shanghai_jiading_guides.json", "guangxi_implementation_items.json")  # fmt: skip
    paths = [*(real_data / "items" / name for name in names), real_data / "laws" / "versions" / "保守国家秘密法"]
    first = run(db, *paths)
    assert (first.exit_code, counts(first)) == (0, (1824, 0, 0, 0))
    again = run(db, *paths, now=NOW + timedelta(days=1))
    assert (again.exit_code, counts(again), again.publication) == (0, (0, 0, 1824, 0), None)


def test_overlapping_collections_of_laws_are_loaded_twice_alike(db: Database, real_data: Path) -> None:
    paths = [real_data / "laws" / "versions", real_data / "laws" / "corpus_laws.jsonl"]
    first = run(db, *paths, kind="laws")
    added, _, _, refused = counts(first)
    assert (added > 250, refused < 10) == (True, True)
    again = run(db, *paths, kind="laws")
    assert counts(again) == (0, 0, sum(file.rows for file in first.files) - refused, refused)


def test_real_codes_make_the_three_kinds_and_every_parent_stands(db: Database, real_data: Path) -> None:
    run(db, real_data / "items" / "guangdong_items.csv")
    item = catalogue.ITEM
    with db.reader() as connection:
        found = connection.execute(select(item.c.id, item.c.kind, item.c.parent_id)).all()
        standing = catalogue.count_items(connection)
    kinds = {row.id: row.kind for row in found}
    above = Counter((row.kind, kinds.get(row.parent_id)) for row in found)
    assert set(above) == {("item", None), ("implementation", "item"), ("handling", "implementation")}
    assert above[("handling", "implementation")] == 189
    assert standing == len(found)


def test_the_item_that_cites_the_law_on_secrets_is_found_by_its_citation(db: Database, real_data: Path) -> None:
    run(db, real_data / "items" / "liaoning_power_items.json", real_data / "laws" / "versions" / "保守国家秘密法")
    with db.reader() as connection:
        law = laws.law_by_title(connection, "中华人民共和国保守国家秘密法")
        assert law is not None and len(laws.editions(connection, law.id)) == 2
        cited = {row.item_id: row for row in catalogue.cited_bases(connection, law.canonical)}
        versions = catalogue.current_versions(connection, list(cited))
    assert [version.department_text for version in versions.values()] == ["76"]


def test_three_thousand_items_with_bases_are_loaded_in_one_go(db: Database, tmp_path: Path) -> None:
    lines = ["事项名称,事项类型,事项编码,主管部门,设定和实施依据"]
    text = "《中华人民共和国保守国家秘密法》第{n}条　国家秘密载体的制作、收发、传递、使用应当符合国家保密规定。"
    lines += [f"第{n}号事项,01,9901{n:05d}000,某局,{text.format(n=n % 60 + 1)}" for n in range(3000)]
    [path] = write(tmp_path, items_csv="\n".join(lines) + "\n")
    loaded = run(db, path)
    assert loaded.files[0].added == 3000
    with db.reader() as connection:
        assert connection.execute(select(func.count()).select_from(catalogue.BASIS)).scalar_one() == 3000
        if not db.sqlite:  # it plans by what it counted last, and counts by itself only after a minute or so
            counted = connection.exec_driver_sql("select reltuples from pg_class where relname = 'basis'").scalar_one()
            assert counted == 3000


def test_inspections_become_sub_items_of_one_item_and_a_second_load_makes_no_other(
    db: Database, tmp_path: Path
) -> None:
    heading = "抽查事项名称,抽查子项,抽查依据,抽查主体\n"
    first = "登记事项检查,甲类登记的检查,《示例登记条例》第三条,市市场监管局\n标志使用检查,,《示例标志条例》第六条,市市场监管局\n"
    later = "登记事项检查,乙类登记的检查,《示例登记条例》第四条,市市场监管局\n"
    later += "标志使用检查,旧标志的检查,《示例标志条例》第七条,市市场监管局\n"
    assert counts(run(db, *write(tmp_path, inspections_csv=heading + first))) == (2, 0, 0, 0)
    assert counts(run(db, *write(tmp_path, inspections_csv=heading + first + later))) == (2, 0, 2, 0)
    item, version = table(Item), table(ItemVersion)
    with db.reader() as connection:
        joined = select(item.c.id, version.c.name, item.c.parent_id, version.c.type).join(
            version, version.c.item_id == item.c.id
        )
        found = connection.execute(joined).all()
    names = {row.id: row.name for row in found}
    assert {row.name: names.get(row.parent_id) for row in found} == {
        "登记事项检查": None,
        "甲类登记的检查": "登记事项检查",
        "乙类登记的检查": "登记事项检查",
        "标志使用检查": None,
        "旧标志的检查": "标志使用检查",
    }
    assert {row.type for row in found} == {"06"}
