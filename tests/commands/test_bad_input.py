"""Every command of `shixiang` with what it cannot use: one sentence, the documented exit code, no result, nothing changed.

REFUSED holds rows for every command there is, HOMES the homes each of them must cope with; a command without a row fails.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import typer.main

from deployments.cli import app
from deployments.ports import free_port
from tests.commands.test_cli import DEPARTMENTS, ITEMS, LAW_CHANGE, LAWS, PEOPLE, Done, shixiang

LAW = "社会团体登记管理条例"
OLD, NEW = f"{LAW}@1998-10-25", f"{LAW}@2016-02-06"
UNKNOWN_CHANGE = "没有编号为 2026-9999 的变更"
NO_DATA = "数据目录中还没有数据，请先载入"

#: What lies in the folder the commands are called in; of those without content one is not there and one is a folder.
FILES: dict[str, bytes | None] = {
    "nowhere": None,
    "folder": None,
    "empty": b"",
    "blank": b"\xef\xbb\xbf \n\n",
    "binary": bytes(range(256)) * 4,
    "zeros": b"\0" * 64,
    "word.docx": b"PK\x03\x04" + b"\0" * 64,
    "gbk.md": "# 条例\n\n**第一条**　甲。\n".encode("gbk"),
    "latin": b"\xff\xfe\xfd\x81\x20",
    "note.txt": "今天下午开会。\n".encode(),
    "broken.json": b'{"title": ',
    "list.json": b"[1, 2]",
    "deep.json": b"[" * 100_000,
    "days.csv": b"date,workday\n2026-13-45,1\n",
    "d.csv": DEPARTMENTS.encode(),
    "i.csv": ITEMS.encode(),
    "decision.md": "一、删去第一条。\n".encode(),
    "early.json": json.dumps({**LAW_CHANGE, "effective_on": "0001-01-01"}).encode(),
    "params.json": json.dumps(LAW_CHANGE).encode(),
}
#: How a reader that takes UTF-8 and GB18030 refuses a file, and how one does that takes UTF-8 alone.
EITHER = {
    "nowhere": "没有这个文件", "folder": "这是一个文件夹", "empty": "文件是空的", "blank": "文件是空的",
    "binary": "不是文本文件", "zeros": "不是文本文件", "word.docx": "这是 Excel、Word 或者压缩文件",
    "latin": "编码既不是 UTF-8 也不是 GB18030",
}  # fmt: skip
UTF8 = {
    "nowhere": "没有这个文件", "folder": "这是一个文件夹", "empty": "是空的", "blank": "是空的", "binary": "不是 UTF-8 编码",
    "zeros": "不是文本文件", "word.docx": "不是文本文件", "gbk.md": "不是 UTF-8 编码", "latin": "不是 UTF-8 编码",
}  # fmt: skip

Row = tuple[tuple[str, ...], str]


def files(reasons: dict[str, str], *words: str) -> list[Row]:
    """A row a file that cannot be read; `FILE` stands for its name."""
    return [(tuple(name if word == "FILE" else word for word in words), reason) for name, reason in reasons.items()]


def request(*words: str) -> list[Row]:
    """What `--params` and TRIGGER refuse, the same for preview and start."""
    kept = ("law_change", "--params", "FILE", *words)
    return [
        *files(EITHER, *kept),
        *files({"broken.json": "不是完整的 JSON", "list.json": "应为一个 JSON 对象", "deep.json": "无法识别"}, *kept),
        *files({"params.json": "没有名为“nonsense”的事由"}, "nonsense", "--params", "FILE", *words),
        *files({"params.json": "“items”未填写"}, "agency_request", "--params", "FILE", *words),
        *[(("law_change", "--params", name, *words), said) for name, said in PARAMS.values()],
        (("law_change", "--params", "early.json", *words), "“effective_on”应在 1900 年至 2999 年之间，现为 0001-01-01"),
    ]


#: Parameters with one fault each, written to a file of this name.
FAULTS = {
    "law": "法规库中没有《无此条例》", "from_version": "应为日期", "to_version": "没有 2020-01-01 的文本",
    "effective_on": "“effective_on”应为日期", "title": "“title”未填写", "reason": "“reason”应为文字", "colour": "“colour”不是这里的字段",
}  # fmt: skip
VALUES = {
    "law": "无此条例", "from_version": "2016-02-30", "to_version": "2020-01-01", "effective_on": "10000-01-01", "title": "", "reason": 3,
    "colour": "red",
}  # fmt: skip
PARAMS = {name: (f"params-{name}.json", said) for name, said in FAULTS.items()}

REFUSED: dict[str, list[Row]] = {
    "load": [
        *files(EITHER, "FILE"),
        *files({"note.txt": "认不出内容", "broken.json": "不是完整的 JSON", "list.json": "没有任何记录", "deep.json": "嵌套过深"}, "FILE"),
        (("",), "没有写明文件或者文件夹"),
        ((), "缺少"),
        (("d.csv", "--kind", "nonsense"), "“--kind”应为 departments、people、laws、items 之一"),
        (("d.csv", "--kind", "items"), "内容是 departments，不是 items"),
    ],
    "law import": [*files(EITHER, "FILE"), (("",), "没有写明文件或者文件夹")],
    "law list": [(("extra",), "多出 extra")],
    "law cite": [*files(UTF8, "FILE"), (("",), "打不开"), ((), "缺少 FILE")],
    "law diff": [
        *files(UTF8, "FILE", NEW),
        *files(UTF8, OLD, "FILE"),
        ((f"{LAW}@2016-02-30", NEW), "应为日期"),
        ((f"{LAW}@20160206", NEW), "应为日期"),
        ((f"{LAW}@9999-12-31", NEW), "没有 9999-12-31 的文本，现有：1998-10-25、2016-02-06"),
        (("无此条例@2016-02-06", NEW), "法规库中没有《无此条例》"),
        (("@", NEW), "法规库中没有《》"),
        (("d.csv", NEW), "没有识别出条文"),
        ((OLD,), "缺少 NEW"),
    ],
    "law table": [
        *files(UTF8, "FILE", NEW, "--out", "t.docx"),
        ((OLD, NEW, "--out", "folder"), "不能写入：这是一个文件夹"),
        ((OLD, NEW, "--out", "no/such/t.docx"), "不能写入：没有这个文件或者文件夹"),
        ((OLD, NEW, "--out", "d.csv/t.docx"), "不能写入：路径中有一段不是文件夹"),
        ((OLD, NEW, "--out", ""), "没有写明文件或者文件夹"),
        ((OLD, NEW), "缺少 --out"),
        (("无此条例@2016-02-06", NEW, "--out", "t.docx"), "法规库中没有《无此条例》"),
    ],
    "law witness": [
        *files(UTF8, "FILE", OLD, NEW),
        *files(UTF8, "decision.md", OLD, "FILE"),
        (("decision.md", OLD, "无此条例@2016-02-06"), "法规库中没有《无此条例》"),
    ],
    "law impact": [
        (("无此条例", "--from", "1998-10-25", "--repealed"), "法规库中没有《无此条例》"),
        (("社会团体管理登记条例", "--from", "1998-10-25", "--repealed"), "名称相近的有"),
        (("", "--from", "1998-10-25", "--repealed"), "法规库中没有《》"),
        ((LAW, "--from", "2016-02-30", "--repealed"), "应为日期"),
        ((LAW, "--from", "", "--repealed"), "应为日期"),
        ((LAW, "--from", "0000-01-01", "--repealed"), "应为日期"),
        ((LAW, "--from", "1998-10-25", "--to", "20160206"), "应为日期"),
        ((LAW, "--from", "1998-10-25", "--to", "2016-W05-6"), "应为日期"),
        ((LAW, "--from", "1998-10-25", "--to", "9999-12-31"), "没有 9999-12-31 的文本"),
        ((LAW, "--from", "2016-02-06", "--to", "1998-10-25"), "应晚于旧文本"),
        ((LAW, "--from", "1998-10-25", "--to", "2016-02-06", "--repealed"), "--repealed"),
        ((LAW, "--from", "1998-10-25"), "--repealed"),
        ((LAW, "--from", "1998-10-25", "--to", "2016-02-06", "--by", LAW), "只与 --repealed 同用"),
        ((LAW, "--from", "1998-10-25", "--repealed", "--by", "无此条例"), "法规库中没有《无此条例》"),
        ((LAW, "--repealed"), "请写明旧文本"),
        (("--repealed",), "请写明法规名称"),
        (("--repealed", "--by", "无此条例"), "法规库中没有《无此条例》"),
        (("--from", "1998-10-25", "--to", "2016-02-06"), "请写明法规名称"),
    ],
    "law rules": [(("extra",), "多出 extra")],
    "law switch": [
        (("nonsense", "--by", "周敏", "--reason", "试"), "没有名为“nonsense”的规则"),
        (("amended", "--by", "无此人", "--reason", "试"), "没有“无此人”，或者有多人同名"),
        (("amended", "--by", "", "--reason", "试"), "没有“”，或者有多人同名"),
        (("amended", "--by", "周敏", "--reason", " "), "须写明理由"),
        (("amended", "--by", "周敏", "--reason", "\udcff"), "不能保存的字符"),
        (("amended", "--by", "周敏", "--reason", "试", "--on"), "已经启用，不必重复办理"),
        (("amended", "--by", "周敏"), "缺少 --reason"),
    ],
    "items list": [
        (("--department", "无此局"), "没有名为“无此局”的部门"),
        (("--department", ""), "没有名为“”的部门"),
        (("--limit", "-1"), "应不小于 0"),
        (("--limit", "9" * 30), "应不大于"),
        (("--limit", "1.5"), "应为数字"),
    ],
    "items check": [(("extra",), "多出 extra")],
    "people list": [(("extra",), "多出 extra")],
    "calendar due": [
        *[((day, "3"), "“START”应为日期") for day in ("", "明天", "2026-02-30", "0000-01-01", "20260101", "2026-W01-1", "٢٠٢٦-٠١-٠١")],
        *[((day, "3"), "应在 1900 年至 2999 年之间") for day in ("0001-01-01", "1899-12-31", "9999-12-31")],
        *[(("2026-01-01", count), "应为 1 至 5000 的整数") for count in ("0", "5001", "9" * 30)],
        (("2026-01-01", "--", "-1"), "应为 1 至 5000 的整数"),
        *[(("2026-01-01", count), "应为数字") for count in ("", "x", "1.5")],
    ],
    "calendar load": [
        *files(EITHER, "FILE"),
        *files({"note.txt": "应有 date、workday 两列", "broken.json": "不是完整的 JSON", "deep.json": "嵌套过深"}, "FILE"),
        (("",), "没有写明文件或者文件夹"),
    ],
    "change preview": request(),
    "change start": [
        *request("--by", "p-1"),
        *[(("law_change", "--params", "params.json", "--by", by, "--again"), "或者有多人同名") for by in ("无此人", "")],
        (("law_change", "--params", "params.json", "--by", "p-1", "--key", ""), "请求编号应为 1 至 200 个字符"),
        (("law_change", "--params", "params.json", "--by", "p-1", "--key", "k" * 201), "请求编号应为 1 至 200 个字符"),
        (("law_change", "--params", "params.json"), "缺少 --by"),
    ],
    "change show": [(("2026-9999",), UNKNOWN_CHANGE), (("",), "没有编号为"), (("\udcff",), "不能识别的字符")],
    "change list": [*[(("--state", state), "“--state”应为 open、closed、withdrawn 之一") for state in ("", "nonsense")]],
    "change table": [
        (("2026-9999", "--out", "t.docx"), UNKNOWN_CHANGE),
        (("\udcff", "--out", "t.docx"), "不能识别的字符"),
        (("2026-9999",), "缺少 --out"),
    ],
    "change withdraw": [
        (("2026-9999", "--by", "p-1", "--reason", "试"), UNKNOWN_CHANGE),
        (("2026-0001", "--by", "无此人", "--reason", "试"), "没有“无此人”，或者有多人同名"),
        (("2026-0001", "--by", "p-1", "--reason", " "), "理由"),
        (("2026-0001", "--by", "p-1"), "缺少 --reason"),
    ],
    "token issue": [
        (("--for", "无此人"), "没有“无此人”，或者有多人同名"),
        (("--for", ""), "没有“”，或者有多人同名"),
        *[(("--for", "p-1", "--scope", scope), "“scope”应为") for scope in ("", ",", "decide", "read,decide")],
        *[(("--for", "p-1", "--days", days), "应不") for days in ("-1", "9999999", "9" * 30)],
        ((), "缺少 --for"),
    ],
    "token list": [(("extra",), "多出 extra")],
    "token revoke": [(("tok-none",), "没有编号为 tok-none 的有效凭证"), (("",), "没有编号为"), (("\udcff",), "不能识别的字符")],
    "audit verify": [
        (("--change", "2026-9999"), UNKNOWN_CHANGE),
        *[(("--head", head), "“--head”应为") for head in ("", "x", "1:zz", "1:", ":ab", "-1:ab", f"{'9' * 30}:{'a' * 64}")],
    ],
    "audit head": [((), "还没有日结"), (("extra",), "多出 extra")],
    "backup": [
        (("d.csv",), "已存在，未覆盖"),
        (("d.csv/b.tar.gz",), "不能写入（已有同名文件）"),
        (("",), "没有写明文件或者文件夹"),
    ],
    "restore": [
        *files({"nowhere": "没有这个文件", "folder": "这是一个文件夹"}, "FILE", "--replace"),
        *files(dict.fromkeys(("empty", "binary", "gbk.md", "d.csv", "word.docx"), "不是完整的备份"), "FILE", "--replace"),
        (("",), "没有写明文件或者文件夹"),
    ],
    "doctor": [(("extra",), "多出 extra")],
    "up": [
        (("--sample-items", "0"), "应不小于 1"),
        (("--sample-items", "x"), "应为数字"),
        (("--sample-departments", "201"), "应不大于 200"),
    ],
}  # fmt: skip

#: A call of each command that a home with data would answer.
CALLS: dict[str, tuple[str, ...]] = {
    "load": ("d.csv",), "law import": (f"{LAW}(2016-02-06).md",), "law list": (), "law cite": ("note.txt",), "law diff": (OLD, NEW),
    "law table": (OLD, NEW, "--out", "t.docx"), "law witness": ("decision.md", OLD, NEW),
    "law impact": (LAW, "--from", "1998-10-25", "--repealed"), "law rules": (),
    "law switch": ("amended", "--by", "p-1", "--reason", "试"), "items list": (), "items check": (), "people list": (),
    "calendar due": ("2026-01-05", "3"), "calendar load": ("good.csv",),
    "change preview": ("law_change", "--params", "params.json"),
    "change start": ("law_change", "--params", "params.json", "--by", "p-1"), "change show": ("2026-0001",), "change list": (),
    "change table": ("2026-0001", "--out", "t.docx"), "change withdraw": ("2026-0001", "--by", "p-1", "--reason", "试"),
    "token issue": ("--for", "p-1"), "token list": (), "token revoke": ("tok-none",), "audit verify": (), "audit head": (),
    "backup": ("kept",), "doctor": (), "up": (),
}  # fmt: skip
#: Without data these answer that there is nothing; the next ones make the home.
EMPTY = {
    "law list",
    "law cite",
    "items list",
    "items check",
    "people list",
    "calendar due",
    "change list",
    "token list",
}
MAKING = {"load", "law import", "calendar load"}
#: Needs no system to be there and none to be started: what they say is tried on its own.
APART = {"doctor", "up", "restore"}


def commands() -> list[str]:
    """Every command of the application, as typed."""
    found = []
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        inside = getattr(command, "commands", None)
        found += [name] if inside is None else [f"{name} {one}" for one in inside]
    return sorted(found)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with every file above, and a home with a law, an item, a coordinator and an open change."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "folder").mkdir()
    for name, content in FILES.items():
        if content is not None:
            (folder / name).write_bytes(content)
    for name, text in LAWS.items():
        (folder / name).write_text(text, encoding="utf-8")
    for name, value in VALUES.items():
        (folder / PARAMS[name][0]).write_text(json.dumps({**LAW_CHANGE, name: value}), encoding="utf-8")
    (folder / "good.csv").write_text("date,workday\n2027-01-01,0\n", encoding="utf-8")
    (folder / "p.csv").write_text(PEOPLE, encoding="utf-8")
    home = folder / "home"
    assert shixiang(home, "load", "d.csv", "p.csv", "i.csv", *LAWS).returncode == 0
    assert shixiang(home, "change", "start", "law_change", "--params", "params.json", "--by", "p-1").returncode == 0
    yield folder
    # A row that refuses and writes all the same would show here.
    assert not (folder / "t.docx").exists()


def state(home: Path) -> str:
    """A mark of everything the home's data says; a comparison that was worked out may be kept."""
    with closing(sqlite3.connect(home / "shixiang.db")) as connection:
        said = [line for line in connection.iterdump() if "law_comparison" not in line]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()


def assert_refused(done: Done, sentence: str) -> None:
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.count("\n") == 1 and done.stderr.endswith("。\n"), done.stderr
    assert sentence in done.stderr, done.stderr
    for word in ("Traceback", "Error", "没有完成", "No such", "Is a directory", "Input should"):
        assert word not in done.stderr, done.stderr


def test_every_command_has_its_rows() -> None:
    assert sorted(REFUSED) == commands()
    assert sorted({*CALLS, "restore"}) == commands()
    assert all(REFUSED.values())


@pytest.mark.parametrize("command", sorted(REFUSED))
def test_what_a_command_cannot_use_is_one_sentence_and_changes_nothing(office: Path, command: str) -> None:
    before = state(office / "home")
    for words, sentence in REFUSED[command]:
        assert_refused(shixiang(office / "home", *command.split(), *words), sentence)
    assert state(office / "home") == before
    assert not (office / "home" / "cli.log").exists()  # nothing of it took us by surprise


@pytest.mark.parametrize("command", sorted(set(CALLS) - APART))
def test_a_home_without_data_is_empty_or_one_sentence_and_is_not_made_by_asking(
    office: Path, tmp_path: Path, command: str
) -> None:
    home = tmp_path / "none"
    done = shixiang(home, *command.split(), *CALLS[command], folder=office)
    if command in EMPTY | MAKING:
        assert (done.returncode, done.stderr) == (0, ""), done
    else:
        assert_refused(done, "没有编号为" if command in {"change show", "change withdraw"} else NO_DATA)
    assert home.exists() == (command in MAKING)


#: What is wrong with a home; `file`: one lies where it should be.
HOMES = ("newer", "broken", "file", "server away", "no such database", "unknown address", "port")


def spoilt(kind: str, office: Path, tmp_path: Path) -> tuple[Path, dict[str, str], str]:
    """A home of this kind, the settings for it, and what must be said."""
    home = tmp_path / "home"
    if kind in {"newer", "broken"}:
        home.mkdir()
        with closing(sqlite3.connect(office / "home" / "shixiang.db")) as source:
            source.execute("vacuum into ?", (str(home / "shixiang.db"),))
    if kind == "newer":
        with closing(sqlite3.connect(home / "shixiang.db")) as connection, connection:
            connection.execute("update alembic_version set version_num = '9999'")
        return home, {}, "数据由更新的程序写成（数据版本 9999"
    if kind == "broken":
        (home / "shixiang.db").write_bytes(b"not a database" * 1000)
        return home, {}, "数据文件已损坏"
    if kind == "file":
        home.write_text("", encoding="utf-8")
        return home, {}, "不能写入，未作任何改动"
    return home, *{
        "server away": ({"SHIXIANG_DATABASE_URL": "postgresql://x@127.0.0.1:9/none"}, "数据库没有应答"),
        "no such database": ({"SHIXIANG_DATABASE_URL": "postgresql://postgres@127.0.0.1:5432/none"}, "没有这个库"),
        "unknown address": ({"SHIXIANG_DATABASE_URL": "mysql://x"}, "设置 SHIXIANG_DATABASE_URL 的值“mysql://x”不可用"),
        "port": ({"SHIXIANG_PORTAL_PORT": "70000"}, "设置 SHIXIANG_PORTAL_PORT 的值“70000”不可用：应不大于 65535"),
    }[kind]  # fmt: skip


def ports() -> dict[str, str]:
    """Ports of its own for `up`: the machine may run another."""
    return {f"SHIXIANG_{part}_PORT": str(free_port()) for part in ("PORTAL", "PREFECT", "MAILBOX")}


@pytest.mark.parametrize("kind", HOMES)
def test_a_home_that_cannot_be_used_is_one_sentence(
    request: pytest.FixtureRequest, office: Path, tmp_path: Path, kind: str
) -> None:
    if kind == "no such database":
        request.getfixturevalue("postgres_address")  # skipped where no server answers
    home, more, sentence = spoilt(kind, office, tmp_path)
    for command in sorted(set(CALLS) - APART):
        done = shixiang(home, *command.split(), *CALLS[command], folder=office, **more)
        if kind != "file" or command in MAKING:
            assert_refused(done, sentence)
        elif command in EMPTY:
            assert (done.returncode, done.stderr) == (0, "")
        else:
            assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert_refused(shixiang(home, "up", folder=office, **{**ports(), **more}), sentence)


def test_doctor_says_of_a_home_that_cannot_be_used_what_is_wrong_and_ends_with_two(
    office: Path, tmp_path: Path
) -> None:
    for number, kind in enumerate(("newer", "broken", "file", "server away")):
        (tmp_path / str(number)).mkdir()
        home, more, _ = spoilt(kind, office, tmp_path / str(number))
        done = shixiang(home, "doctor", folder=office, **more)
        assert (done.returncode, done.stderr) == (2, ""), done
        assert "不可用" in done.stdout and "Traceback" not in done.stdout


def test_up_says_which_port_is_taken_and_does_not_start_on_a_restore_that_was_interrupted(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = shixiang(tmp_path / "home", "up", folder=tmp_path, **{**ports(), "SHIXIANG_PORTAL_PORT": str(port)})
    assert_refused(done, f"端口 {port} 已被占用（门户）")
    (tmp_path / "home" / "restore-unfinished").write_text("", encoding="utf-8")
    assert_refused(shixiang(tmp_path / "home", "up", folder=tmp_path, **ports()), "还原没有做完")


def test_a_row_of_an_arrangement_that_is_no_day_is_refused_and_counted(office: Path, tmp_path: Path) -> None:
    shutil.copy(office / "days.csv", tmp_path)
    done = shixiang(tmp_path / "home", "calendar", "load", "days.csv", "--json")
    assert (done.returncode, json.loads(done.stdout)["files"][0]["refused"]) == (1, 1)
    assert (
        done.stderr == "days.csv 第 2 行“date”：“2026-13-45”不是日期，例如 2027-01-01，该行未导入，其他行不受影响。\n"
    )
