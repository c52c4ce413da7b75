"""What surrounds every request: security headers, its language, a limit for bodies, a log without tokens."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from models.domain.outside import one_line
from models.words import N_, _, speak
from portal.language import asked_in_address, language, wanted, with_language

BODY_BYTES = 8 * 1024 * 1024
TOO_LARGE = N_("提交的内容太大，未作任何改动。")
_SECRET = re.compile(r"^/(d|s)/[^/]*")
_HEADERS = {
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_access = logging.getLogger("shixiang.access")


class Guard:
    """ASGI middleware around the application."""

    def __init__(self, app: ASGIApp, broken: Callable[[Request, Exception], Awaitable[Response]]) -> None:
        self.app, self.broken = app, broken

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        headers = Headers(scope=scope)
        path = str(scope["path"])
        static = path.startswith("/static/")
        status = 0
        speak(language(wanted(scope)))
        asked = asked_in_address(scope)

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answer = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    answer.setdefault(name, value)
                answer.setdefault("Cache-Control", "public, max-age=600" if static else "no-store")
                if not static:
                    answer.add_vary_header("Accept")
                    answer.add_vary_header("Accept-Language")
                if asked and answer.get("location", "").startswith("/"):
                    answer["location"] = with_language(answer["location"], asked)
            await send(message)

        length = headers.get("content-length", "")
        if length.isdigit() and int(length[:12]) > BODY_BYTES:
            refused = JSONResponse({"error": "too_large", "message": _(TOO_LARGE)}, status_code=413)
            await refused(scope, receive, sending)
        else:
            await self._answered(scope, _limited(receive), sending, lambda: status)
        if not static:
            took = (time.perf_counter() - began) * 1000
            shown = one_line(_SECRET.sub(r"/\1/…", path))
            _access.info("%s %s %d %.0f ms", scope["method"], shown, status, took)

    async def _answered(self, scope: Scope, receive: Receive, sending: Send, status: Callable[[], int]) -> None:
        """The answer of the application; of a fault too, which would otherwise leave without headers and language."""
        try:
            await self.app(scope, receive, sending)
        except Exception as error:
            if status():  # half an answer is out: the server cuts it off
                raise
            fault = await self.broken(Request(scope), error)
            await fault(scope, receive, sending)


def _limited(receive: Receive) -> Receive:
    """A body without a length is refused where it grows too long."""
    got = 0

    async def receiving() -> Message:
        nonlocal got
        message = await receive()
        if message["type"] == "http.request":
            got += len(message.get("body", b""))
            if got > BODY_BYTES:
                raise HTTPException(413)
        return message

    return receiving
