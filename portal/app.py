"""The web application: where the links in notices lead, the coordinators' board, the public catalogue, the JSON API.

It never imports Prefect: it is handed `start(change_id)`, `wake(change_id)`, `missing()` and the operators' few calls.
"""

from __future__ import annotations

import logging
import secrets as random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from models import clock
from models.domain.errors import Refusal, TooMany
from models.settings import Settings
from models.store.database import Database
from models.words import N_, _
from portal import api, board, desk, mailbox, operators, proof, public, rules, signing, starting
from portal.guard import TOO_LARGE, Guard
from portal.language import LANGUAGES, language
from portal.limits import Limits
from portal.pages import error_page, told_plainly
from portal.state import NoOperations, Operations, Portal, SignInFirst, wants_json

_STATIC = Path(__file__).resolve().parent / "static"
_log = logging.getLogger("shixiang.portal")
_PLAIN = {
    404: N_("没有这个页面。请核对地址，或者从首页进入。"),
    405: N_("这个地址不接受这种请求，未作任何改动。"),
    413: TOO_LARGE,
}
_OTHERWISE = N_("请求不能处理，未作任何改动。")


def create_app(
    *,
    db: Database,
    settings: Settings,
    secrets: tuple[str, Mapping[str, bytes]],
    start: Callable[[str], str | None],
    wake: Callable[[str], None],
    missing: Callable[[], list[str]],
    now: Callable[[], Any] = clock.now,
    limits: Limits | None = None,
    operations: Operations | None = None,
) -> FastAPI:
    """The application over one office. `secrets` is the current key's id and all keys (`load_secrets`)."""
    app = FastAPI(title="Shixiang", version="1", docs_url=None, redoc_url=None, openapi_url="/api/v1/openapi.json")
    app.state.portal = Portal(
        db=db,
        settings=settings,
        key_id=secrets[0],
        secrets=secrets[1],
        start=start,
        wake=wake,
        missing=missing,
        now=now,
        limits=limits or Limits(),
        operations=operations or NoOperations(),
    )
    for code in LANGUAGES:  # before the first request, not in it
        language(code)
    app.add_middleware(Guard, broken=_broken)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    for module in (public, rules, signing, proof, desk, board, operators, starting, api):
        app.include_router(module.router)
    if not settings.mail_url:
        app.include_router(mailbox.router)
    app.add_api_route("/healthz", health, methods=["GET", "HEAD"], include_in_schema=False)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(HTTPException, _plain)
    app.add_exception_handler(RequestValidationError, _invalid)
    return app


def health(request: Request) -> Response:
    """200 once everything is there, else 503 naming what is missing."""
    portal: Portal = request.app.state.portal
    missing = []
    try:
        if portal.db.is_empty():
            missing.append("data")
        else:
            missing += portal.missing()
    except Exception as error:  # the database is away: that is the answer
        _log.warning("healthz: %s", type(error).__name__)
        missing.append("data")
    body = {"status": "ready" if not missing else "waiting", "missing": missing}
    return JSONResponse(body, status_code=503 if missing else 200)


def refusal_body(refusal: Refusal) -> dict[str, Any]:
    """A refusal as JSON: `error`, `message` and what pages need besides."""
    return {"error": refusal.code, "message": told_plainly(refusal), **refusal.details}


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    headers = {"Retry-After": str(error.details["seconds"])} if isinstance(error, TooMany) else {}
    if isinstance(error, SignInFirst) and not wants_json(request) and request.method in ("GET", "HEAD"):
        return RedirectResponse("/sign-in", 303)
    if wants_json(request):
        return JSONResponse(refusal_body(error), status_code=error.status, headers=headers)
    answer = error_page(request, error, error.status)
    answer.headers.update(headers)
    return answer


async def _plain(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = _(_PLAIN.get(error.status_code, _OTHERWISE))
    headers = dict(error.headers or {})
    if wants_json(request):
        body = {"error": "not_found" if error.status_code == 404 else "bad_request", "message": message}
        return JSONResponse(body, status_code=error.status_code, headers=headers)
    answer = error_page(request, message, error.status_code)
    answer.headers.update(headers)
    return answer


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part not in ("query", "body", "path"))
    message = _("“%(field)s”不能这样填写，未作任何改动。", field=where or _("内容"))
    if wants_json(request):
        return JSONResponse({"error": "field_invalid", "message": message, "field": where}, status_code=422)
    return error_page(request, message, 422)


async def _broken(request: Request, error: Exception) -> Response:
    reference = random.token_hex(4)
    _log.error("fault %s", reference, exc_info=error)
    message = _(
        "服务出现故障（编号 %(reference)s），您填写的内容尚未保存，请稍后再试；仍不行的，请将编号告知运维人员。",
        reference=reference,
    )
    if wants_json(request):
        return JSONResponse({"error": "fault", "message": message, "reference": reference}, status_code=500)
    return error_page(request, message, 500)
