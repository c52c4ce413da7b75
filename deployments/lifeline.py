"""The line from `up` to its parts: a part ends by itself where `up` died without a word."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import threading
import time

VARIABLE = "SHIXIANG_LIFELINE"
#: The exit status of a part that ended in order and asks to be started anew.
ANEW = 75
#: How long a part has to end in order before it is ended.
GRACE_SECONDS = 10.0


def follow() -> None:
    """Watch the line this process was given, if any: its other end is held by `up` alone.

    SIGUSR1 writes what every thread is doing to the part's log.
    """
    faulthandler.register(signal.SIGUSR1)
    number = os.environ.pop(VARIABLE, "")
    if not number.isdigit():
        return

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(int(number), 1):
                pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
