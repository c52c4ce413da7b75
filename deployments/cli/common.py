"""What all commands share: the home, JSON and sentences out, refusals as exit codes."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.exceptions import Abort, TyperException

from models.domain.outside import printable

if TYPE_CHECKING:
    from models.settings import Settings
    from models.store.database import Database
    from models.store.quick import Reading


def named_path(text: str | Path) -> Path:
    """A path as it was typed. An empty one is a script's variable without a value, not the folder one stands in."""
    if not str(text):
        raise typer.BadParameter("没有写明文件或者文件夹")
    return Path(text)


Out = Annotated[
    Path,
    typer.Option("--out", metavar="FILE", parser=named_path, help="写入哪个文件，例如 对照表.docx；已有的会被替换"),
]
Whole = Annotated[bool, typer.Option("--whole", help="未修改的条文也列入")]
REFUSED = 2
#: What typer and pydantic say of a value that was mistyped, and what we say. They do not look for translations themselves.
_MISUSES = (
    (r"No such command '(.+?)'.*", "没有命令 {}"),
    (r"Got unexpected extra argument\S* \((.+)\)", "多出 {}"),
    (r"Option '(.+)' requires an argument", "选项 {} 后面没有值"),
    (r"Input should be a valid (?:integer|number).*", "应为数字"),
    (r"Input should be a finite number", "应为数字"),
    (r"Input should be greater than (\S+)", "应大于 {}"),
    (r"Input should be '(.+)'", "应为 {} 之一"),
    (r"Value error, (.+)", "{}"),
    (r"Input should be greater than or equal to (\S+)", "应不小于 {}"),
    (r"Input should be less than or equal to (\S+)", "应不大于 {}"),
)


def settings() -> Settings:
    """The settings. Raises Unusable setting_invalid."""
    from pydantic import ValidationError

    from models.domain.errors import Unusable
    from models.settings import Settings

    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "SHIXIANG_" + ".".join(str(part) for part in first["loc"]).upper()
        message = f"设置 {name} 的值“{first.get('input')}”不可用：{_ours(first['msg'])}。"
        raise Unusable("setting_invalid", message, setting=name) from None


@contextlib.contextmanager
def reading() -> Iterator[Reading]:
    """A short look into our data; empty where there is none yet, and nothing is created. Raises Unusable schema_newer."""
    from models.store import quick
    from models.store.revision import refuse_newer

    with quick.reading(settings().business_url) as read:
        if not read.empty:
            refuse_newer(quick.revision(read))
        yield read


def readable() -> Database | None:
    """Our data for a command that only reads; None where there is nothing yet, and nothing is created."""
    with reading() as read:
        if read.empty:
            return None
    from models.store.database import Database

    return Database(settings().business_url)


def writable() -> Database:
    """Our data for a command that writes, brought to the newest schema; the home is made where it is missing."""
    from models.domain.errors import Unusable

    chosen = settings()
    try:
        chosen.home_path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        message = f"数据目录 {chosen.home_path} 不能写入，未作任何改动，请检查权限和空间。"
        raise Unusable("home_read_only", message, home=str(chosen.home_path)) from error
    from models.store.database import Database
    from models.store.migrate import migrate

    db = Database(chosen.business_url)
    migrate(db)
    return db


def standing() -> Database:
    """As `writable`, for a command that can do nothing without data: no home is made for it. Raises nothing_loaded."""
    with reading() as read:
        if read.empty:
            nothing_loaded()
    return writable()


def nothing_loaded() -> NoReturn:
    """The refusal of a command that needs data, in an empty home."""
    from models.domain.errors import Unusable

    raise Unusable("nothing_loaded", "数据目录中还没有数据，请先载入（`shixiang load`）。")


def say(text: str = "") -> None:
    """One line on stdout; what came from outside moves no cursor and begins no line of its own."""
    print(printable(text))


def warn(text: str) -> None:
    """One sentence on stderr, as `say`."""
    print(printable(text), file=sys.stderr)


def day(text: str, name: str) -> date:
    """A day as YYYY-MM-DD, and no other way of writing one. Raises BadInput field_invalid."""
    from models.domain.errors import BadInput

    try:
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        message = f"“{name}”应为日期，写作 2024-02-27 的形式，现为“{text}”。"
        raise BadInput("field_invalid", message, field=name) from None


def write_document(path: Path, content: bytes) -> None:
    """Write a file. Raises Unusable file_unwritable."""
    from models.domain.errors import Unusable
    from models.domain.os_words import reason_of

    try:
        path.write_bytes(content)
    except OSError as error:
        message = f"文件 {path} 不能写入：{reason_of(error)}。请换一个位置，或者先关闭正在打开它的程序。"
        raise Unusable("file_unwritable", message, file=str(path)) from error


def say_json(value: Any) -> None:
    """A value as JSON on stdout."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def guarded(app: Callable[..., Any]) -> int:
    """Run the command line; refusals and failures become one sentence and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show Chinese gets \\uXXXX, which is still JSON.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    # What a part logs on the way is for the logs of the system; here the sentence is enough.
    logging.getLogger("shixiang").addHandler(logging.NullHandler())
    try:
        code = app(standalone_mode=False, prog_name="shixiang")
        return code if isinstance(code, int) else 0
    except TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            warn(error.message)
        else:
            warn(_misused(error))
        return REFUSED
    except Abort:
        warn("已中止，未作改动。")
        return REFUSED
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else REFUSED if ended.code else 0
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except Exception as error:
        warn(_sentence(error))
        return REFUSED


def _misused(error: TyperException) -> str:
    """What is wrong with a command as it was typed, and where its use is explained."""
    kind, param, context = type(error).__name__, getattr(error, "param", None), getattr(error, "ctx", None)
    hint = str(getattr(error, "param_hint", None) or (param.get_error_hint() if param else "")).replace("'", "")
    said = _ours(error.message)
    if kind == "MissingParameter":
        words = f"缺少 {hint}"
    elif kind == "NoSuchOption":
        near = getattr(error, "possibilities", None)
        words = f"没有选项 {getattr(error, 'option_name', '')}" + (
            f"，相近的有：{'、'.join(sorted(near))}" if near else ""
        )
    elif kind == "BadParameter":
        words = f"{hint} 的值不可用：{said}"
    else:
        words = said
    return f"{words}。用法见 `{context.command_path if context else 'shixiang'} -h`。"


def _ours(said: str) -> str:
    """What typer or pydantic said, in Chinese where we have the words."""
    said = said.rstrip(".")
    for pattern, ours in _MISUSES:
        if match := re.fullmatch(pattern, said, re.DOTALL):
            return ours.format(*match.groups())
    return said


_OLDER = "数据还是旧版本，请先启动一次系统（`shixiang up`）完成升级。"
#: What a database says (in small letters), and what we say.
_FAULTS = (
    ("readonly", "数据目录不能写入，未作任何改动，请检查权限和空间。"),
    ("read-only", "数据目录不能写入，未作任何改动，请检查权限和空间。"),
    ("disk is full", "磁盘空间不足，未作任何改动，请检查权限和空间。"),
    ("locked", "数据库正忙，未作任何改动，请稍后再试。"),
    (
        "file is not a database",
        "数据文件已损坏或者不是本系统的数据，未作任何改动。请从备份还原（`shixiang restore`）。",
    ),
    ("malformed", "数据文件已损坏，未作任何改动。请从备份还原（`shixiang restore`）。"),
    ("unable to open", "数据文件打不开，未作任何改动，请检查数据目录的权限。"),
    ("no such column", _OLDER),
    ("no such table", _OLDER),
    ("connection refused", "数据库没有应答。请检查数据库服务和 SHIXIANG_DATABASE_URL。"),
    ("timeout expired", "数据库没有应答。请检查数据库服务和 SHIXIANG_DATABASE_URL。"),
    ("resolve host", "找不到数据库所在的主机。请检查 SHIXIANG_DATABASE_URL。"),
    ("authentication failed", "数据库不接受该用户名或者密码。请检查 SHIXIANG_DATABASE_URL。"),
)


def _sentence(error: Exception) -> str:
    from models.domain.errors import Refusal

    if isinstance(error, Refusal):
        return error.message
    words = str(getattr(error, "orig", error)).strip().split("\n")[0]
    kind = type(error).__name__
    if kind in {"OperationalError", "DatabaseError", "ProgrammingError", "UndefinedColumn", "UndefinedTable"}:
        if "Undefined" in type(getattr(error, "orig", error)).__name__:
            return _OLDER
        if re.search(r'database "[^"]*" does not exist', words):
            return "数据库服务中没有这个库。请先建库，或者改正 SHIXIANG_DATABASE_URL。"
        for mark, sentence in _FAULTS:
            if mark in words.lower():
                return sentence + (_kept(error) if "损坏" in sentence else "")
        return f"数据库连不上或者不能使用：{words}。{_kept(error)}"
    if isinstance(error, UnicodeEncodeError):
        return "输入含有不能识别的字符，未作任何改动。请重新输入。"
    return f"没有完成：{kind} {words}。{_kept(error)}"


def _kept(error: Exception) -> str:
    """Keep the traceback in the home's log, if there is a home."""
    try:
        home = settings().home_path
        if not home.is_dir():
            return ""
        log = home / "cli.log"
        with log.open("a", encoding="utf-8") as file:
            file.write("".join(traceback.format_exception(error)) + "\n")
    except Exception:  # no home, or no room in it: the sentence of what failed stands alone
        return ""
    return f"详情见 {log}。"
