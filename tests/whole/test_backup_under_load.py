"""A backup is made while people decide, and restored into a fresh home; every open change ends there."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from models.actions.audit import verify
from models.domain.errors import Conflict
from models.store.change import CHANGE, DECISION, rows
from models.store.database import Database
from tests.factories import PEOPLE
from tests.system import System, until

pytestmark = [pytest.mark.server, pytest.mark.timeout(900)]
VERDICTS = {"scope": "confirm", "draft": "submit", "approval": "approve"}
SEED = int(os.environ.get("SHIXIANG_TEST_SEED", "20261126"))
CODES = ("990100342001", "990100342002", "990700188000", "990100356000")


def rename(number: int, code: str) -> dict[str, Any]:
    item = {"target": {"kind": "item", "code": code}, "outcomes": ["rename"], "set": {"name": f"新名称{number}"}}
    return {"title": f"更名{number}", "items": [item]}


def decide_something(system: System, change_id: str, choice: random.Random) -> bool:
    """One person who has something open in this change decides it; whether there was one."""
    people = [person for person, *_ in PEOPLE]
    choice.shuffle(people)
    for person in people:
        lies = system.open_for(change_id, person)
        if lies:
            # A colleague may have been faster: then there is nothing left to decide.
            with contextlib.suppress(Conflict, AssertionError):
                system.says(change_id, person, VERDICTS.get(lies[0]["stage"], "pass"))
            return True
    return False


def shixiang(system: System, *words: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "deployments.cli", *words, "--json"]
    done = subprocess.run(
        command, env={**os.environ, **system.environment}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def decisions(db: Database) -> set[str]:
    with db.reader() as connection:
        return {row["id"] for row in rows(connection, select(DECISION))}


def test_a_backup_under_load_restores_to_an_office_where_every_change_ends(tmp_path: Path) -> None:
    choice = random.Random(SEED)
    print(f"seed {SEED}")
    old = System(tmp_path / "old")
    archive = tmp_path / "b.tar.gz"
    committed: set[str] = set()
    ended = threading.Event()
    faults: list[BaseException] = []
    try:
        old.up()
        open_ones = [old.change("agency_request", rename(n, code)) for n, code in enumerate(CODES)]

        def people() -> None:
            try:
                while not ended.is_set():
                    decide_something(old, choice.choice(open_ones), choice)
                    ended.wait(0.05)
            except BaseException as error:
                faults.append(error)

        working = threading.Thread(target=people)
        working.start()
        until(lambda: len(decisions(old.db)) >= 6, 240, "decisions")
        for _ in range(3):  # the one that is restored is one during which somebody decided
            archive.unlink(missing_ok=True)
            committed = decisions(old.db)
            shixiang(old, "backup", str(archive))
            during = decisions(old.db) - committed
            if during or faults:
                break
        ended.set()
        working.join(40)
        assert not faults, faults
        assert during, "nobody decided while a backup ran"
        print(f"{len(during)} decisions while the backup ran")
    finally:
        ended.set()
        old.down()

    new = System(tmp_path / "new", office=False)
    done = shixiang(new, "restore", str(archive))
    assert done["findings"] == []
    try:
        assert committed <= decisions(new.db) <= committed | during
        new.up()

        def all_closed() -> bool:
            with new.db.reader() as connection:
                left = rows(connection, select(CHANGE).where(CHANGE.c.state == "open"))
            for row in left:
                decide_something(new, row["id"], choice)
            return not left

        until(all_closed, 300, "every change ends")
        assert verify(new.db).findings == []
        assert shixiang(new, "audit", "verify")["ok"]
    finally:
        new.down()
