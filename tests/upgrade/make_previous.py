"""Makes the fixture of an upgrade: an office as a state of the project left it, with 50 changes in every phase.

    python tests/upgrade/make_previous.py COMMIT [--with-runs]

takes that commit out of the repository, makes the office with its own code, lets its own Prefect server and engine give
each open change a run that sleeps, and writes beside this file, named by the revision of the schema,
  NNNN.json.gz          every row of our database as SQLite holds it, by table, with that revision
  NNNN.prefect.db.gz    with `--with-runs`: Prefect's database of the same moment, without its events and logs
The ids differ with every making; everything else is the same. A fixture is made once, when its schema is about to be
followed by another, and not made again when the code changes. Where the code of a commit has moved on, this file moves with
it; 0002 was made at ce1ce17 by its form of then.
"""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

HERE = Path(__file__).resolve().parent
#: The moment of the fixture: a Monday morning.
MOMENT = datetime(2026, 12, 21, 1, 0, tzinfo=UTC)
ITEMS = 140
#: A law with divisions, in two texts, and a law its articles name.
DIVIDED, NAMED = "示例市便民服务条例", "示例市备案管理办法"
#: So many runs sleep at least.
ASLEEP = 18
#: What tells nothing of a run that sleeps.
WATCHED = ("events", "event_resources", "log", "artifact_collection")


def main() -> None:
    """Take the commit out, and run this file inside it."""
    if sys.argv[1] == "--inside":
        inside(Path(sys.argv[2]), with_runs="--with-runs" in sys.argv)
        return
    root = HERE.parent.parent
    with tempfile.TemporaryDirectory() as folder:
        old = Path(folder) / "old"
        old.mkdir()
        archive = subprocess.run(["git", "archive", sys.argv[1]], cwd=root, check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", str(old)], input=archive, check=True)
        environment = {**os.environ, "PYTHONPATH": str(old)}
        command = [sys.executable, str(Path(__file__).resolve()), "--inside", str(Path(folder) / "home"), *sys.argv[2:]]
        subprocess.run(command, cwd=old, env=environment, check=True)


# --- in the old state's own code -----------------------------------------------------------------------------------


def inside(home: Path, *, with_runs: bool) -> None:
    """Everything below runs with the code of the old state."""
    from models.store.database import Database
    from models.store.migrate import migrate
    from tests.law_office import law_office

    home.mkdir(parents=True)
    clock_file = home / "clock"
    clock_file.write_text(str((MOMENT - datetime.now(UTC)).total_seconds()))
    os.environ["SHIXIANG_CLOCK"] = str(clock_file)
    db = Database(f"sqlite:///{home / 'shixiang.db'}")
    migrate(db)
    law_office(db, datetime(2026, 1, 5, 1, 0, tzinfo=UTC))
    more_items(db)
    make = Maker(db)
    fifty(make)
    office_at_work(db)
    run_engine(home)
    left_alone(make)
    db.close()
    write(home, with_runs=with_runs)


def more_items(db: Any) -> None:
    """So many items of two departments that 50 changes need not meet."""
    from sqlalchemy import insert

    from models.domain.content import ItemContent
    from models.domain.law_text import Article
    from models.store import laws
    from models.store.sql import table
    from models.tables import Meta, Substitute
    from tests.factories import dated_law, item_content, put_in_catalogue

    at = datetime(2026, 1, 6, 1, 0, tzinfo=UTC)
    found = {}
    with db.writer() as connection:
        connection.execute(insert(table(Meta)).values(key="sample", value="true"))
        away = {
            "person_id": "p-shen",
            "by_person_id": "p-jiang",
            "from_on": date(2026, 12, 14),
            "to_on": date(2026, 12, 31),
        }
        connection.execute(insert(table(Substitute)).values(id="sub-1", **away))
        for day, days in ((date(2020, 5, 1), "二十日"), (date(2026, 11, 1), "十日")):
            texts = ("为了便民，制定本条例。", f"设立便民服务点，应当依照《{NAMED}》备案，{days}内办结。")
            divisions = (("第一章 总则",), ("第二章 服务点", "第一节 设立"))
            articles = [Article(no=n, text=texts[n - 1], division=divisions[n - 1]) for n in (1, 2)]
            laws.save_law(connection, dated_law(DIVIDED, day, articles))
        for number in range(ITEMS):
            code = f"9902{number:05d}000"
            department = ("d-trade", "d-market", "d-empty")[2 if number >= ITEMS - 4 else number % 2]
            content = item_content(code, f"便民服务点备案（{number + 1:03d}）", "10", department, None)
            if number % 10 == 0:
                quoted = f"设立便民服务点，应当依照《{NAMED}》备案，二十日内办结。"
                basis = {"law": DIVIDED, "edition": "2020-05-01", "article": 2, "quoted": quoted}
                content = ItemContent.model_validate({**content.model_dump(mode="json"), "bases": [basis]})
            found[f"itm-{code}"] = (f"own:{code}", content)
        put_in_catalogue(connection, "补充目录", found, at)


def office_at_work(db: Any) -> None:
    """What belongs to no change: codes, sessions, keys of other systems, an arrangement of holidays, the head of a day."""
    from sqlalchemy import insert, select

    from models.actions.audit import seal_day
    from models.actions.proving import prove, send_code
    from models.actions.tokens import holder, issue, revoke
    from models.store.change import CHANGE, rows
    from models.store.sql import table
    from models.tables import Session, Workday

    with db.reader() as connection:
        change = rows(connection, select(CHANGE).limit(1))[0]["id"]
    for person, right in (("p-zhou", True), ("p-lu", False)):
        send_code(db, person_id=person, change_id=change, stage="legality", browser=person, key_id="k1", now=MOMENT)
        if right:
            prove(db, person_id=person, browser=person, check=lambda row: True, now=MOMENT)
    tokens = [issue(db, person="p-zhou", scopes=["read"], expires=None, now=MOMENT) for _ in range(2)]
    assert holder(db, token=tokens[0][1], now=MOMENT) is not None
    revoke(db, token_id=tokens[1][0], now=MOMENT)
    assert seal_day(db, now=MOMENT)
    session = {"hash": "h", "person_id": "p-zhou", "created_at": MOMENT, "expires_at": MOMENT + timedelta(hours=12)}
    with db.writer() as connection:
        connection.execute(insert(table(Session)).values(**session))
        connection.execute(insert(table(Workday)).values(day=date(2028, 1, 3), is_workday=False))


class Maker:
    """Makes changes, each on items of its own."""

    def __init__(self, db: Any) -> None:
        self.db = db
        self.made = 0
        self._free = {"d-trade": 0, "d-market": 1, "d-empty": ITEMS - 4}

    def codes(self, department: str, number: int) -> list[str]:
        """Codes no other change uses."""
        found = []
        for _ in range(number):
            found.append(f"9902{self._free[department]:05d}000")
            self._free[department] += 1 if department == "d-empty" else 2
        return found

    def change(
        self,
        outcome: str = "change_guide",
        *,
        days: float = 1,
        department: str = "d-trade",
        lines: int = 1,
        effective: date | None = None,
        codes: list[str] | None = None,
        wake: bool = True,
        **values: Any,
    ) -> Any:
        """A change about items of one department, started so many days before the moment."""
        items = [
            {
                "target": {"kind": "item", "code": code},
                "outcomes": [outcome],
                "set": {"name": f"便民服务点备案（新{code[4:9]}）"} if outcome == "rename" else values,
            }
            for code in (codes or self.codes(department, lines))
        ]
        params = {"title": f"规范事项（{self.made + 1}）", "reason": "统一口径", "items": items,
                  "effective_on": None if effective is None else effective.isoformat()}  # fmt: skip
        return self.start("agency_request", params, days, wake)

    def law(self, days: float = 1, wake: bool = True) -> Any:
        """A change of the law of the small office."""
        from tests.factories import LAW, NEW, OLD

        params = {"title": f"条例修订（{self.made + 1}）", "law": LAW, "from_version": OLD.isoformat(),
                  "to_version": NEW.isoformat(), "effective_on": None}  # fmt: skip
        return self.start("law_change", params, days, wake)

    def start(self, trigger: str, params: dict[str, Any], days: float, wake: bool) -> Any:
        from models.actions.starting import register
        from tests.stories.driver import Story

        self.made += 1
        story = Story(self.db, now=MOMENT - timedelta(days=days))
        story.change_id = register(
            self.db, trigger=trigger, params=params, by="p-zhou", via="test", again=True, now=story.now
        ).id
        if wake:
            story.wake()
        return story


def left_alone(make: Maker) -> None:
    """After the engine of the old state was stopped people went on for a while."""
    for kind in (registered, scope_decided, submitted, half_done_not_taken_up, last_decision_not_taken_up, orphan):
        kind(make)


def fifty(make: Maker) -> None:
    """Fifty open changes, two or more of each kind where that is not rare."""
    kinds: list[Callable[[Maker], Any]] = [
        registered, scoping, scope_decided, drafting, saved, saved_one_of_two, submitted, at_form, in_review, half_done,
        half_done_not_taken_up, back_from_form, back_in_group, again_in_review, split, naming_half, before_approval, sent_to_change,
        scheduled, blocked, stuck, late_reminded, late_superior, late_supervised, declined, no_owner, reassigned, taken_out,
        last_decision_not_taken_up, partly_published, substitute, adding, cancelling, orphan, reach_before_scope, reach_confirmed,
        reach_partly_published,
    ]  # fmt: skip
    again = [drafting, in_review, half_done, back_from_form, split, before_approval, scheduled, late_superior, declined,
             submitted, registered, saved, at_form, naming_half, orphan, half_done_not_taken_up]  # fmt: skip
    for kind in [*kinds, *again]:
        kind(make)
    assert make.made >= 50, make.made
    print(f"{make.made} changes")


def registered(make: Maker) -> None:
    make.change(wake=False)


def scoping(make: Maker) -> None:
    make.law()


def scope_decided(make: Maker) -> None:
    make.law().says("p-zhou", "confirm", wake=False)


def reach_before_scope(make: Maker) -> Any:
    """Rows of every road are proposed: a full one, a short one, and none."""
    from tests.law_office import CHANGE

    return make.start("law_change", {**CHANGE, "title": f"集体用餐修订（{make.made + 1}）"}, 4, True)


def reach_confirmed(make: Maker) -> Any:
    story = reach_before_scope(make)
    story.says("p-zhou", "confirm")
    return story


def reach_partly_published(make: Maker) -> None:
    """Each drafts and decides what lies open for him, but one department."""
    story = reach_confirmed(make)
    story.says("p-wen", "submit")
    for person, verdict in (("p-zhou", "pass"), ("p-lu", "pass"), ("p-gao", "pass"), ("p-jiang", "approve")):
        if story.open_for(person):
            story.says(person, verdict)


def drafting(make: Maker) -> Any:
    return make.change()


def saved(make: Maker) -> None:
    story = make.change(days=3, promised_days=9)
    story.says("p-wen", "save")


def saved_one_of_two(make: Maker) -> None:
    story = make.change(department="d-market", lines=2)
    line = story.open_for("p-he")[0]["adjustments"][0]["id"]
    story.says("p-he", "save", lines={line: {"proposal": {"promised_days": 7}}})


def submitted(make: Maker) -> None:
    make.change(department="d-market").says("p-xu", "submit", wake=False)


def at_form(make: Maker) -> Any:
    story = make.change(promised_days=8)
    story.says("p-wen", "submit")
    return story


def in_review(make: Maker, days: float = 1, lines: int = 1) -> Any:
    story = make.change("rename", days=days, lines=lines)
    story.says("p-wen", "submit")
    story.says("p-zhou", "pass", only="form")
    return story


def half_done(make: Maker) -> Any:
    story = in_review(make)
    story.says("p-lu", "pass")
    return story


def half_done_not_taken_up(make: Maker) -> None:
    in_review(make).says("p-gao", "pass", wake=False)


def back_from_form(make: Maker) -> Any:
    story = at_form(make)
    story.says("p-zhou", "return", comment="请写明依据")
    return story


def back_in_group(make: Maker) -> None:
    in_review(make).says("p-lu", "return", comment="依据有误")


def again_in_review(make: Maker) -> None:
    story = in_review(make, days=4)
    story.says("p-lu", "return", comment="依据有误")
    story.says("p-gao", "pass")
    story.says("p-wen", "submit")
    story.says("p-zhou", "pass", only="form")


def split(make: Maker) -> None:
    story = in_review(make, lines=2)
    line = story.open_for("p-lu")[0]["adjustments"][0]["id"]
    story.says("p-lu", "pass", lines={line: {"verdict": "return", "remark": "名称过长"}})
    story.says("p-gao", "pass")


def naming_half(make: Maker) -> Any:
    story = half_done(make)
    story.says("p-gao", "pass")
    story.says("p-bian", "pass")
    return story


def before_approval(make: Maker) -> Any:
    story = at_form(make)
    story.says("p-zhou", "pass", only="form")
    return story


def sent_to_change(make: Maker) -> None:
    before_approval(make).says("p-jiang", "approve_changed", comment="时限改为七日")


def scheduled(make: Maker) -> None:
    story = make.change(effective=date(2027, 1, 15), promised_days=6)
    story.says("p-wen", "submit")
    story.says("p-zhou", "pass", only="form")
    story.says("p-jiang", "approve")


def blocked(make: Maker) -> None:
    codes = make.codes("d-trade", 1)
    stories = [make.change(codes=codes, promised_days=days) for days in (5, 4)]
    for story in stories:
        story.says("p-wen", "submit")
        story.says("p-zhou", "pass", only="form")
        story.says("p-jiang", "approve")


def stuck(make: Maker) -> None:
    from models.actions import legs

    story = make.change(days=0.2, promised_days=9)
    story.says("p-wen", "submit", wake=False)

    def broken(room: Any, sheet: Any) -> Any:
        raise RuntimeError("made for the fixture")

    with patch.object(legs, "move_sheet", broken):
        for hours in (0.1, 0.2, 2, 2.4):  # the next try lies an hour ahead of the last
            story.later(hours=hours)
            story.wake()


def late(make: Maker, days: float, looks: int) -> None:
    story = in_review(make, days=days)
    for _ in range(looks):
        story.later(days=(days - 0.2) / looks)
        story.wake()


def late_reminded(make: Maker) -> None:
    late(make, 6, 1)


def late_superior(make: Maker) -> None:
    late(make, 9, 2)


def late_supervised(make: Maker) -> None:
    late(make, 20, 4)


def declined(make: Maker) -> None:
    make.change().says("p-wen", "decline", comment="不宜调整")


def no_owner(make: Maker) -> None:
    make.change(department="d-empty")


def reassigned(make: Maker) -> None:
    from models.actions.steering import reassign

    story = in_review(make)
    step = next(a for a in story.open_for("p-gao"))["id"]
    with make.db.reader() as connection:
        from sqlalchemy import text

        found = connection.execute(text("select step_id from assignment where id = :id"), {"id": step}).scalar()
    reassign(make.db, step_id=str(found), to="p-bian", by="p-zhou", reason="出差", now=story.now)
    story.wake()


def taken_out(make: Maker) -> None:
    from models.actions.steering import take_out

    story = make.change(lines=2, promised_days=9)
    line = story.open_for("p-wen")[0]["adjustments"][0]["id"]
    take_out(make.db, adjustment_id=line, by="p-zhou", reason="另案办理", now=story.now)
    story.wake()


def last_decision_not_taken_up(make: Maker) -> None:
    before_approval(make).says("p-jiang", "approve", wake=False)


def partly_published(make: Maker) -> None:
    from tests.factories import ITEMS as OF_THE_OFFICE

    story = make.law(days=3)
    assert OF_THE_OFFICE
    story.says("p-zhou", "confirm")
    story.says("p-he", "submit")
    story.says("p-zhou", "pass", only="form")
    story.says("p-lu", "pass")
    story.says("p-gao", "pass")
    for person in ("p-shen", "p-jiang"):
        if story.open_for(person):
            story.says(person, "approve", only="approval")


def substitute(make: Maker) -> None:
    story = make.change(department="d-market", promised_days=5)
    story.says("p-he", "submit")
    story.says("p-zhou", "pass", only="form")


def adding(make: Maker) -> None:
    from tests.factories import LAW, NEW

    wanted = {"name": "集体用餐配送备案", "type": "10", "department": "d-trade", "organs": ["d-trade"],
              "bases": [{"law": LAW, "edition": NEW.isoformat(), "article": 2}]}  # fmt: skip
    items = [{"target": None, "outcomes": ["add"], "set": wanted}]
    params = {"title": "新增事项", "reason": "条例新设", "effective_on": None, "items": items}
    story = make.start("agency_request", params, 1, True)
    story.says("p-wen", "submit")
    story.says("p-zhou", "pass", only="form")


def cancelling(make: Maker) -> None:
    story = make.change("cancel")
    story.says("p-wen", "submit")
    story.says("p-zhou", "pass", only="form")
    story.says("p-lu", "pass")
    story.says("p-gao", "pass")


def orphan(make: Maker) -> None:
    """A leg began, and its engine died."""
    from models.actions.legs import begin_leg

    story = make.change()
    story.says("p-wen", "submit", wake=False)
    begin_leg(make.db, change_id=story.change_id, attempt=1, flow_run_id="run-1", engine_id="dead", now=story.now)


# --- the runs of the old state -------------------------------------------------------------------------------------


def run_engine(home: Path) -> None:
    """Prefect's server and the engine of the old state, until every open change has a run of its own and a good part of
    them sleep; those the engine has not come to are as an upgrade may find them too.
    """
    from deployments.ports import free_port

    environment = {
        **os.environ,
        "SHIXIANG_HOME": str(home),
        "SHIXIANG_DATABASE_URL": f"sqlite:///{home / 'shixiang.db'}",
        "SHIXIANG_PREFECT_PORT": str(free_port()),
        "SHIXIANG_MAILBOX_PORT": str(free_port()),
        "SHIXIANG_HOT_SECONDS": "1",
        "SHIXIANG_COLLECT_MINUTES": "0",
        "SHIXIANG_WATCH_SECONDS": "86400",
    }
    parts = []
    for name in ("deployments.prefect_server", "deployments.engine"):
        with (home / f"{name}.log").open("ab") as log:
            parts.append(subprocess.Popen([sys.executable, "-m", name], env=environment, stdout=log, stderr=log))
    end = time.monotonic() + 900
    try:
        while time.monotonic() < end:
            time.sleep(5)
            with sqlite3.connect(home / "shixiang.db") as ours:
                without, asleep = ours.execute(
                    "select sum(flow_run_id is null or flow_run_id = 'run-1'), sum(coalesce(parked_leg, -1) = leg_no)"
                    " from change where state = 'open'"
                ).fetchone()
            print(f"{without} changes without a run, {asleep} asleep", flush=True)
            if without == 0 and asleep >= ASLEEP:
                break
        time.sleep(5)
    finally:
        for part in reversed(parts):
            part.terminate()
            part.wait(30)
    assert without == 0 and asleep >= ASLEEP


def write(home: Path, *, with_runs: bool) -> None:
    """Our database, or both, beside this file."""
    found: dict[str, Any] = {}
    with sqlite3.connect(home / "shixiang.db") as ours:
        ours.execute("update engine set host = 'host'")
        ours.row_factory = sqlite3.Row
        names = [row[0] for row in ours.execute("select name from sqlite_master where type = 'table'")]
        for name in sorted(names):
            if not name.startswith("sqlite_"):
                found[name] = [dict(row) for row in ours.execute(f'select * from "{name}"')]
    body = {"moment": MOMENT.isoformat(), "revision": found.pop("alembic_version")[0]["version_num"], "tables": found}
    ours_at, theirs_at = HERE / f"{body['revision']}.json.gz", HERE / f"{body['revision']}.prefect.db.gz"
    with gzip.GzipFile(ours_at, "wb", mtime=0) as file:
        file.write(json.dumps(body, ensure_ascii=False, sort_keys=True).encode())
    print(ours_at.name, ours_at.stat().st_size)
    if not with_runs:
        return
    with sqlite3.connect(home / "prefect" / "prefect.db") as theirs:
        for name in WATCHED:
            if theirs.execute("select 1 from sqlite_master where name = ?", (name,)).fetchone():
                theirs.execute(f'delete from "{name}"')
        # Nothing of the machine it was made on.
        for name in ("flow_run_state", "task_run_state", "artifact"):
            theirs.execute(f"update {name} set data = replace(data, ?, '/home')", (str(home),))
        theirs.commit()
        theirs.execute("pragma wal_checkpoint(truncate)")
        theirs.execute("vacuum")
        theirs.execute("pragma journal_mode=delete")
    with gzip.GzipFile(theirs_at, "wb", mtime=0) as file:
        file.write((home / "prefect" / "prefect.db").read_bytes())
    print(theirs_at.name, theirs_at.stat().st_size)


if __name__ == "__main__":
    main()
