"""A law that 3,600 items of 50 departments cite: how long each verb of one change over all of them takes."""

from __future__ import annotations

import csv
import gc
import json
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest import mock

from sqlalchemy import func, select

from deployments import collector
from models.actions import legs, opening, publishing
from models.actions.desk import decide
from models.actions.legs import begin_leg, run_pass
from models.actions.load import load
from models.actions.starting import preview, register
from models.store.database import Database
from models.store.migrate import migrate
from models.tables import metadata, new_id
from tests.stories.driver import START, Story

LAW, OTHER_LAW = "示例市综合管理条例", "示例市其他事务管理条例"
OLD, NEW = date(2020, 1, 8), date(2026, 9, 25)
ARTICLES = 120


def write_office(folder: Path, items: int, departments: int, others: int = 0) -> list[Path]:
    """Files of an office in which so many items cite one law, and so many others another."""
    names = [f"示例市第{n + 1}管理局" for n in range(departments)]
    offices = [("d-service", "示例市政务服务办公室"), ("d-list", "示例市机构编制委员会办公室"), ("d-law", "示例市司法局"),
               ("d-government", "示例市人民政府")]  # fmt: skip
    with (folder / "departments.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "full", "short", "uscc", "level", "region", "superior"])
        for key, full in offices:
            rows.writerow([key, full, full.replace("示例市", "市"), "", "2", "990000", ""])
        for n, full in enumerate(names):
            rows.writerow([f"d-{n}", full, full.replace("示例市", "市"), "", "2", "990000", ""])
    with (folder / "people.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "name", "email", "department", "roles", "level", "region", "from", "to"])
        posts = [("p-zhou", "周敏", "d-service", "coordinator"), ("p-lu", "陆清", "d-law", "legality_reviewer"),
                 ("p-gao", "高远", "d-list", "list_reviewer"), ("p-gov", "郑府", "d-government", "approver")]  # fmt: skip
        for n in range(departments):
            posts += [(f"p-d{n}", f"起草{n}", f"d-{n}", "drafter"), (f"p-a{n}", f"审批{n}", f"d-{n}", "approver")]
        for key, name, department, role in posts:
            rows.writerow([key, name, f"{key}@shili.example", department, role, "2", "990000", "2020-01-01", ""])
    for edition, days in ((OLD, "二十日"), (NEW, "十二个工作日")):
        _write_law(folder, LAW, edition, days)
    if others:
        _write_law(folder, OTHER_LAW, OLD, "二十日")
    with (folder / "items.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["name", "type", "code", "department", "organs", "bases", "promised_days", "statutory_days"])
        for n in range(items + others):
            article = n % ARTICLES + 1
            quoted = f"申请办理第{_chinese(article)}类事务的，应当提交材料；受理之日起二十日内作出决定。"
            law = LAW if n < items else OTHER_LAW
            basis = [{"law": law, "edition": OLD.isoformat(), "article": article, "quoted": quoted}]
            department = names[n % departments]
            code = f"9901{n // 1000:05d}{n % 1000:03d}"
            bases = json.dumps(basis, ensure_ascii=False)
            table.writerow([f"第{n + 1}类事务许可", "01", code, department, department, bases, 10, 20])
    return sorted(folder.iterdir())


def _write_law(folder: Path, title: str, edition: date, days: str) -> None:
    passed = f"（{edition.year}年{edition.month}月{edition.day}日示例市人民代表大会常务委员会通过）"
    body = [f"# {title}", "", passed, ""]
    for n in range(1, ARTICLES + 1):
        body += [f"第{_chinese(n)}条　申请办理第{_chinese(n)}类事务的，应当提交材料；受理之日起{days}内作出决定。", ""]
    (folder / f"{title}({edition.isoformat()}).md").write_text("\n".join(body), encoding="utf-8")


def _chinese(number: int) -> str:
    from models.domain.numerals import int_to_chinese

    return int_to_chinese(number)


def timed(times: dict[str, float], name: str, act: Callable[[], Any]) -> Any:
    """Run something and keep its seconds."""
    began = time.perf_counter()
    answer = act()
    times[name] = round(time.perf_counter() - began, 3)
    return answer


@dataclass
class Tally:
    """Engine time by stage, and what the verbs wrote."""

    engine: dict[str, float] = field(default_factory=dict)
    posts: dict[str, float] = field(default_factory=dict)
    passes: int = 0
    steps: int = 0
    switch: float = 0.0


class Large:
    """One change over all items, carried through the verbs; each decision and each pass timed."""

    def __init__(self, db: Database, items: int, departments: int) -> None:
        self.db, self.items, self.departments = db, items, departments
        self.story = Story(db)
        self.tally = Tally()

    def begin(self) -> dict[str, float]:
        """From the law's new edition to all sheets opened; seconds by name."""
        times: dict[str, float] = {}
        params = {"title": "综合管理条例修订", "law": LAW, "from_version": OLD.isoformat(), "to_version": NEW.isoformat(),
                  "effective_on": None}  # fmt: skip
        shown = timed(times, "preview", lambda: preview(self.db, trigger="law_change", params=params, now=START))
        assert shown.count == self.items, shown.count
        made = register(self.db, trigger="law_change", params=params, by="p-zhou", via="test", now=START)
        self.story.change_id = made.id
        timed(times, "assess", lambda: self.carry("assess"))
        timed(times, "confirm the scope (post)", lambda: self.decide("p-zhou", "scope", "confirm"))
        timed(times, "open all sheets", lambda: self.carry("scope"))
        return times

    def carry(self, stage: str) -> None:
        """One leg with one pass, as a woken run does; its seconds are engine time of this stage."""
        story = self.story
        change: dict[str, Any] = {"change_id": story.change_id, "attempt": 1, "now": story.now}
        began = time.perf_counter()
        leg = begin_leg(self.db, flow_run_id="run-1", engine_id="e", **change)
        story.passes.append(run_pass(self.db, leg_no=leg, collect_minutes=20, **change))
        self.tally.engine[stage] = self.tally.engine.get(stage, 0.0) + time.perf_counter() - began
        self.tally.passes += 1

    def decide(self, person: str, stage: str, verdict: str, *, each: bool = False) -> None:
        """A person decides what lies open for him at a stage: all in one submission, or one by one with a leg after each."""
        story = self.story
        story.later(minutes=1)
        tasks = [task for task in story.open_for(person) if task["stage"] == stage]
        assert tasks, f"nothing of {stage} lies open for {person}"
        for part in [[task] for task in tasks] if each else [tasks]:
            said = [{"assignment": t["id"], "revision": t["revision"], "verdict": verdict, "comment": ""} for t in part]
            body = {"request_id": new_id("q"), "decisions": said}
            began = time.perf_counter()
            decide(self.db, person_id=person, change_id=story.change_id, body=body, via="link", now=story.now)
            self.tally.posts[stage] = self.tally.posts.get(stage, 0.0) + time.perf_counter() - began
            self.tally.steps += sum(len(t["adjustments"]) for t in part)
            if each:
                self.carry(stage)

    def stages(self, *, each: bool) -> None:
        """Draft, form, legality beside list, approval; a leg after each stage, or after each sheet's decision."""
        whole = [("draft", [f"p-d{n}" for n in range(self.departments)], "submit"), ("form", ["p-zhou"], "pass"),
                 ("legality", ["p-lu"], "pass"), ("list", ["p-gao"], "pass"),
                 ("approval", [f"p-a{n}" for n in range(self.departments)], "approve")]  # fmt: skip

        def watched(room: opening.Room) -> None:
            began = time.perf_counter()
            publishing.publish_due(room)
            self.tally.switch = max(self.tally.switch, time.perf_counter() - began)

        with mock.patch.object(legs, "publish_due", watched):
            for stage, people, verdict in whole:
                for person in people:
                    self.decide(person, stage, verdict, each=each)
                # Legality and list stand side by side: the pass comes when both are in.
                if not each and stage != "legality":
                    self.carry("legality and list" if stage == "list" else stage)
            for _ in range(3):
                if self.story.passes[-1].state != "closed":
                    self.carry("after approval")
        assert self.story.passes[-1].state == "closed", self.story.passes[-1]


def counted(db: Database) -> dict[str, int]:
    """Rows of every table."""
    with db.reader() as connection:
        return {
            table.name: int(connection.execute(select(func.count()).select_from(table)).scalar() or 0)
            for table in metadata.sorted_tables
        }


def _load(url: str, folder: Path, items: int, departments: int, others: int) -> dict[str, float]:
    times: dict[str, float] = {}
    db = Database(url)
    migrate(db)
    paths = write_office(folder, items, departments, others)
    report = timed(times, "load", lambda: load(db, paths=paths, now=START))
    assert all(file["refused"] == 0 for file in report.as_json()["files"]), report.as_json()
    db.close()
    return times


def run(
    url: str, folder: Path, items: int = 3600, departments: int = 50, *, each: bool = False, others: int = 0
) -> dict[str, Any]:
    """Seconds by name; `each`: a leg after every sheet's decision instead of one a stage; `others`: items not concerned."""
    with ProcessPoolExecutor(1, get_context("spawn")) as another:
        # As in an office: the process that carries changes has not read the catalogue's files.
        times = another.submit(_load, url, folder, items, departments, others).result()
    db = Database(url)
    large = Large(db, items, departments)
    times |= large.begin()
    large.tally = Tally()
    before = counted(db)
    # As the engine's process does once it is loaded.
    collector.settle()
    large.stages(each=each)
    gc.unfreeze()
    tally, after = large.tally, counted(db)
    db.close()
    spent = sum(tally.engine.values()) + sum(tally.posts.values())
    engine = {name: round(seconds, 3) for name, seconds in tally.engine.items()}
    return {
        **times,
        "engine time by stage": engine,
        "engine time of five stages": round(sum(tally.engine.values()), 2),
        "posts by stage": {name: round(seconds, 3) for name, seconds in tally.posts.items()},
        "version switch": round(tally.switch, 3),
        "version switch and all that closes the change": engine.get("approval", 0.0)
        + engine.get("after approval", 0.0),
        "passes": tally.passes,
        "adjustment-steps": tally.steps,
        "adjustment-steps a second": round(tally.steps / spent),
        "rows written for an adjustment-step": round(sum(after[n] - before[n] for n in after) / tally.steps, 2),
        "rows written": {n: after[n] - before[n] for n in after if after[n] != before[n]},
    }


if __name__ == "__main__":
    import sys
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "files"
        folder.mkdir()
        address = sys.argv[1] if len(sys.argv) > 1 and sys.argv[1] else f"sqlite:///{name}/x.db"
        found = run(address, folder, *(int(word) for word in sys.argv[2:4]), each=len(sys.argv) > 4)
        print(json.dumps(found, ensure_ascii=False, indent=1))
