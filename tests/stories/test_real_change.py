"""A change on real data: real items, two real texts of a real law, from the load to the publication."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from models.actions.audit import verify
from models.actions.load import load
from models.actions.starting import preview
from models.actions.views import change_show, item_page
from models.settings import Settings
from models.store.database import Database
from models.store.migrate import migrate
from notifications.links import load_secrets
from portal.app import create_app
from tests.portal.conftest import Office
from tests.stories.driver import START, Story

LAW = "中华人民共和国保守国家秘密法"
SECRECY = {
    "title": "保守国家秘密法2024年修订",
    "law": LAW,
    "from_version": "2010-04-29",
    "to_version": "2024-02-27",
    "effective_on": None,
}
DEPARTMENTS = [
    ["id", "full", "short", "uscc", "level", "region", "superior"],
    ["76", "示例市国家保密局", "市保密局", "", "2", "990000", ""],
    ["d-service", "示例市政务服务办公室", "市政务服务办", "", "2", "990000", ""],
    ["d-list", "示例市机构编制委员会办公室", "市委编办", "", "2", "990000", ""],
    ["d-law", "示例市司法局", "市司法局", "", "2", "990000", ""],
]
PEOPLE = [
    ["id", "name", "email", "department", "roles", "level", "region", "from", "to"],
    ["p-zhou", "周敏", "zhou@shili.example", "d-service", "coordinator", "2", "990000", "2020-01-01", ""],
    ["p-gao", "高远", "gao@shili.example", "d-list", "list_reviewer", "2", "990000", "2020-01-01", ""],
    ["p-lu", "陆清", "lu@shili.example", "d-law", "legality_reviewer", "2", "990000", "2020-01-01", ""],
    ["p-bao", "包文", "bao@shili.example", "76", "drafter", "2", "990000", "2020-01-01", ""],
    ["p-ju", "鞠长", "ju@shili.example", "76", "approver", "2", "990000", "2020-01-01", ""],
]


def write(path: Path, rows: list[list[str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


@pytest.fixture
def loaded(db: Database, real_data: Path, tmp_path: Path) -> Database:
    """The Liaoning items, two texts of the law, and an office that can draft and decide."""
    migrate(db)
    paths = [
        write(tmp_path / "departments.csv", DEPARTMENTS),
        write(tmp_path / "people.csv", PEOPLE),
        real_data / "items" / "liaoning_power_items.json",
        *sorted((real_data / "laws" / "versions" / "保守国家秘密法").glob("*.md")),
    ]
    report = load(db, paths=paths, now=START).as_json()
    assert all(file["refused"] == 0 for file in report["files"]), report
    return db


def test_one_real_item_cites_the_law_and_its_new_version_is_published(loaded: Database) -> None:
    shown = preview(loaded, trigger="law_change", params=SECRECY, now=START)
    assert shown.count == 1
    assert shown.rows[0]["department"] == {"id": "76", "name": "市保密局"}
    story = Story(loaded)
    story.start("law_change", SECRECY)
    story.says("p-zhou", "confirm")
    line = story.open_for("p-bao")[0]["adjustments"][0]
    before, proposed = basis_of(line["before"]), basis_of(line["proposed"])
    assert before["edition"] == "2010-04-29"
    assert proposed["edition"] == "2024-02-27"
    story.says("p-bao", "submit")
    story.says("p-zhou", "pass", only="form")
    story.says("p-lu", "pass")
    story.says("p-gao", "pass")
    story.says("p-ju", "approve")
    change = change_show(loaded, change_id=story.change_id, now=story.now)
    assert (change["state"], change["adjustments"][0]["state"]) == ("closed", "published")
    page = item_page(loaded, code=change["adjustments"][0]["target"]["code"], now=story.now)
    assert page["version"]["no"] == 2
    assert basis_of(page["version"]["content"])["article"] == proposed["article"]


def test_from_the_portal_to_the_publication_the_law_on_secrets_moves_its_item(loaded: Database, tmp_path: Path) -> None:
    story = Story(loaded)
    settings = Settings(home=tmp_path, portal_url="http://testserver", collect_minutes=0)
    secrets = load_secrets(tmp_path)
    app = create_app(
        db=loaded, settings=settings, secrets=secrets, start=lambda change: None, wake=lambda change: None,
        missing=list, now=lambda: story.now,
    )  # fmt: skip
    with TestClient(app) as client:
        office = Office(client, story, settings, secrets)
        office.sign_in("zhou@shili.example")
        fields = {name: value or "" for name, value in SECRECY.items()} | {"idempotency_key": "k-secrets"}
        fields["csrf"] = office.csrf("/start/law_change")
        page = client.post("/start/law_change", data={**fields, "do": "preview"}).text
        for words in ("波及 1 项，1 个部门", "涉密信息系统集成单位乙级资质认定", "增设审批", "待核对 1 项"):
            assert words in page
        started = client.post("/start/law_change", data={**fields, "do": "start"}, follow_redirects=False)
        story.change_id = started.headers["location"].split("/")[2].split("?")[0]
        story.wake()
        for person, verdict in (
            ("p-zhou", "confirm"), ("p-bao", "submit"), ("p-zhou", "pass"), ("p-lu", "pass"), ("p-gao", "pass"),
            ("p-ju", "approve"),
        ):  # fmt: skip
            decides(office, person, verdict)
        guide = client.get("/i/000176002000").text
    change = change_show(loaded, change_id=story.change_id, now=story.now)
    assert (change["state"], [line["state"] for line in change["adjustments"]]) == ("closed", ["published"])
    assert "第四十一条" in guide and "取得保密资质" in guide
    assert verify(loaded).findings == []


def decides(office: Office, person: str, verdict: str) -> None:
    """A person opens the link of his newest mail and sends the form as it is shown, with one verdict on the whole."""
    office.story.later(minutes=1)
    path = office.newest_link(person)
    page = office.client.get(path).text
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page))
    said = {name.replace("revision-", "verdict-"): verdict for name in hidden if name.startswith("revision-")}
    assert said, f"nothing lies open for {person}"
    answer = office.client.post(path, data={**hidden, **said}, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    office.story.wake()


def basis_of(content: dict[str, Any]) -> dict[str, Any]:
    """The basis that cites the law."""
    return next(basis for basis in content["bases"] if "保守国家秘密法" in basis["law"])
