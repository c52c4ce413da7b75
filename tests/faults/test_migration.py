"""kill -9 during a migration: the schema is whole, the old one or the new one, and the next start finishes it."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from sqlalchemy import inspect

from models.store.database import Database
from models.store.migrate import head, migrate
from tests.system import ROOT

CODE = """
import sys
from alembic import command, config
from models.store.database import Database
from models.store.migrate import migrate
db = Database(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
migrate(db)
print("done", flush=True)
"""
KILLS = 8


def _begun(address: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, address], cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None and process.stdin is not None
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("go\n")
    process.stdin.flush()
    return process


def _kill_after(process: subprocess.Popen[str], seconds: float) -> None:
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    assert process.stdin is not None and process.stdout is not None
    process.stdin.close()
    process.stdout.close()


def _schema(db: Database) -> dict[str, list[str]]:
    look = inspect(db.engine)
    return {
        name: [*sorted(column["name"] for column in look.get_columns(name)), *sorted(str(i["name"]) for i in look.get_indexes(name))]
        for name in sorted(look.get_table_names())
    }  # fmt: skip


def test_a_migration_killed_at_any_moment_leaves_the_old_schema_or_the_new_one(db: Database, tmp_path: Path) -> None:
    chosen = random.Random(3)
    address = f"sqlite:///{tmp_path / 'killed.db'}" if db.sqlite else db.url
    whole = Database(f"sqlite:///{tmp_path / 'whole.db'}")
    began = time.monotonic()
    migrate(whole)
    longest = time.monotonic() - began
    found = set()
    for _ in range(KILLS):
        _kill_after(_begun(address), chosen.uniform(0.0, longest))
        left = Database(address)
        names = set(inspect(left.engine).get_table_names()) - {"alembic_version"}
        found.add(bool(names))
        assert not names or names == set(_schema(whole)) - {"alembic_version"}
        left.close()
        if names:
            break
    last = Database(address)
    migrate(last)
    assert set(_schema(last)) == set(_schema(whole))
    if db.sqlite:
        assert _schema(last) == _schema(whole)
    with last.reader() as connection:
        assert connection.exec_driver_sql("select version_num from alembic_version").scalar() == head()
    print(f"{KILLS} kills within {longest:.1f} s, schema left behind: {found}")
    last.close()
    whole.close()
