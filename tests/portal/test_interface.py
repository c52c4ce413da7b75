"""`/api/v1`: public items and lists, changes with a token; errors as JSON; readiness."""

from __future__ import annotations

from typing import Any

from models.actions import tokens
from models.store import catalogue
from tests.factories import LAW_CHANGE
from tests.portal.conftest import Office


def token(office: Office, *scopes: str) -> dict[str, str]:
    made = tokens.issue(office.story.db, person="p-zhou", scopes=scopes, expires=None, now=office.story.now)
    return {"Authorization": f"Bearer {made[1]}"}


def body(**more: Any) -> dict[str, Any]:
    return {"trigger": "law_change", "params": LAW_CHANGE, **more}


def test_items_versions_lists_and_fields_are_public(office: Office) -> None:
    item = office.client.get("/api/v1/items/990100342001").json()
    assert {"name", "type", "code", "department", "organs", "bases", "valid_from", "publication"} <= item.keys()
    assert item["department"] == {"id": "d-market", "name": "市市场监管局"}
    assert [v["version"] for v in office.client.get("/api/v1/items/990100342001/versions").json()] == [1]
    fields = {field["name"] for field in office.client.get("/api/v1/fields").json()}
    assert fields <= item.keys()
    for name in catalogue.LISTS:
        found = office.client.get(f"/api/v1/lists/{name}").json()
        assert found["count"] == len(found["items"])


def test_what_is_unknown_is_a_404_as_json(office: Office) -> None:
    for path in ("/api/v1/items/x", "/api/v1/lists/没有", "/api/v1/nothing"):
        answer = office.client.get(path)
        assert answer.status_code == 404
        assert {"error", "message"} <= answer.json().keys()


def test_changes_need_a_token_with_the_scope(office: Office) -> None:
    assert office.client.post("/api/v1/changes", json=body()).json()["error"] == "token_missing"
    refused = office.client.post("/api/v1/changes", json=body(), headers=token(office, "read"))
    assert (refused.status_code, refused.json()["error"]) == (403, "token_scope")
    made, value = tokens.issue(office.story.db, person="p-zhou", scopes=["start"], expires=None, now=office.story.now)
    tokens.revoke(office.story.db, token_id=made, now=office.story.now)
    gone = office.client.post("/api/v1/changes", json=body(), headers={"Authorization": f"Bearer {value}"})
    assert gone.status_code == 401


def test_a_change_is_started_once_however_often_the_key_is_sent(office: Office) -> None:
    headers = {**token(office, "start", "read"), "Idempotency-Key": "k-1"}
    first = office.client.post("/api/v1/changes", json=body(), headers=headers)
    assert first.status_code == 202
    assert first.json().keys() >= {"id", "number", "flow_run_id", "existing", "message"}
    again = office.client.post("/api/v1/changes", json=body(), headers=headers).json()
    assert (again["id"], again["existing"]) == (first.json()["id"], True)
    other = office.client.post("/api/v1/changes", json=body(params={**LAW_CHANGE, "title": "别的"}), headers=headers)
    assert (other.status_code, other.json()["error"]) == (409, "request_reused")


def test_a_change_and_its_log_are_read_with_a_token(office: Office) -> None:
    office.story.start("law_change", LAW_CHANGE)
    headers = token(office, "read")
    change = office.client.get(f"/api/v1/changes/{office.story.change_id}", headers=headers).json()
    assert change.keys() >= {
        "id", "number", "trigger", "title", "state", "phase", "attempt", "flow_run_id", "steps", "sheets", "adjustments",
        "decisions",
    }  # fmt: skip
    log = office.client.get(f"/api/v1/changes/{office.story.change_id}/log", headers=headers).json()
    rest = office.client.get(f"/api/v1/changes/{office.story.change_id}/log?after=1", headers=headers).json()
    assert [line["seq"] for line in rest] == [line["seq"] for line in log][1:]


def test_a_bad_request_names_the_field(office: Office) -> None:
    answer = office.client.post("/api/v1/changes", json={"trigger": "law_change"}, headers=token(office, "start"))
    assert (answer.status_code, answer.json()["error"]) == (422, "field_invalid")
    wrong = body(params={**LAW_CHANGE, "from_version": "yesterday"})
    answer = office.client.post("/api/v1/changes", json=wrong, headers=token(office, "start"))
    assert answer.status_code == 422
    assert "from_version" in answer.json()["message"]


def test_the_interface_describes_itself(office: Office) -> None:
    paths = office.client.get("/api/v1/openapi.json").json()["paths"]
    assert {
        "/api/v1/changes",
        "/api/v1/changes/{change_id}/log",
        "/api/v1/items/{code}",
        "/api/v1/lists/{name}",
    } <= set(paths)


def test_readiness_names_the_part_that_is_missing(office: Office) -> None:
    assert office.client.get("/healthz").status_code == 200
    missing = ["engine"]
    portal = office.client.app.state.portal  # type: ignore[attr-defined]
    object.__setattr__(portal, "missing", lambda: missing)
    answer = office.client.get("/healthz")
    assert (answer.status_code, answer.json()["missing"]) == (503, ["engine"])
