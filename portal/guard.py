"""What surrounds every request: security headers, its language, a limit for bodies, a log without tokens, rate limits."""

from __future__ import annotations

import logging
import math
import re
import threading
import time
from collections import OrderedDict

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from models.domain.errors import Refusal
from models.words import _, speak
from portal.language import asked_in_address, language, wanted, with_language

BODY_BYTES = 8 * 1024 * 1024
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


class TooMany(Refusal):
    """Too many requests of one kind in a short time."""

    status = 429

    def __init__(self, seconds: int) -> None:
        super().__init__("too_many_requests", f"操作过于频繁，请 {seconds} 秒后再试。", seconds=seconds)


class Bucket:
    """So many requests at once, and so many a second afterwards, per key. Keeps at most 10,000 keys."""

    def __init__(self, burst: int, a_second: float) -> None:
        self.burst, self.a_second = burst, a_second
        self._lock = threading.Lock()
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> None:
        """Take one; `TooMany` where nothing is left."""
        now = time.monotonic()
        with self._lock:
            left, since = self._held.pop(key, (float(self.burst), now))
            left = min(float(self.burst), left + (now - since) * self.a_second)
            if left < 1:
                self._held[key] = (left, now)
                raise TooMany(max(1, math.ceil((1 - left) / self.a_second)))
            self._held[key] = (left - 1, now)
            while len(self._held) > 10_000:
                self._held.popitem(last=False)


class Guard:
    """ASGI middleware around the application."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

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

        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > BODY_BYTES:
            await JSONResponse({"error": "too_large", "message": _("提交的内容太大，未作任何改动。")}, status_code=413)(
                scope, receive, sending
            )
        else:
            await self.app(scope, _limited(receive), sending)
        if not static:
            took = (time.perf_counter() - began) * 1000
            _access.info("%s %s %d %.0f ms", scope["method"], _SECRET.sub(r"/\1/…", path), status, took)


def _limited(receive: Receive) -> Receive:
    """A body without a length is cut off where it grows too long."""
    got = 0

    async def receiving() -> Message:
        nonlocal got
        message = await receive()
        if message["type"] == "http.request":
            got += len(message.get("body", b""))
            if got > BODY_BYTES:
                return {"type": "http.disconnect"}
        return message

    return receiving
