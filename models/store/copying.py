"""A whole database as one file and back: SQLite's online backup, PostgreSQL's own tools. Whoever writes goes on writing.

copy_out(db, target) -> Facts             one snapshot, with what it holds
Staged(url)                               the place beside a database where a copy is made ready, then put in its stead
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, make_url, select, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from models.domain.errors import Conflict, Unusable
from models.store.catalogue import VERSION
from models.store.change import CHANGE, DECISION, LOG
from models.store.database import Database
from models.store.migrate import current
from models.store.outbox import NOTICE
from models.store.sealing import OFFICE_LOG

_COUNTED = (CHANGE, LOG, DECISION, NOTICE, VERSION, OFFICE_LOG)


@dataclass(frozen=True)
class Facts:
    """What a copy holds: schema revision, rows by table, and the ends of all chains as one hash."""

    kind: str
    server: str
    revision: str | None
    counts: dict[str, int]
    open: int
    chains: str
    office_seq: int
    office_hash: str


def facts(connection: Connection) -> Facts:
    """The facts of what a connection sees."""
    sqlite = connection.dialect.name == "sqlite"
    ends = hashlib.sha256()
    last = select(LOG.c.change_id, func.max(LOG.c.seq).label("seq")).group_by(LOG.c.change_id).subquery()
    query = select(LOG.c.change_id, LOG.c.seq, LOG.c.hash).join(
        last, (last.c.change_id == LOG.c.change_id) & (last.c.seq == LOG.c.seq)
    )
    for end in sorted(f"{row[0]}:{row[1]}:{row[2]}\n" for row in connection.execute(query)):
        ends.update(end.encode())
    office = connection.execute(
        select(OFFICE_LOG.c.seq, OFFICE_LOG.c.hash).order_by(OFFICE_LOG.c.seq.desc()).limit(1)
    ).first()
    return Facts(
        kind="sqlite" if sqlite else "postgresql",
        server=sqlite3.sqlite_version if sqlite else str(connection.execute(text("show server_version")).scalar()),
        revision=current(connection),
        counts={t.name: int(connection.execute(select(func.count()).select_from(t)).scalar_one()) for t in _COUNTED},
        open=int(
            connection.execute(select(func.count()).select_from(CHANGE).where(CHANGE.c.state == "open")).scalar_one()
        ),
        chains=ends.hexdigest(),
        office_seq=0 if office is None else int(office.seq),
        office_hash="" if office is None else str(office.hash),
    )


def copy_out(db: Database, target: Path) -> Facts:
    """Copy the database as it stands at one moment. Raises `Unusable` pg_tools, copy_failed."""
    return _sqlite_out(db, target) if db.sqlite else _postgresql_out(db, target)


def _sqlite_out(db: Database, target: Path) -> Facts:
    source = sqlite3.connect(sqlite_path(db.url), timeout=30)
    copy = sqlite3.connect(target)
    try:
        source.backup(copy)  # all pages in one read: one snapshot, and no writer waits
        copy.execute("pragma journal_mode=delete")
    finally:
        copy.close()
        source.close()
    return _sqlite_facts(target)


def _sqlite_facts(path: Path) -> Facts:
    made = Database(f"sqlite:///{path}")
    try:
        with made.snapshot() as connection:
            return facts(connection)
    finally:
        made.close()
        with contextlib.closing(sqlite3.connect(path)) as connection_:
            connection_.execute("pragma journal_mode=delete")


def _postgresql_out(db: Database, target: Path) -> Facts:
    url = make_url(db.url)
    with db.engine.connect() as connection:
        connection.exec_driver_sql("set transaction isolation level repeatable read, read only")
        snapshot = str(connection.execute(text("select pg_export_snapshot()")).scalar())
        found = facts(connection)
        _same_age("pg_dump", found.server)
        plain = ["--format=custom", "--no-owner", "--no-privileges", "--no-password"]
        _tool("pg_dump", url, [*plain, f"--snapshot={snapshot}", f"--file={target}"])
        connection.rollback()
    return found


def sqlite_path(url: str) -> Path:
    """The file of a SQLite address."""
    return Path(url.removeprefix("sqlite:///"))


# --- PostgreSQL's tools --------------------------------------------------------------------------------------------


def _major(version: str) -> int:
    found = re.search(r"(\d+)", version)
    return int(found.group(1)) if found else 0


def _same_age(tool: str, server: str) -> None:
    path = shutil.which(tool)
    if path is None:
        raise Unusable("pg_tools", f"没有找到 {tool}，未作任何改动。请安装 PostgreSQL {_major(server)} 的客户端工具。")
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    if _major(said) < _major(server):
        raise Unusable(
            "pg_tools",
            f"{tool} 的版本（{said}）低于数据的版本（{server}），未作任何改动。请安装 PostgreSQL {_major(server)} 的客户端工具。",
        )


def _tool(tool: str, url: URL, arguments: list[str]) -> None:
    """Run one of PostgreSQL's programs; the password goes by environment, never by command line."""
    given = {
        "PGHOST": url.host, "PGPORT": url.port, "PGUSER": url.username, "PGPASSWORD": url.password, "PGDATABASE": url.database,
    }  # fmt: skip
    environment = {**os.environ, **{name: str(value) for name, value in given.items() if value}}
    done = subprocess.run([tool, *arguments], env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or [""])[0]
        full = "磁盘空间不足" if "No space left" in done.stderr else said
        raise Unusable("copy_failed", f"{tool} 没有完成：{full}。")


# --- putting a copy in the stead of a database ---------------------------------------------------------------------


class Staged:
    """A copy made ready beside a database: nothing of what stands is touched before `swap`."""

    def __init__(self, url: str, work: Path) -> None:
        """`work` is a folder on the same disk where a SQLite file is made ready."""
        self.sqlite = url.startswith("sqlite")
        self._target = url
        self._work = work / "database"
        self._url = make_url(url)
        self._beside = self._url.set(database=f"{self._url.database}_restoring")
        self.url = f"sqlite:///{self._work}" if self.sqlite else self._beside.render_as_string(hide_password=False)

    def occupied(self) -> bool:
        """Whether there is data in the place the copy shall take; a file that cannot be read is somebody's data too."""
        if not self.sqlite and not self._exists(str(self._url.database)):
            return False
        there = Database(self._target)
        try:
            return not there.is_empty()
        except DBAPIError:
            if not self.sqlite:
                raise
            return True
        finally:
            there.close()

    def check_unused(self) -> None:
        """Raises `Conflict home_in_use` where somebody is connected to the PostgreSQL database that is to be replaced."""
        if self.sqlite:
            return
        with self._server() as connection:
            query = text("select count(*) from pg_stat_activity where datname = :name")
            others = int(connection.execute(query, {"name": self._url.database}).scalar_one())
        if others:
            raise Conflict(
                "home_in_use", f"数据库 {self._url.database} 还有 {others} 个连接，未还原。请先停掉系统的各个进程。"
            )

    def fill(self, dump: Path, server: str) -> Facts:
        """Read a dump of a database of this version into the place; its facts."""
        if self.sqlite:
            if dump != self._work:
                shutil.copyfile(dump, self._work)
            os.chmod(self._work, 0o600)
            return _sqlite_facts(self._work)
        _same_age("pg_restore", server)
        self.drop()
        with self._server() as connection:
            connection.execute(text(f'create database "{self._beside.database}"'))
        _tool(
            "pg_restore",
            self._beside,
            [
                "--no-owner",
                "--no-privileges",
                "--no-password",
                "--exit-on-error",
                f"--dbname={self._beside.database}",
                str(dump),
            ],
        )
        made = Database(self.url)
        try:
            with made.snapshot() as connection:
                return facts(connection)
        finally:
            made.close()

    def drop(self) -> None:
        """Take away a copy on PostgreSQL that will not be used."""
        if not self.sqlite:
            with self._server() as connection:
                connection.execute(text(f'drop database if exists "{self._beside.database}"'))

    def swap(self, stamp: str, aside: Path) -> str | None:
        """Put the copy in the stead of what stands, which is kept aside; the name it is kept under."""
        if self.sqlite:
            return self._swap_files(aside)
        name, kept = str(self._url.database), f"{self._url.database}_before_{stamp}"
        there = self._exists(name)
        with self._server() as connection:
            if there:
                connection.execute(text(f'alter database "{name}" rename to "{kept}"'))
            connection.execute(text(f'alter database "{self._beside.database}" rename to "{name}"'))
        return kept if there else None

    def _swap_files(self, aside: Path) -> str | None:
        with contextlib.closing(sqlite3.connect(self._work)) as connection:
            connection.execute("pragma journal_mode=delete")
        target = sqlite_path(self._target)
        target.parent.mkdir(parents=True, exist_ok=True)
        kept = None
        for suffix in ("", "-wal", "-shm"):
            old = target.with_name(target.name + suffix)
            if old.exists():
                aside.mkdir(parents=True, exist_ok=True, mode=0o700)
                shutil.move(old, aside / old.name)
                kept = str(aside)
        shutil.move(self._work, target)
        return kept

    def _exists(self, name: str) -> bool:
        with self._server() as connection:
            query = text("select 1 from pg_database where datname = :name")
            return connection.execute(query, {"name": name}).first() is not None

    @contextmanager
    def _server(self) -> Iterator[Any]:
        """A connection to the server beside all our databases."""
        beside = Database(self._url.set(database="postgres").render_as_string(hide_password=False))
        try:
            with beside.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
                yield connection
        except DBAPIError as error:
            words = str(error.orig).strip().splitlines()[0]
            raise Unusable("copy_failed", f"PostgreSQL 拒绝了这一步，未作任何改动：{words}。") from error
        finally:
            beside.close()
