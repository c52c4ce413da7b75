"""The command line as a user calls it: a home of its own, no system running, Prefect away."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from deployments.cli import app
from deployments.cli.common import guarded
from tests.hostile import HOSTILE

SHIXIANG = Path(sys.executable).with_name("shixiang")
DEPARTMENTS = "id,full,short,uscc,level,region,superior\nd-1,示例市民政局,市民政局,,2,990000,\n"
PEOPLE = (
    "id,name,email,department,roles,level,region,from,to\n"
    "p-1,周敏,zhou@shili.example,d-1,coordinator;drafter,2,990000,2020-01-01,\n"
)
ITEMS = "name,type,code,department,bases\n社会团体登记,01,990100001000,市民政局,《社会团体登记管理条例》第三条\n"
LAWS = {
    "社会团体登记管理条例(1998-10-25).md": "# 社会团体登记管理条例\n\n**第一条**　为了保障公民的结社自由，制定本条例。\n\n"
    "**第三条**　成立社会团体，应当经其业务主管单位审查同意，并依照本条例的规定进行登记。\n",
    "社会团体登记管理条例(2016-02-06).md": "# 社会团体登记管理条例\n\n**第一条**　为了保障公民的结社自由，制定本条例。\n\n"
    "**第三条**　成立社会团体，应当依照本条例的规定向民政部门进行登记，不再审查。\n",
}
LAW_CHANGE = {
    "title": "社团条例修订", "law": "社会团体登记管理条例", "from_version": "1998-10-25", "to_version": "2016-02-06",
    "effective_on": None,
}  # fmt: skip
#: What moves a terminal's cursor, begins a line or turns the direction of what is read.
UNREADABLE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
READING = (
    ["items", "list"],
    ["people", "list"],
    ["law", "list"],
    ["change", "list"],
)


@dataclass(frozen=True)
class Done:
    """What a command answered."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files, and a home with one department, one person, one item and one law in two versions."""
    folder = tmp_path_factory.mktemp("office")
    (folder / "files").mkdir()
    for name, text in {"d.csv": DEPARTMENTS, "p.csv": PEOPLE, "i.csv": ITEMS, **LAWS}.items():
        (folder / "files" / name).write_text(text, encoding="utf-8")
    done = process(folder / "home", str(SHIXIANG), "load", str(folder / "files"))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def loaded(office: Path, tmp_path: Path) -> Path:
    """A copy of that home, with the files beside it."""
    shutil.copytree(office, tmp_path, dirs_exist_ok=True)
    return tmp_path / "home"


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SHIXIANG_", "PREFECT_"))}
    # Nobody listens on port 9 (discard): Prefect is away.
    return {**kept, "SHIXIANG_HOME": str(home), "PREFECT_API_URL": "http://127.0.0.1:9/api", **more}


def process(home: Path, *words: str) -> Done:
    """A command in a process of its own, in the folder of its home."""
    done = subprocess.run(
        words, env=environment(home), cwd=home.parent, capture_output=True, text=True, timeout=60, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


def shixiang(home: Path, *words: str, stdin: str = "", folder: Path | None = None, **more: str) -> Done:
    """The same inside this process, which has imported everything already."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, environment(home, **more), clear=True),
        mock.patch.object(sys, "argv", ["shixiang", *words]),
        mock.patch.object(sys, "stdin", io.StringIO(stdin)),
        contextlib.chdir(folder or home.parent),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = guarded(app)
    return Done(code, out.getvalue(), err.getvalue())


def answer(home: Path, *words: str, stdin: str = "") -> Any:
    """The JSON of a command that must succeed."""
    done = shixiang(home, *words, "--json", stdin=stdin)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def imported(home: Path, *words: str) -> set[str]:
    """The top-level modules a command imports."""
    code = (
        "import sys\nfrom deployments.cli import app\nsys.argv = ['shixiang', *sys.argv[1:]]\n"
        "try:\n    app()\nexcept SystemExit:\n    pass\nfinally:\n"
        "    print(','.join(sorted({name.split('.')[0] for name in sys.modules})), file=sys.stderr)\n"
    )
    done = process(home, sys.executable, "-c", code, *words)
    return set(done.stderr.strip().split("\n")[-1].split(","))


# --- an empty home -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_a_reading_command_answers_an_empty_home_with_an_empty_list_and_creates_nothing(
    home: Path, words: list[str]
) -> None:
    assert answer(home, *words) == []
    assert not home.exists()


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_a_reading_command_imports_neither_prefect_nor_alembic(loaded: Path, words: list[str]) -> None:
    modules = imported(loaded, *words, "--json")
    assert "typer" in modules
    assert not {"prefect", "alembic"} & modules


def test_loading_and_starting_import_no_prefect(loaded: Path) -> None:
    (loaded.parent / "params.json").write_text(json.dumps(LAW_CHANGE), encoding="utf-8")
    assert "prefect" not in imported(loaded, "load", str(loaded.parent / "files"))
    modules = imported(loaded, "change", "start", "law_change", "--params", "params.json", "--by", "p-1")
    assert "httpx2" in modules
    assert "prefect" not in modules
    assert len(answer(loaded, "change", "list")) == 1


@pytest.mark.parametrize("words", [["--help"], ["items", "list"], ["people", "list"], ["change", "list"]], ids=" ".join)
def test_help_and_short_reads_import_nothing_that_takes_long(loaded: Path, words: list[str]) -> None:
    # How long they take is measured by `make bench`.
    slow = {
        "sqlmodel",
        "sqlalchemy",
        "fastapi",
        "jinja2",
        "apprise",
        "rapidfuzz",
        "numpy",
        "chinese_calendar",
        "httpx2",
    }
    assert not slow & imported(loaded, *words)


@pytest.mark.parametrize(
    "words",
    [["load"], ["law", "import"], ["law", "list"], ["law", "cite"], ["law", "diff"], ["law", "table"], ["law", "witness"],
     ["law", "impact"], ["law", "rules"], ["law", "switch"],
     ["items", "list"], ["items", "check"], ["people", "list"], ["calendar", "due"], ["calendar", "load"],
     ["change", "preview"], ["change", "start"], ["change", "show"], ["change", "list"], ["change", "table"],
     ["change", "withdraw"], ["up"]],
    ids=" ".join,
)  # fmt: skip
def test_every_command_has_a_help_with_an_example(home: Path, words: list[str]) -> None:
    done = shixiang(home, *words, "--help")
    assert done.returncode == 0
    assert "例 Example: " in done.stdout and f"shixiang {' '.join(words)}" in done.stdout.split("例 Example: ")[1]


# --- load ----------------------------------------------------------------------------------------------------------


def test_a_load_reports_each_file_and_a_second_one_adds_nothing(loaded: Path) -> None:
    report = answer(loaded, "load", str(loaded.parent / "files"))
    assert {file["kind"] for file in report["files"]} == {"departments", "people", "items", "laws"}
    assert [(file["added"], file["changed"], file["unchanged"]) for file in report["files"]] == [(0, 0, 1)] * 5
    keys = ["file", "kind", "rows", "taken", "warned", "refused", "added", "changed", "unchanged", "problems"]
    assert list(report["files"][0]) == keys


def test_a_refused_row_is_exit_code_one_and_named_on_stderr(home: Path, tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text(DEPARTMENTS + ",示例市档案局,,,,,\n", encoding="utf-8")
    done = shixiang(home, "load", "d.csv", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["files"][0]["refused"] == 1
    assert done.stderr == "d.csv 第 3 行“id”：未填写，该行未导入，其他行不受影响。\n"


def test_a_missing_file_is_exit_code_two_and_the_others_are_loaded(home: Path, tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text(DEPARTMENTS, encoding="utf-8")
    done = shixiang(home, "load", "none.csv", "d.csv", "--json")
    assert done.returncode == 2
    assert [file["added"] for file in json.loads(done.stdout)["files"]] == [0, 1]
    assert done.stderr.startswith("none.csv 不存在或者无法读取：没有这个文件")


def test_a_home_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    (tmp_path / "d.csv").write_text(DEPARTMENTS, encoding="utf-8")
    done = shixiang(tmp_path / "file" / "home", "load", "d.csv", folder=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "不能写入，未作任何改动" in done.stderr


def test_a_setting_that_cannot_be_used_is_one_sentence_that_names_it(home: Path) -> None:
    done = shixiang(home, "items", "list", SHIXIANG_PORTAL_PORT="x")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "SHIXIANG_PORTAL_PORT" in done.stderr


def test_an_unexpected_failure_is_one_sentence_and_its_traceback_stays_in_the_home(loaded: Path) -> None:
    (loaded / "shixiang.db").write_bytes(b"not a database" * 1000)
    for name in ("shixiang.db-wal", "shixiang.db-shm"):
        (loaded / name).unlink(missing_ok=True)
    done = shixiang(loaded, "items", "list")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "Traceback" not in done.stderr
    assert "Traceback" in (loaded / "cli.log").read_text(encoding="utf-8")


# --- reading -------------------------------------------------------------------------------------------------------


def test_items_and_people_have_the_keys_scripts_depend_on(loaded: Path) -> None:
    department = {"id": "d-1", "name": "市民政局"}
    item = {"code": "990100001000", "name": "社会团体登记", "type": "01", "department": department}
    assert answer(loaded, "items", "list", "--department", "市民政局", "--limit", "1") == [item]
    assert answer(loaded, "items", "list", "--limit", "0") == []
    person = {"id": "p-1", "name": "周敏", "email": "zhou@shili.example", "department": department}
    [found] = answer(loaded, "people", "list")
    assert {**found, "roles": sorted(found["roles"])} == {**person, "roles": ["coordinator", "drafter"]}


def test_a_check_names_faulty_codes_and_bases_that_do_not_stand(loaded: Path, tmp_path: Path) -> None:
    assert shixiang(loaded, "items", "check").returncode == 0
    assert answer(loaded, "items", "check") == []
    bad = (
        "name,type,code,department,bases\n烟花爆竹许可,01,99010000200,市民政局,\n"
        "社团变更,01,990100003000,市民政局,《社会团体登记管理办法》第三条；《社会团体登记管理条例》（1998年10月25日发布）第三条\n"
    )
    (tmp_path / "bad.csv").write_text(bad, encoding="utf-8")
    shixiang(loaded, "load", str(tmp_path / "bad.csv"))
    done = shixiang(loaded, "items", "check", "--full", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 1
    of_bases = json.loads(shixiang(loaded, "items", "check", "--json").stdout)
    assert of_bases == [problem for problem in found if problem["basis"]]
    assert {tuple(problem) for problem in found} == {("item", "basis", "problem", "detail")}
    shown = shixiang(loaded, "items", "check").stdout
    assert shown.endswith(f"发现 {len(found)} 处问题。\n")
    assert [(problem["item"], problem["basis"], problem["problem"]) for problem in found] == [
        ("99010000200", None, "code"),
        ("99010000200", None, "no_basis"),
        ("990100003000", "《社会团体登记管理办法》第三条", "unknown"),
        ("990100003000", "《社会团体登记管理条例》第三条", "superseded"),
        ("990100003000", "《社会团体登记管理条例》第三条", "order"),
    ]


def test_a_due_date_counts_from_the_next_working_day_and_says_when_it_is_provisional(home: Path) -> None:
    assert answer(home, "calendar", "due", "2026-09-30", "1") == {"due": "2026-10-08", "provisional": False}
    assert answer(home, "calendar", "due", "2026-12-31", "1") == {"due": "2027-01-01", "provisional": True}
    done = shixiang(home, "calendar", "due", "morgen", "1")
    assert (done.returncode, done.stderr) == (2, "“START”应为日期，写作 2024-02-27 的形式，现为“morgen”。\n")


def test_an_arrangement_that_was_loaded_moves_the_due_date(home: Path, tmp_path: Path) -> None:
    days = "date,workday\n" + "".join(f"2027-01-0{day},0\n" for day in range(1, 4)) + "2027-02-10,0\n"
    (tmp_path / "2027.csv").write_text(days, encoding="utf-8")
    report = answer(home, "calendar", "load", "2027.csv")["files"][0]
    assert (report["added"], report["changed"], report["unchanged"]) == (4, 0, 0)
    assert answer(home, "calendar", "due", "2026-12-31", "1") == {"due": "2027-01-04", "provisional": False}


def test_citations_are_read_line_by_line_and_looked_up_in_the_library(loaded: Path) -> None:
    text = (
        "【行政法规】《社会团体登记管理条例》（国务院令第250号）第三条第一款\n《社会团体管理登记条例》\n\n见窗口告示\n"
    )
    (loaded.parent / "bases.txt").write_text(text, encoding="utf-8")
    done = shixiang(loaded, "law", "cite", "bases.txt", "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["text"] for line in lines] == text.removesuffix("\n").split("\n")
    [[first], [second], [], []] = [line["citations"] for line in lines]
    assert (first["level_tag"], first["doc_no"], first["law"]) == (
        "行政法规",
        "国务院令第250号",
        "社会团体登记管理条例",
    )
    assert first["articles"] == [
        {"article": 3, "sub": None, "paragraph": 1, "item": None, "subitem": None, "to_article": None}
    ]
    assert text[slice(*first["span"])] == "【行政法规】《社会团体登记管理条例》（国务院令第250号）第三条第一款"
    assert (second["law"], second["candidates"]) == (None, ["社会团体登记管理条例"])
    assert lines[3]["rest"] == "见窗口告示"
    assert {tuple(line) for line in lines[:3]} == {("text", "citations")}
    keys = (
        "is_legal_basis level_tag title paren doc_no amended_on edition_year articles annex quoted rest span "
        "resolved_from law candidates"
    )
    assert tuple(first) == tuple(second) == tuple(keys.split())
    more = json.loads(shixiang(loaded, "law", "cite", "bases.txt", "--json", "--full").stdout.split("\n")[0])
    assert more["citations"] == [{**first, "renamed": False}]


def test_a_file_of_bases_that_cannot_be_read_is_refused_with_a_sentence(home: Path) -> None:
    done = shixiang(home, "law", "cite", "nowhere.txt", "--json")
    assert (done.returncode, done.stdout) == (2, "") and "nowhere.txt" in done.stderr
    (home.parent / "gbk.txt").write_bytes("《食品安全法》\n第一条".encode("gbk"))
    assert "不是 UTF-8" in shixiang(home, "law", "cite", "gbk.txt").stderr


def test_two_texts_of_a_law_are_compared_article_by_article(loaded: Path) -> None:
    texts = ("社会团体登记管理条例@1998-10-25", "社会团体登记管理条例@2016-02-06")
    rows = answer(loaded, "law", "diff", *texts)
    assert {tuple(row) for row in rows} == {("old_article", "new_article", "change", "kind", "similarity")}
    assert [(row["old_article"], row["new_article"], row["change"]) for row in rows] == [
        (1, 1, "unchanged"),
        (3, 3, "amended"),
    ]
    assert [row["kind"] for row in rows] == [None, "approval_dropped"]
    full = answer(loaded, "law", "diff", *texts, "--full")
    assert any("审查同意" in old for old, _ in full[1]["words"])
    files = sorted((loaded.parent / "files").rglob("*.md"))[:2]
    assert answer(loaded, "law", "diff", *map(str, files)) == rows


def test_an_article_inserted_as_one_of_another_is_told_from_that_one_by_its_written_number(home: Path) -> None:
    files = []
    for day, inserted in (
        ("2001-01-01", ""),
        ("2002-01-01", "**第二条之一**　开办培训班的，应当报区教育部门备案。\n\n"),
    ):
        file = home.parent / f"办法({day}).md"
        text = f"# 示例市办学办法\n\n**第一条**　制定本办法。\n\n**第二条**　开办学校的，应当经批准。\n\n{inserted}"
        text += "**第三条**　本办法自公布之日起施行。\n"
        file.write_text(text, encoding="utf-8")
        files.append(str(file))
    rows = answer(home, "law", "diff", *files)
    assert [(row["old_article"], row["new_article"]) for row in rows] == [
        (1, 1),
        (2, 2),
        (None, "第二条之一"),
        (3, 3),
    ]
    assert [(row["new_article"], row["new_sub"]) for row in answer(home, "law", "diff", *files, "--full")][2] == (2, 1)


def test_a_comparison_says_under_which_heading_each_article_stands(home: Path) -> None:
    files = []
    for number, (chapter, words) in enumerate((("总则", "二十日"), ("一般规定", "十五日")), start=1):
        file = home.parent / f"办法({2000 + number}-01-01).md"
        text = f"# 示例市办理办法\n\n## 第一章 {chapter}\n\n**第一条**　应当在{words}内办理完毕。\n\n**第二条**　本办法自公布之日起施行。\n"
        file.write_text(text, encoding="utf-8")
        files.append(str(file))
    rows = answer(home, "law", "diff", *files, "--full")
    assert [(row["old_division"], row["new_division"]) for row in rows] == [(["第一章 总则"], ["第一章 一般规定"])] * 2
    lines = shixiang(home, "law", "diff", *files).stdout.splitlines()
    assert [line[:2] for line in lines] == ["第一", "第1", "第2"] and lines[0] == "第一章 一般规定"


def test_two_texts_are_written_side_by_side_as_a_word_document(loaded: Path) -> None:
    from docx import Document

    texts = ("社会团体登记管理条例@1998-10-25", "社会团体登记管理条例@2016-02-06")
    out = loaded.parent / "对照表.docx"
    done = shixiang(loaded, "law", "table", *texts, "--out", str(out))
    assert (done.returncode, done.stdout) == (0, f"已写入 {out}：列出条文 1 条，未列入 1 条。\n"), done.stderr
    rows = [[cell.text for cell in row.cells] for row in Document(str(out)).tables[0].rows]
    assert [(row[0], row[1][:3], row[2][:3], row[3]) for row in rows[1:]] == [
        ("1", "第三条", "第三条", "修改：不再审批")
    ]
    files = sorted(map(str, (loaded.parent / "files").rglob("*.md")))[:2]
    assert shixiang(loaded, "law", "table", *files, "--out", str(out), "--whole").returncode == 0
    assert len(Document(str(out)).tables[0].rows) == 3
    lost = shixiang(loaded, "law", "table", *texts, "--out", str(loaded.parent / "nowhere" / "t.docx"))
    assert lost.returncode == 2 and "不能写入" in lost.stderr
    assert shixiang(loaded, "law", "table", "没有的法@1998-10-25", texts[1], "--out", str(out)).returncode == 2


def test_a_law_change_is_written_side_by_side_with_its_items(loaded: Path) -> None:
    from docx import Document

    params = loaded.parent / "law.json"
    params.write_text(json.dumps(LAW_CHANGE), encoding="utf-8")
    made = answer(loaded, "change", "start", "law_change", "--params", str(params), "--by", "周敏")
    out = loaded.parent / "变更.docx"
    done = shixiang(loaded, "change", "table", made["number"], "--out", str(out))
    assert done.returncode == 0, done.stderr
    document = Document(str(out))
    assert document.tables[0].rows[0].cells[4].text == "涉及事项"
    assert f"变更编号：{made['number']}" in document.sections[0].header.paragraphs[0].text
    unknown = shixiang(loaded, "change", "table", "2026-9999", "--out", str(out))
    assert unknown.returncode == 2 and "没有编号" in unknown.stderr


def test_a_decision_is_weighed_against_the_comparison(loaded: Path) -> None:
    decision = loaded.parent / "decision.md"
    decision.write_text("决定作如下修改：\n一、将第三条修改为：“甲。”\n二、删去第一条。\n三、删去附则。\n", "utf-8")
    texts = ("社会团体登记管理条例@1998-10-25", "社会团体登记管理条例@2016-02-06")
    told = answer(loaded, "law", "witness", str(decision), *texts)
    assert [(one["act"], one["old_articles"]) for one in told["agreed"]] == [("amended", [3])]
    assert [one["detail"] for one in told["differ"]] == ["决定说第一条已删去，对照为现第一条"]
    assert told["rest"] == ["删去附则"]
    said = shixiang(loaded, "law", "witness", str(decision), *texts).stdout
    assert said.startswith("一致 1 处，不一致 1 处，没有识别 1 处。")


def test_the_impact_of_a_law_names_every_cited_article_with_what_becomes_of_it(loaded: Path) -> None:
    words = ("law", "impact", "社会团体登记管理条例", "--from", "1998-10-25")
    found = answer(loaded, *words, "--to", "2016-02-06")
    lists = ("rows", "whole_law", "editorial", "indirect", "already_new", "uncertain")
    assert tuple(found) == ("law", "from", "to", *lists)
    keys = "item item_name basis old_article new_article change kind outcome preselected reason confidence gap"
    assert [tuple(row) for row in found["rows"]] == [tuple(keys.split())]
    more = answer(loaded, *words, "--to", "2016-02-06", "--full")["rows"][0]
    assert more.keys() - found["rows"][0].keys() == {"item_id", "ord", "old_sub", "new_sub", "to_article"}
    assert (found["law"], found["from"], found["to"]) == ("社会团体登记管理条例", "1998-10-25", "2016-02-06")
    [row] = found["rows"]
    assert (row["item"], row["item_name"], row["basis"]) == (
        "990100001000",
        "社会团体登记",
        "《社会团体登记管理条例》第三条",
    )
    assert (row["old_article"], row["new_article"], row["change"]) == (3, 3, "amended")
    assert (row["kind"], row["outcome"], row["preselected"]) == ("approval_dropped", "check", False)
    assert [found[name] for name in ("whole_law", "editorial", "indirect", "already_new", "uncertain")] == [[]] * 5
    [gone] = answer(loaded, *words, "--repealed")["rows"]
    assert (gone["change"], gone["outcome"], gone["new_article"]) == ("removed", "cancel", None)


def test_an_impact_that_cannot_be_told_is_refused_with_a_sentence(loaded: Path) -> None:
    law = "社会团体登记管理条例"
    for words, sentence in {
        (law, "--from", "1998-10-25"): "--repealed",
        (law, "--from", "1998", "--to", "2016-02-06"): "2024-02-27 的形式",
        (law, "--from", "1998-10-25", "--to", "2020-01-01"): "现有：1998-10-25、2016-02-06",
        ("社会团体管理登记条例", "--from", "1998-10-25", "--repealed"): "名称相近的有：《社会团体登记管理条例》",
        ("--repealed",): "--repealed --by 法规名称",
        (law, "--repealed"): "--from 日期",
        ("--repealed", "--by", law): "没有写明废止其他法规",
    }.items():
        done = shixiang(loaded, "law", "impact", *words)
        assert (done.returncode, sentence in done.stderr) == (2, True), done.stderr
    done = shixiang(loaded, "law", "diff", f"{law}@1998-10-25", f"{law}@2020-01-01")
    assert (done.returncode, "现有：1998-10-25、2016-02-06" in done.stderr) == (2, True)


def test_a_rule_is_switched_off_with_a_reason_and_the_preview_says_so(loaded: Path) -> None:
    before = {rule["rule"]: rule for rule in answer(loaded, "law", "rules")}
    assert (before["amended"]["off"], before["amended"]["proposed"], before["amended"]["name"]) == (
        False,
        0,
        "所引条文修改",
    )
    assert "提出 0，照办 0" in shixiang(loaded, "law", "rules").stdout
    words = ("law", "switch", "amended", "--by", "周敏", "--reason", "逐条人工核对")
    assert shixiang(loaded, *words).returncode == 0
    again = shixiang(loaded, *words)
    assert (again.returncode, "已经停用" in again.stderr) == (2, True)
    [act] = {rule["rule"]: rule for rule in answer(loaded, "law", "rules")}["amended"]["switched"]
    assert (act["off"], act["by"]["name"], act["reason"]) == (True, "周敏", "逐条人工核对")
    done = shixiang(loaded, "change", "preview", "law_change", "--params", "-", stdin=json.dumps(LAW_CHANGE))
    assert "规则“所引条文修改”已停用，未列入 1 项（周敏：逐条人工核对）" in done.stdout
    assert shixiang(loaded, *words, "--on").returncode == 0


# --- changes -------------------------------------------------------------------------------------------------------


def test_a_change_is_started_with_prefect_away_and_the_same_one_again_answers_with_it(loaded: Path) -> None:
    words = ("change", "start", "law_change", "--params", "-", "--by", "周敏", "--json")
    first = shixiang(loaded, *words, stdin=json.dumps(LAW_CHANGE))
    assert first.returncode == 0
    made = json.loads(first.stdout)
    assert (list(made), made["flow_run_id"], made["existing"]) == (
        ["id", "number", "flow_run_id", "existing"],
        None,
        False,
    )
    assert first.stderr == f"变更 {made['number']} 已登记。流程引擎目前连不上，连上后自动开始，不必重复提交。\n"
    again = json.loads(shixiang(loaded, *words, stdin=json.dumps(LAW_CHANGE)).stdout)
    assert again == {**made, "existing": True}
    other = json.loads(shixiang(loaded, *words, "--again", stdin=json.dumps(LAW_CHANGE)).stdout)
    assert (other["existing"], other["id"] == made["id"]) == (False, False)


def test_a_change_is_shown_listed_and_withdrawn(loaded: Path) -> None:
    made = answer(loaded, "change", "start", "law_change", "--params", "-", "--by", "p-1", stdin=json.dumps(LAW_CHANGE))
    shown = answer(loaded, "change", "show", made["id"])
    assert (shown["number"], shown["state"], shown["sheets"]) == (made["number"], "open", [])
    assert [change["id"] for change in answer(loaded, "change", "list", "--state", "open")] == [made["id"]]
    gone = answer(loaded, "change", "withdraw", made["number"], "--by", "p-1", "--reason", "重复发起")
    assert gone == {"id": made["id"], "number": made["number"], "state": "withdrawn"}
    assert answer(loaded, "change", "list", "--state", "open") == []


def test_a_preview_writes_nothing(loaded: Path) -> None:
    found = answer(loaded, "change", "preview", "law_change", "--params", "-", stdin=json.dumps(LAW_CHANGE))
    assert (found["count"], found["rows"][0]["code"]) == (1, "990100001000")
    assert answer(loaded, "change", "list") == []


@pytest.mark.parametrize(
    ("params", "by", "sentence"),
    [
        ("{", "p-1", "不是完整的 JSON"),
        ("[]", "p-1", "应为一个 JSON 对象"),
        (json.dumps({**LAW_CHANGE, "law": "无此条例"}), "p-1", "法规库中没有《无此条例》"),
        (json.dumps({**LAW_CHANGE, "from_version": "x"}), "p-1", "“from_version”应为日期"),
        (json.dumps(LAW_CHANGE), "无此人", "没有“无此人”，或者有多人同名"),
    ],
)
def test_a_start_that_cannot_be_is_one_sentence_and_nothing_is_registered(
    loaded: Path, params: str, by: str, sentence: str
) -> None:
    done = shixiang(loaded, "change", "start", "law_change", "--params", "-", "--by", by, "--json", stdin=params)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert sentence in done.stderr
    assert answer(loaded, "change", "list") == []


def test_a_change_nobody_knows_is_one_sentence(loaded: Path, tmp_path: Path) -> None:
    for where in (tmp_path / "empty", loaded):
        done = shixiang(where, "change", "show", "2026-0099")
        assert (done.returncode, done.stderr) == (2, "没有编号为 2026-0099 的变更。\n")


def test_a_restore_says_which_tokens_stay_revoked_or_are_valid_again(loaded: Path) -> None:
    made = [answer(loaded, "token", "issue", "--for", "p-1") for _ in range(2)]
    archive = answer(loaded, "backup", "b.tar.gz")["path"]
    answer(loaded, "token", "revoke", made[0]["id"])
    done = answer(loaded, "restore", archive, "--replace")
    assert (done["tokens"], done["revoked"]) == (1, {"tokens": [made[0]["id"]], "links": 0, "people": []})
    again = shixiang(loaded, "restore", archive, "--replace").stdout
    assert "备份之后停用的人员 0 名、接口凭证 1 个、链接 0 个保持停用；有效的凭证 1 个" in again
    fresh = shixiang(loaded.parent / "fresh", "restore", archive).stdout
    assert (
        "2 个凭证恢复到" in fresh and "`shixiang token list`" in fresh and "`shixiang token revoke 凭证编号`" in fresh
    )


def test_names_and_titles_move_no_cursor_and_begin_no_line_of_a_terminal(loaded: Path, tmp_path: Path) -> None:
    names = [f"{hostile}{number}" for number, hostile in enumerate(HOSTILE)]
    rows = [{"name": name, "type": "01", "department": "市民政局", "bases": ""} for name in names]
    (tmp_path / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    assert shixiang(loaded, "load", "rows.json", folder=tmp_path).returncode == 0
    titles = [hostile for hostile in HOSTILE if not hostile.isprintable()]
    for hostile in titles:
        made = json.dumps({**LAW_CHANGE, "title": f"{hostile[:100]}条例", "reason": hostile})
        words = ("change", "start", "law_change", "--params", "-", "--by", "p-1", "--again")
        assert shixiang(loaded, *words, stdin=made).returncode == 0
    counts = {"items list": len(names) + 1, "change list": len(titles), "items check": None}
    for command, count in counts.items():
        said = shixiang(loaded, *command.split()).stdout
        assert count is None or said.count("\n") == count
        assert not UNREADABLE.search(said)


def test_hostile_cells_of_a_table_and_names_of_files_stay_texts(loaded: Path, tmp_path: Path) -> None:
    hostile = [text for text in HOSTILE if text.strip() and "/" not in text]
    named = [f"{number}{text}"[:60] for number, text in enumerate(HOSTILE)]
    departments = [{"id": f"d-x{number}", "full": name, "short": name} for number, name in enumerate(named)]
    people = [
        {"id": f"p-x{number}", "name": name, "email": f"x{number}@shili.example", "department": f"d-x{number}",
         "roles": "drafter", "from": "2020-01-01"}
        for number, name in enumerate(named)
    ]  # fmt: skip
    items = [{"name": name, "type": "01", "department": f"d-x{number}"} for number, name in enumerate(named)]
    for rows, name in ((departments, "d"), (people, "p"), (items, "i")):
        with (tmp_path / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows(rows)
    done = shixiang(loaded, "load", "d.csv", "p.csv", "i.csv", "--json", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    for text in hostile:
        (tmp_path / f"{text[:60]}.csv").write_text("id,full,short\n,缺编号,缺\n", encoding="utf-8")
        (tmp_path / f"{text[:40]}(2020-01-01).md").write_text("# 无\n\n正文。\n", encoding="utf-8")
    told: dict[str, list[str]] = {}
    for command in (["load", "."], ["law", "import", "."], ["items", "list"], ["people", "list"], ["doctor"]):
        done = shixiang(loaded, *command, folder=tmp_path)
        said = done.stdout + done.stderr
        assert done.returncode != 70 and "Traceback" not in said
        assert not UNREADABLE.search(said), command
        told[" ".join(command)] = said.splitlines()
    assert sum("第 2 行“id”：未填写" in line for line in told["load ."]) == len(hostile)
    assert len(told["items list"]) == len(told["people list"]) == len(named) + 1


# --- the audit log -------------------------------------------------------------------------------------------------


def test_audit_verify_says_ok_and_names_what_somebody_altered(loaded: Path) -> None:
    from sqlite3 import connect

    assert answer(loaded, "audit", "verify")["ok"] is True
    with contextlib.closing(connect(loaded / "shixiang.db")) as connection, connection:
        connection.execute("update item_version set name = '别的事项' where no = 1")
    done = shixiang(loaded, "audit", "verify")
    assert done.returncode == 1
    assert "事项版本" in done.stdout and "被改动" in done.stdout
    assert json.loads(shixiang(loaded, "audit", "verify", "--json").stdout)["findings"][0]["table"] == "item_version"
    assert shixiang(loaded, "audit", "verify", "--change", "2026-0001").returncode == 2
    assert "还没有日结" in shixiang(loaded, "audit", "head").stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("change", "show"), "缺少 ID。用法见 `shixiang change show -h`。"),
        (("change", "start", "law_change"), "缺少 --params。用法见 `shixiang change start -h`。"),
        (("items", "list", "--limt", "3"), "没有选项 --limt，相近的有：--limit。用法见 `shixiang items list -h`。"),
        (("items", "list", "--limit", "x"), "--limit 的值不可用：应为数字。用法见 `shixiang items list -h`。"),
        (("up", "--sample-items", "0"), "--sample-items 的值不可用：应不小于 1。用法见 `shixiang up -h`。"),
        (("change", "show", "a", "b"), "多出 b。用法见 `shixiang change show -h`。"),
        (("changes",), "没有命令 changes。用法见 `shixiang -h`。"),
    ],
)
def test_a_mistyped_command_is_explained_in_one_chinese_sentence(
    tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    done = shixiang(tmp_path / "home", *words)
    assert (done.returncode, done.stdout, done.stderr.strip()) == (2, "", sentence)
