"""The mail server of the measurement, a process of its own: says of each mail when its DATA ended.

One JSON line a mail on standard output; `at` is the machine's monotonic clock in seconds, the same in every process.
"""

from __future__ import annotations

import email
import json
import re
import sys
import threading
import time
from email import policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller

_LINK = re.compile(r"^(http\S+)\s*$", re.MULTILINE)


class Sink:
    """Answers first, looks into the mail afterwards."""

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        at = time.monotonic()
        message = email.message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        body = message.get_body(preferencelist=("plain",))
        found = _LINK.search("" if body is None else str(body.get_content()))
        line = {
            "at": at,
            "to": envelope.rcpt_tos[0],
            "change": message["X-Shixiang-Change"],
            "kind": message["X-Shixiang-Kind"],
            "notice": message["X-Shixiang-Notice"],
            "link": None if found is None else found.group(1),
        }
        print(json.dumps(line), flush=True)
        return "250 OK"


if __name__ == "__main__":
    controller = Controller(Sink(), hostname="127.0.0.1", port=int(sys.argv[1]))
    controller.start()
    print(json.dumps({"ready": True}), flush=True)
    threading.Event().wait()
