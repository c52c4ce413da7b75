"""`shixiang doctor` names what is wrong and what to do; each thing by itself, on both databases."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import socketserver
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import delete, insert, update

from deployments import doctor
from deployments.doctor import Check, examine, exit_code, mail_server
from deployments.ports import free_port
from models.settings import Settings
from models.store import health, office
from models.store.change import CHANGE, ENGINE, SHEET, STEP
from models.store.database import Database
from models.store.migrate import migrate
from models.store.outbox import NOTICE
from models.store.sql import table
from models.tables import Person, Workday
from notifications.links import load_secrets
from tests.conftest import emptied
from tests.factories import LAW, NEW, OLD, small_office
from tests.stories.driver import START, Story
from tests.system import until

LAW_CHANGE = {"title": "餐饮条例修订", "law": LAW, "from_version": OLD.isoformat(), "to_version": NEW.isoformat()}


@pytest.fixture(params=["sqlite", "postgresql"])
def story(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Settings, Story]]:
    """A home in order, with one open change, some minutes after its start."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    load_secrets(home)
    url = "" if request.param == "sqlite" else request.getfixturevalue("postgres_address")
    settings = Settings(
        home=home, database_url=url, portal_port=free_port(), prefect_port=free_port(), mailbox_port=free_port()
    )
    db = emptied(url) if url else Database(settings.business_url)
    migrate(db)
    with db.writer() as connection:
        # The first line of the log is written at the machine's own time.
        connection.exec_driver_sql("delete from office_log")
    now = datetime.now(UTC) if url else START
    small_office(db, now, schema=False)
    told = Story(db, now=now)
    told.start("law_change", LAW_CHANGE)
    with db.writer() as connection:
        connection.execute(update(NOTICE).values(state="sent", sent_at=now))
        connection.execute(update(CHANGE).values(consumed_seq=CHANGE.c.work_seq))
        days = [{"day": date(told.now.year + more, 1, 1), "is_workday": False} for more in (0, 1)]
        connection.execute(insert(table(Workday)), days)
        connection.execute(insert(table(Person)), [{"id": "p-2", "name": "韩立"}])
        for target, values in (
            ("contact", {"id": "c-2", "person_id": "p-2", "kind": "mail", "address": "p-2@shili.example", "shared": False}),
            ("post", {"id": "o-2", "person_id": "p-2", "department_id": "d-service", "role": "coordinator",
                      "from_on": date(2020, 1, 1), "level": "2", "region": "990000"}),
        ):  # fmt: skip
            connection.execute(insert(office.CONTACT if target == "contact" else office.POST).values(**values))
        office.set_meta(connection, "backed_up_at", now.isoformat())
    yield settings, told
    db.close()


def looked(settings: Settings, now: datetime) -> dict[str, Check]:
    """The worst check of each kind."""
    worst: dict[str, Check] = {}
    order = ("ok", "warn", "bad", "unusable")
    for check in examine(settings, now):
        if check.what not in worst or order.index(check.state) > order.index(worst[check.what].state):
            worst[check.what] = check
    return worst


def test_a_home_in_order_has_nothing_to_say(story: tuple[Settings, Story]) -> None:
    settings, told = story
    found = looked(settings, told.now)
    assert {what: check.message for what, check in found.items() if check.state != "ok"} == {}
    assert set(found) == {
        "versions", "home", "secret", "disk", "ports", "mail", "holidays", "database", "clock", "coordinators", "engine",
        "watch", "outbox", "changes", "audit", "backup",
    }  # fmt: skip
    assert exit_code(list(found.values())) == 0


@pytest.mark.parametrize("database", ["postgresql://x@127.0.0.1:{port}/x", ""])
def test_parts_that_keep_silent_are_named_within_two_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str
) -> None:
    (tmp_path / "home").mkdir(mode=0o700)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never says a word
        port = silent.getsockname()[1]
        settings = Settings(
            home=tmp_path / "home", database_url=database.format(port=port), mail_url=f"mailtos://127.0.0.1:{port}?from=a@b.example",
            portal_port=free_port(), prefect_port=free_port(),
        )  # fmt: skip
        monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{port}/api")
        begun = time.monotonic()
        found = looked(settings, START)
        took = time.monotonic() - begun
    assert took < 1.8
    assert "没有应答" in found["ports"].message and found["mail"].state == "bad"
    assert found["database"].state == ("unusable" if database else "ok")


def test_what_is_wrong_in_the_data_is_named_with_what_to_do(story: tuple[Settings, Story]) -> None:
    settings, told = story
    now = told.now
    with told.db.writer() as connection:
        connection.execute(update(NOTICE).values(state="retrying", next_at=now - timedelta(hours=2)))
        connection.execute(
            update(CHANGE).values(stuck="出错", work_seq=CHANGE.c.log_seq, consumed_seq=0, work_since=now)
        )
        connection.execute(update(STEP).values(no_owner="没有承办人"))
        connection.execute(delete(office.POST).where(office.POST.c.person_id == "p-2"))
        connection.execute(delete(table(Workday)))
        office.set_meta(connection, "backed_up_at", (now - timedelta(days=8)).isoformat())
    found = looked(settings, now)
    assert "1 件待发，最早的已等 2 小时" in found["outbox"].message
    assert "2026-0001" in found["changes"].message or "无人承办" in found["changes"].message
    assert found["coordinators"].message.startswith("统筹协调人只有 1 人")
    assert "8 天前" in found["backup"].message
    assert found["engine"].state == "warn"
    assert all(check.todo for check in found.values() if check.state != "ok")
    assert exit_code(list(found.values())) == 1
    with told.db.writer() as connection:
        connection.execute(update(NOTICE).values(state="undeliverable"))
        connection.execute(delete(office.POST))
        connection.execute(delete(SHEET))
    assert "未送达" in looked(settings, now)["outbox"].message
    assert looked(settings, now)["coordinators"].state == "bad"


def test_mails_that_fail_again_and_again_are_said_with_what_the_server_answers(story: tuple[Settings, Story]) -> None:
    settings, told = story
    said = "邮件服务器不接受本系统发信：530 5.7.0 authenticate first"
    waits = {"state": "retrying", "error": said, "next_at": told.now + timedelta(seconds=9)}
    with told.db.writer() as connection:
        connection.execute(update(NOTICE).values(created_at=told.now - timedelta(minutes=19), **waits))
    assert looked(settings, told.now)["outbox"].state == "ok"
    later = told.now + timedelta(minutes=2)
    found = looked(settings, later)["outbox"]
    assert found.state == "warn" and f"1 件一再没有发出，最近的原因：{said}。" in found.message
    assert "发件人、账号和密码" in found.todo


def test_a_clock_that_went_back_is_noticed(story: tuple[Settings, Story]) -> None:
    settings, told = story
    found = looked(settings, told.now - timedelta(hours=3))["clock"]
    assert found.state == "bad" and "3 小时" in found.message


@pytest.fixture
def up_runs(story: tuple[Settings, Story]) -> Iterator[None]:
    """The home is held as `up` holds it."""
    with (story[0].home_path / "up.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def test_whether_up_runs_is_told_by_who_holds_the_home(story: tuple[Settings, Story], up_runs: None) -> None:
    settings, told = story
    assert "系统正在运行" in looked(settings, told.now)["home"].message
    found = looked(settings, told.now)["ports"]
    assert found.state == "bad" and "没有应答" in found.message and str(settings.home_path / "logs") in found.todo


def test_a_home_that_up_has_left_is_not_running(story: tuple[Settings, Story]) -> None:
    settings, told = story
    (settings.home_path / "up.lock").touch()
    found = looked(settings, told.now)
    assert "系统正在运行" not in found["home"].message and found["ports"].state == "ok"


@pytest.mark.parametrize(
    ("free", "state", "says", "todo"),
    [
        (199_000_000, "bad", "剩余 0.2 GB，即将写满", "写满时系统不再记录，已记录的不受影响"),
        (1_900_000_000, "warn", "剩余 1.9 GB", "把 backups 移到别处"),
        (2_000_000_000, "ok", "剩余 2.0 GB", ""),
    ],
)
def test_a_disk_that_fills_is_said_before_it_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, state: str, says: str, todo: str
) -> None:
    asked: list[Path] = []

    def usage(path: Path) -> Any:
        asked.append(path)
        return SimpleNamespace(free=free)

    monkeypatch.setattr("deployments.doctor.shutil.disk_usage", usage)
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    found = looked(Settings(home=home, database_url=f"sqlite:///{tmp_path / 'data' / 'x.db'}"), START)["disk"]
    assert (found.state, says in found.message, todo in found.todo) == (state, True, True)
    # Where the data will lie does not exist yet: the disk of the folder above it is asked.
    assert set(asked) == {home, tmp_path}


def test_versions_that_are_not_those_of_the_lock_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = doctor._locked()
    assert set(doctor.PINNED) <= set(locked)

    def there(name: str) -> str:
        if name == "apprise":
            raise PackageNotFoundError(name)
        return "0.1" if name == "fastapi" else locked[name]

    monkeypatch.setattr(doctor, "version", there)
    found = looked(Settings(home=tmp_path / "none"), START)["versions"]
    assert found.state == "bad" and "lock.txt" in found.todo
    fastapi = f"fastapi 0.1（应为 {locked['fastapi']}）"
    assert found.message == f"与锁定的版本不同：{fastapi}、apprise 没有安装（应为 {locked['apprise']}）。"


def test_a_year_without_its_holidays_is_said_with_what_to_do(story: tuple[Settings, Story]) -> None:
    settings, told = story
    with told.db.writer() as connection:
        connection.execute(delete(table(Workday)))
        connection.execute(insert(table(Workday)), [{"day": date(2041, 1, 1), "is_workday": False}])

    def holidays(year: int, month: int) -> Check:
        return looked(settings, datetime(year, month, 15, tzinfo=UTC))["holidays"]

    assert holidays(2041, 10).state == "ok"
    coming = holidays(2041, 11)
    assert coming.state == "warn" and "2042 年的安排没有载入" in coming.message
    assert "`shixiang calendar load 2042.csv`" in coming.todo
    missing = holidays(2042, 1)
    assert missing.state == "bad" and "2042 年的安排没有载入，时限均为暂定" in missing.message
    assert "`shixiang calendar load 2042.csv`" in missing.todo


def test_a_file_without_a_write_ahead_log_is_said_to_be_that_and_mended_by_the_next_start(
    story: tuple[Settings, Story],
) -> None:
    settings, told = story
    if not told.db.sqlite:
        pytest.skip("a question of SQLite")
    told.db.close()
    file = settings.business_url.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("pragma journal_mode=delete")
    found = looked(settings, told.now)["database"]
    assert found.state == "warn" and "journal_mode 是 delete" in found.message and "不能写入" not in found.message
    assert "下一次启动时自动改回" in found.todo
    with told.db.writer():
        pass
    assert looked(settings, told.now)["database"].state == "ok"


def test_a_lock_that_others_wait_for_is_said_on_postgresql(
    story: tuple[Settings, Story], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, told = story
    if told.db.sqlite:
        pytest.skip("SQLite has no server to ask")
    monkeypatch.setattr(health, "WAITS_LONG", timedelta(0))

    def another() -> None:
        with told.db.writer() as connection:
            connection.execute(update(CHANGE).values(stuck=None))

    with told.db.writer() as connection:
        connection.execute(update(CHANGE).values(stuck="占用"))
        holder = connection.exec_driver_sql("select pg_backend_pid()").scalar()
        waits = threading.Thread(target=another)
        waits.start()
        waiting = (
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
        with told.db.reader() as looks:
            until(lambda: looks.exec_driver_sql(waiting).scalar(), 20, "somebody waits for the lock")
        found = looked(settings, told.now)["database"]
    waits.join()
    assert found.state == "bad" and "1 个操作在等锁" in found.message and str(holder) in found.message
    assert "pg_stat_activity" in found.todo
    assert looked(settings, told.now)["database"].state == "ok"


def test_a_postgresql_that_takes_no_writes_is_not_said_to_be_writable(story: tuple[Settings, Story]) -> None:
    settings, told = story
    if told.db.sqlite:
        pytest.skip("SQLite has no server to ask")
    found = looked(
        settings.model_copy(update={"database_url": f"{told.db.url}?options=-c%20default_transaction_read_only%3Don"}),
        told.now,
    )
    assert found["database"].state == "bad" and "只读" in found["database"].message and found["database"].todo


def test_tables_held_by_another_keep_the_doctor_no_longer_than_his_time(story: tuple[Settings, Story]) -> None:
    settings, told = story
    if told.db.sqlite:
        pytest.skip("SQLite reads what was committed, whoever writes")
    with told.db.writer() as connection:
        connection.exec_driver_sql("lock table change, change_log, notice, meta, engine in access exclusive mode")
        began = time.monotonic()
        found = looked(settings, told.now)
        took = time.monotonic() - began
    assert found["changes"].state == "bad" and "没有查成" in found["changes"].message
    assert found["coordinators"].state == "ok"
    assert took < 2


@pytest.mark.usefixtures("up_runs")
def test_while_up_runs_a_silent_engine_port_and_watch_are_bad(story: tuple[Settings, Story]) -> None:
    settings, told = story
    now = told.now
    with told.db.writer() as connection:
        seen = {"id": "e", "pid": 1, "host": "h", "started_at": now, "seen_at": now - timedelta(minutes=3)}
        connection.execute(insert(ENGINE).values(**seen))
        office.set_meta(connection, "watched_at", (now - timedelta(hours=2)).isoformat())
    found = looked(settings, now)
    assert {"engine", "watch", "ports", "mail"} <= {what for what, check in found.items() if check.state == "bad"}
    assert "3 分钟" in found["engine"].message
    with told.db.writer() as connection:
        connection.execute(update(ENGINE).values(seen_at=now))
        connection.execute(update(CHANGE).values(consumed_seq=0, work_since=now - timedelta(minutes=9)))
    assert "已等待 9 分钟" in looked(settings, now)["engine"].message


def test_a_database_that_is_away_newer_or_locked_is_said(story: tuple[Settings, Story]) -> None:
    settings, told = story
    away = settings.model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:9/none"})
    checks = examine(away, told.now)
    assert checks[-1].what == "database" and checks[-1].state == "unusable"
    assert exit_code(checks) == 2
    if told.db.sqlite:
        with told.db.writer():
            assert looked(settings, told.now)["database"].state == "bad"
    with told.db.writer() as connection:
        connection.exec_driver_sql("update alembic_version set version_num = '9999'")
    assert looked(settings, told.now)["database"].state == "unusable"
    with told.db.writer() as connection:
        connection.exec_driver_sql("update alembic_version set version_num = '0001'")
    assert looked(settings, told.now)["database"].state == "warn"


def test_modes_ports_and_an_unfinished_restore_are_said(story: tuple[Settings, Story]) -> None:
    settings, told = story
    home = settings.home_path
    home.chmod(0o755)
    (home / "secret.json").chmod(0o644)
    with socketserver.TCPServer(("127.0.0.1", settings.portal_port), socketserver.BaseRequestHandler):
        found = looked(settings, told.now)
    assert "chmod 700" in found["home"].todo
    assert "chmod 600" in found["secret"].todo
    assert "SHIXIANG_PORTAL_PORT" in found["ports"].todo
    (home / "restore-unfinished").touch()
    assert exit_code(examine(settings, told.now)) == 2


class _Greeting(socketserver.StreamRequestHandler):
    said: list[str] = []

    def handle(self) -> None:
        self.wfile.write(b"220 ready\r\n")
        while line := self.rfile.readline():
            self.said.append(line.decode().split()[0].upper())
            self.wfile.write(b"250 ok\r\n")


def test_the_mail_server_is_greeted_and_nothing_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "NETWORK_SECONDS", 30.0)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Greeting) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"mailto://127.0.0.1:{server.server_address[1]}?mode=insecure"
        found = looked(Settings(home=tmp_path / "none", mail_url=url), START)
        server.shutdown()
    assert found["mail"].state == "ok", found["mail"].message
    assert set(_Greeting.said) <= {"EHLO", "QUIT"}
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mailto://mail.shili.example?mode=insecure", ("mail.shili.example", 25, "")),
        ("mailtos://user:p%40ss@shili.example?smtp=smtp.shili.example", ("smtp.shili.example", 587, "starttls")),
        ("mailtos://shili.example?mode=ssl", ("shili.example", 465, "ssl")),
        ("mailtos://shili.example:2465?mode=ssl", ("shili.example", 2465, "ssl")),
    ],
)
def test_where_the_mail_server_is_is_read_from_the_address(url: str, expected: tuple[str, int, str]) -> None:
    assert mail_server(url) == expected


def test_the_command_answers_json_and_imports_neither_prefect_nor_the_table_classes(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom deployments.cli import app\nsys.argv = ['shixiang', 'doctor', '--json']\n"
        "try:\n    app()\nexcept SystemExit:\n    pass\n"
        "print(','.join(sorted({n.split('.')[0] for n in sys.modules})), file=sys.stderr)\n"
    )
    environment = {**os.environ, "SHIXIANG_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert '"ok"' in done.stdout
    assert not {"prefect", "sqlmodel", "alembic", "apprise"} & set(done.stderr.strip().split("\n")[-1].split(","))
