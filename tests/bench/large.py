"""A law that 3,600 items of 50 departments cite: how long each verb of one change over all of them takes."""

from __future__ import annotations

import csv
import gc
import json
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any
from unittest import mock

from models.actions import legs, opening, publishing
from models.actions.load import load
from models.actions.starting import preview
from models.store.database import Database
from models.store.migrate import migrate
from tests.stories.driver import START, Story

LAW = "示例市综合管理条例"
OLD, NEW = date(2020, 1, 8), date(2026, 9, 25)
ARTICLES = 120


def write_office(folder: Path, items: int, departments: int) -> list[Path]:
    """Files of an office in which every item cites one law."""
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
        body = [
            f"# {LAW}",
            "",
            f"（{edition.year}年{edition.month}月{edition.day}日示例市人民代表大会常务委员会通过）",
            "",
        ]
        for n in range(1, ARTICLES + 1):
            body += [
                f"第{_chinese(n)}条　申请办理第{_chinese(n)}类事务的，应当提交材料；受理之日起{days}内作出决定。",
                "",
            ]
        (folder / f"{LAW}({edition.isoformat()}).md").write_text("\n".join(body), encoding="utf-8")
    with (folder / "items.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["name", "type", "code", "department", "organs", "bases", "promised_days", "statutory_days"])
        for n in range(items):
            article = n % ARTICLES + 1
            quoted = f"申请办理第{_chinese(article)}类事务的，应当提交材料；受理之日起二十日内作出决定。"
            basis = [{"law": LAW, "edition": OLD.isoformat(), "article": article, "quoted": quoted}]
            department = names[n % departments]
            code = f"9901{n // 1000:05d}{n % 1000:03d}"
            bases = json.dumps(basis, ensure_ascii=False)
            table.writerow([f"第{n + 1}类事务许可", "01", code, department, department, bases, 10, 20])
    return sorted(folder.iterdir())


def _chinese(number: int) -> str:
    from models.domain.numerals import int_to_chinese

    return int_to_chinese(number)


def timed(times: dict[str, float], name: str, act: Callable[[], Any]) -> Any:
    """Run something and keep its seconds."""
    began = time.perf_counter()
    answer = act()
    times[name] = round(time.perf_counter() - began, 3)
    return answer


def run(url: str, folder: Path, items: int = 3600, departments: int = 50) -> dict[str, float]:
    """Seconds of each verb, by name."""
    times: dict[str, float] = {}
    db = Database(url)
    migrate(db)
    paths = write_office(folder, items, departments)
    report = timed(times, "load", lambda: load(db, paths=paths, now=START))
    assert all(file["refused"] == 0 for file in report.as_json()["files"]), report.as_json()
    params = {"title": "综合管理条例修订", "law": LAW, "from_version": OLD.isoformat(), "to_version": NEW.isoformat(),
              "effective_on": None}  # fmt: skip
    shown = timed(times, "preview", lambda: preview(db, trigger="law_change", params=params, now=START))
    assert shown.count == items, shown.count
    story = Story(db)
    timed(times, "assess", lambda: story.start("law_change", params))
    decide = timed(times, "confirm (post)", lambda: story.says("p-zhou", "confirm", wake=False))
    assert decide is not None
    timed(times, "open all sheets", story.wake)
    for n in range(departments):
        story.says(f"p-d{n}", "submit", wake=False)
    # As the engine's process does once it is loaded.
    gc.collect()
    gc.freeze()
    timed(times, "pass: drafts in", story.wake)
    timed(times, "decide form (post, all sheets)", lambda: story.says("p-zhou", "pass", wake=False))
    timed(times, "pass: form in", story.wake)
    story.says("p-lu", "pass", wake=False)
    story.says("p-gao", "pass", wake=False)
    timed(times, "pass: reviews in", story.wake)
    for n in range(departments):
        story.says(f"p-a{n}", "approve", wake=False)
    spent: list[float] = []

    def watched(room: opening.Room) -> None:
        began = time.perf_counter()
        publishing.publish_due(room)
        spent.append(time.perf_counter() - began)

    with mock.patch.object(legs, "publish_due", watched):
        timed(times, "pass: approvals in, versions switched", story.wake)
    times["version switch alone"] = round(max(spent), 3)
    assert story.passes[-1].state == "closed", story.passes[-1]
    db.close()
    return times


if __name__ == "__main__":
    import sys
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "files"
        folder.mkdir()
        for key, seconds in run(sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{name}/x.db", folder).items():
            print(f"{seconds:8.3f}  {key}")
