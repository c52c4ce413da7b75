"""Offices as earlier states left them, with fifty changes in every phase: migrations forward, and every one finishes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Boolean, Connection, MetaData, select, text

from models.actions.desk import decide, desk
from models.actions.legs import begin_leg, run_pass
from models.actions.steering import reassign, take_out
from models.store.change import ADJUSTMENT, ASSIGNMENT, CHANGE, SHEET, STEP, rows
from models.store.database import Database
from models.store.migrate import MIGRATIONS, current, head, migrate
from tests.conftest import emptied
from tests.faults.standing import faults
from tests.system import System, until

HERE = Path(__file__).resolve().parent
#: The revisions whose offices are kept, the oldest first.
KEPT = sorted(path.name.removesuffix(".json.gz") for path in HERE.glob("*.json.gz"))
OLDEST, NEWEST = KEPT[0], KEPT[-1]
#: What no verb fills yet.
EMPTY = {"document"}
#: Columns that came after the oldest fixture.
ADDED = (
    ("change", "headed_seq"), ("change_log", "sealed"), ("proposal", "log_seq"), ("api_token", "last_used_at"),
    ("article", "division"), ("adjustment", "road"), ("basis", "mentions"),
)  # fmt: skip
#: What says yes, of the verdicts a stage takes.
YES = ("confirm", "submit", "pass", "approve")


def previous(revision: str = OLDEST) -> dict[str, Any]:
    """A fixture: `moment`, `revision` and the rows of every `tables`."""
    found: dict[str, Any] = json.loads(gzip.decompress((HERE / f"{revision}.json.gz").read_bytes()))
    return found


def bring_back(db: Database, state: dict[str, Any]) -> None:
    """The office as it stood: the schema of its revision, then its rows as SQLite held them."""

    def work(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, state["revision"])
        tables = MetaData()
        tables.reflect(bind=connection)
        if not db.sqlite:
            connection.exec_driver_sql("set local time zone 'UTC'")
            connection.exec_driver_sql("set local session_replication_role = replica")
        for target in tables.sorted_tables:
            values = state["tables"].get(target.name, [])
            if target.name != "alembic_version":  # a migration writes a first line of its own
                connection.exec_driver_sql(f'delete from "{target.name}"')
            yes_or_no = [] if db.sqlite else [c.name for c in target.columns if isinstance(c.type, Boolean)]
            for row in values:
                row.update({name: None if row[name] is None else bool(row[name]) for name in yes_or_no})
            if values:
                names = list(values[0])
                listed, marks = ", ".join(f'"{n}"' for n in names), ", ".join("?" if db.sqlite else "%s" for _ in names)
                statement = f'insert into "{target.name}" ({listed}) values ({marks})'
                connection.exec_driver_sql(statement, [tuple(row[n] for n in names) for row in values])

    db.write(work)


@pytest.fixture(scope="module", params=KEPT)
def state(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The office of before."""
    return previous(request.param)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def upgraded(
    request: pytest.FixtureRequest, state: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """The office of before under the newest schema."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('upgrade') / 'shixiang.db'}"
    else:
        url = request.getfixturevalue("postgres_address")
        emptied(url).close()
    db = Database(url)
    bring_back(db, state)
    with db.reader() as connection:
        assert current(connection) == state["revision"]
    migrate(db)
    yield db
    db.close()


def test_the_office_before_the_newest_migration_is_kept() -> None:
    for revision in KEPT:
        assert previous(revision)["revision"] == revision
    # A second migration after the newest fixture: `docs/developer.md`, Upgrades, says how the one before it is made.
    assert int(head()) - int(NEWEST) in (0, 1), f"no office of {int(head()) - 1:04d} is kept"


def test_the_newest_office_fills_what_was_added_since_the_oldest() -> None:
    tables = previous(NEWEST)["tables"]
    assert {name for name, values in tables.items() if not values} <= EMPTY
    for name, column in ADDED:
        assert any(row[column] not in (None, "", 0) for row in tables[name]), (name, column)


def test_the_migrations_lose_no_row_and_the_log_still_proves_itself(upgraded: Database, state: dict[str, Any]) -> None:
    with upgraded.reader() as connection:
        assert current(connection) == head()
        for name, values in state["tables"].items():
            found = connection.execute(text(f'select count(*) from "{name}"')).scalar()
            assert found == len(values), name
    assert faults(upgraded, settled=False) == []


def test_the_fixture_holds_changes_in_every_phase(upgraded: Database) -> None:
    with upgraded.reader() as connection:
        changes = rows(connection, select(CHANGE))
        lines = {row["state"] for row in rows(connection, select(ADJUSTMENT))}
        stages = {
            (row["stage"], row["round"] > 1) for row in rows(connection, select(STEP).where(STEP.c.state == "open"))
        }
        assert any(row["stuck"] for row in rows(connection, select(SHEET)))
    assert len([row for row in changes if row["state"] == "open"]) >= 50
    assert {row["phase"] for row in changes} >= {"registered", "scoping", "running", "closed"}
    assert lines >= {"proposed", "drafting", "in_review", "scheduled", "blocked", "published", "removed"}
    assert stages >= {("draft", True), ("legality", False), ("legality", True), ("naming", False), ("approval", False)}


class Finisher:
    """Everybody says yes, the clock goes on, and the engine takes it up, until a change has ended."""

    def __init__(self, db: Database, change_id: str, now: datetime) -> None:
        self.db, self.change_id, self.now = db, change_id, now
        self.asked = 0

    def finish(self) -> str:
        """The state in which the change ends."""
        for _ in range(40):
            self.leg()
            row = self.row()
            if row["state"] != "open":
                return str(row["state"])
            if not self.everybody():
                self.unblock()
                # Nobody is asked: what is due at a moment comes when it does.
                due = self.row()["next_due"]
                self.now = max(self.now, due or self.now) + timedelta(minutes=1)
            self.now += timedelta(minutes=20)
        raise AssertionError(f"change {row['number']} ({row['title']}) does not end: {row}")

    def row(self) -> dict[str, Any]:
        with self.db.reader() as connection:
            return rows(connection, select(CHANGE).where(CHANGE.c.id == self.change_id))[0]

    def leg(self) -> None:
        attempt = self.row()["attempt"]
        number = begin_leg(
            self.db, change_id=self.change_id, attempt=attempt, flow_run_id="run-2", engine_id="new", now=self.now
        )
        for _ in range(4):
            result = run_pass(
                self.db, change_id=self.change_id, leg_no=number, attempt=attempt, now=self.now, collect_minutes=20
            )
            if result.ended or not (result.consumed or result.moved or result.opened or result.notices):
                return

    def everybody(self) -> int:
        """Each person who is asked says yes on what he sees; how many."""
        with self.db.reader() as connection:
            query = select(ASSIGNMENT.c.person_id).where(
                ASSIGNMENT.c.change_id == self.change_id, ASSIGNMENT.c.state == "open"
            )
            people = sorted(set(connection.execute(query).scalars()))
        said = 0
        for person in people:
            open_ones = desk(self.db, person_id=person, change_id=self.change_id, now=self.now)["assignments"]
            for seen in open_ones[:1]:
                self.asked += 1
                verdict = next(v for v in YES if v in seen["verdicts"])
                body = {
                    "request_id": f"{self.change_id}-{self.asked}",
                    "decisions": [{"assignment": seen["id"], "revision": seen["revision"], "verdict": verdict}],
                }
                decide(self.db, person_id=person, change_id=self.change_id, body=body, via="link", now=self.now)
                said += 1
                break
            if said:
                break  # the engine comes between: one of two is enough where the rule says so
        return said

    def unblock(self) -> None:
        """What nobody holds goes to somebody; what cannot be published is taken out."""
        with self.db.reader() as connection:
            where = (STEP.c.change_id == self.change_id, STEP.c.state == "open", STEP.c.no_owner.is_not(None))
            waiting = rows(connection, select(STEP).where(*where))
            blocked = rows(
                connection,
                select(ADJUSTMENT).where(ADJUSTMENT.c.change_id == self.change_id, ADJUSTMENT.c.state == "blocked"),
            )
        for step in waiting:
            to = {"draft": "p-wen"}.get(step["stage"], "p-gov")
            reassign(self.db, step_id=step["id"], to=to, by="p-zhou", reason="无人承办", now=self.now)
        for line in blocked:
            take_out(self.db, adjustment_id=line["id"], by="p-zhou", reason="已由其他变更发布", now=self.now)


def test_every_change_of_before_finishes_after_the_upgrade(upgraded: Database, state: dict[str, Any]) -> None:
    moment = datetime.fromisoformat(state["moment"]) + timedelta(hours=2)
    with upgraded.reader() as connection:
        open_ones = list(connection.execute(select(CHANGE.c.id).where(CHANGE.c.state == "open")).scalars())
    ends = [Finisher(upgraded, change_id, moment).finish() for change_id in open_ones]
    assert set(ends) == {"closed"}
    assert faults(upgraded) == []
    with upgraded.reader() as connection:
        published = rows(connection, select(ADJUSTMENT).where(ADJUSTMENT.c.state == "published"))
    assert len(published) >= 45


@pytest.mark.server
@pytest.mark.timeout(300)
def test_runs_that_slept_in_the_old_state_are_waked_and_finish_under_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = previous()
    url = f"sqlite:///{tmp_path / 'shixiang.db'}"
    db = Database(url)
    bring_back(db, state)
    migrate(db)
    db.close()
    (tmp_path / "prefect").mkdir()
    (tmp_path / "prefect" / "prefect.db").write_bytes(
        gzip.decompress((HERE / f"{state['revision']}.prefect.db.gz").read_bytes())
    )
    clock_file = tmp_path / "clock"
    moved = datetime.fromisoformat(state["moment"]) + timedelta(hours=2) - datetime.now(UTC)
    clock_file.write_text(str(moved.total_seconds()))
    monkeypatch.setenv("SHIXIANG_CLOCK", str(clock_file))
    settings = {"SHIXIANG_DATABASE_URL": url, "SHIXIANG_HOT_SECONDS": "1", "SHIXIANG_COLLECT_MINUTES": "0"}
    system = System(tmp_path, {**settings, "SHIXIANG_CLOCK": str(clock_file)}, office=False)
    try:
        system.up()
        with system.db.reader() as connection:
            asleep = select(CHANGE).where(CHANGE.c.state == "open", CHANGE.c.parked_leg == CHANGE.c.leg_no)
            drafted = select(STEP.c.change_id).where(STEP.c.state == "open", STEP.c.stage.in_(["draft", "approval"]))
            found = rows(connection, asleep.where(CHANGE.c.id.in_(drafted)).order_by(CHANGE.c.number.desc()))[:3]
        assert len(found) == 3
        before = [row["flow_run_id"] for row in found]
        for row in found:
            _through(system, row["id"])
        assert [system.show(row["id"])["flow_run_id"] for row in found] == before
        for row in found:
            until(lambda row=row: system.run_state(row["id"]) == "COMPLETED", 60, "the old run ends")  # type: ignore[misc]
        assert faults(system.db, settled=False) == []
    finally:
        system.down()


def _through(system: System, change_id: str) -> None:
    """Everybody says yes until the change has ended, each when the engine has taken up what was said before."""

    def row() -> dict[str, Any]:
        with system.db.reader() as connection:
            return rows(connection, select(CHANGE).where(CHANGE.c.id == change_id))[0]

    def asked() -> list[str]:
        if row()["work_seq"] != row()["consumed_seq"]:
            return []
        if row()["state"] != "open":
            return ["nobody"]
        with system.db.reader() as connection:
            query = select(ASSIGNMENT.c.person_id).where(
                ASSIGNMENT.c.change_id == change_id, ASSIGNMENT.c.state == "open"
            )
            return sorted(set(connection.execute(query).scalars()))

    while (person := until(asked, 90, "somebody is asked")[0]) != "nobody":
        seen = system.open_for(change_id, person)[0]
        system.says(change_id, person, next(verdict for verdict in YES if verdict in seen["verdicts"]))
