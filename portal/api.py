"""The interface for other systems, `/api/v1`: items, versions and lists for everybody, the rest with a token."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from models.actions import starting, tokens, views
from models.domain.content import FIELDS
from models.domain.errors import Forbidden, ProofNeeded
from models.domain.outside import LARGEST
from models.words import _
from portal.state import guessing, portal_of

router = APIRouter(prefix="/api/v1", tags=["v1"])


class StartRequest(BaseModel):
    """A change to start: `params` as on the command line."""

    model_config = ConfigDict(extra="forbid")
    trigger: str
    params: dict[str, Any]
    again: bool = False
    by: str | None = Field(default=None, description="ignored: the token's person is the starter")


def _bearer(request: Request, authorization: str, scope: str) -> str:
    """The person a token stands for. Raises `ProofNeeded token_missing`, `Forbidden token_scope`, `TooMany`."""
    portal = portal_of(request)
    kind, _space, value = authorization.partition(" ")
    with guessing(request):
        found = tokens.holder(portal.db, token=value.strip(), now=portal.now()) if kind.lower() == "bearer" else None
        if found is None:
            raise ProofNeeded("token_missing", "请求没有有效的接口凭证。")
    portal.limits.key.take(found.id)
    if scope not in found.scopes:
        raise Forbidden("token_scope", f"接口凭证没有“{scope}”权限。", scope=scope)
    return found.person_id


def may_read(request: Request, authorization: Annotated[str, Header()] = "") -> str:
    """A token with `read`."""
    return _bearer(request, authorization, "read")


def may_start(request: Request, authorization: Annotated[str, Header()] = "") -> str:
    """A token with `start`."""
    return _bearer(request, authorization, "start")


@router.get("/fields")
def fields() -> list[dict[str, Any]]:
    """Every field of an item with its labels, its kind, its limit and the outcomes that may set it."""
    return [info.model_dump(mode="json") for info in FIELDS]


@router.get("/items/{code}")
def item(request: Request, code: str) -> dict[str, Any]:
    """The current version of an item."""
    return views.item_json(portal_of(request).db, code=code)


@router.get("/items/{code}/versions")
def versions(request: Request, code: str) -> list[dict[str, Any]]:
    """All versions of an item, the newest first."""
    return views.item_versions(portal_of(request).db, code=code)


@router.get("/lists/{name}")
def members(request: Request, name: str) -> dict[str, Any]:
    """The members of a derived list."""
    return views.list_json(portal_of(request).db, name=name)


@router.post("/changes", status_code=201)
def start(
    request: Request,
    body: StartRequest,
    person: Annotated[str, Depends(may_start)],
    idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
) -> Response:
    """Start a change: 201; 200 where it stood already; 202 where the engine is away and the run follows by itself."""
    portal = portal_of(request)
    made = starting.register(
        portal.db,
        trigger=body.trigger,
        params=body.params,
        by=person,
        via="api",
        key=idempotency_key,
        again=body.again,
        now=portal.now(),
    )
    run = made.flow_run_id or portal.start(made.id)
    answer: dict[str, Any] = {"id": made.id, "number": made.number, "flow_run_id": run, "existing": made.existing}
    if run is None:
        answer["message"] = _(
            "变更 %(number)s 已登记。流程引擎目前连不上，连上后自动开始，不必重复提交。", number=made.number
        )
        return JSONResponse(answer, status_code=202)
    return JSONResponse(answer, status_code=200 if made.existing else 201)


@router.post("/changes/preview")
def preview(request: Request, body: StartRequest, person: Annotated[str, Depends(may_start)]) -> dict[str, Any]:
    """What a change would concern, as `change preview --json`; nothing is registered and nobody is told."""
    portal = portal_of(request)
    return starting.preview(portal.db, trigger=body.trigger, params=body.params, now=portal.now()).as_json()


@router.get("/changes/{change_id}")
def change(request: Request, change_id: str, person: Annotated[str, Depends(may_read)]) -> dict[str, Any]:
    """One change with everything in it."""
    portal = portal_of(request)
    return views.change_show(portal.db, change_id=change_id, now=portal.now())


@router.get("/changes/{change_id}/log")
def log(
    request: Request,
    change_id: str,
    person: Annotated[str, Depends(may_read)],
    after: Annotated[int, Query(ge=0, le=LARGEST)] = 0,
) -> list[dict[str, Any]]:
    """The change's log after a sequence number, at most 1,000 lines."""
    return views.changelog(portal_of(request).db, change_id=change_id, after=after)
