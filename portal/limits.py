"""How often something may be asked: per link, per key of an interface, per address, per source. In memory, per process.

A right link or key is never refused for the wrong guesses of somebody else behind the same address: a link carries 128
bits and is not found by guessing, while a whole office may share one address. Wrong guesses are answered 429 once there
were too many; codes of six digits are counted in the database besides (`models/actions/proving.py`).
"""

from __future__ import annotations

import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from fastapi import Request

from models.domain.errors import TooMany

#: Keys one bucket remembers; the one not used for longest is forgotten first.
MOST_KEYS = 10_000


class Bucket:
    """So many requests at once, and so many a second afterwards, per key."""

    def __init__(self, burst: int, a_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.burst, self.a_second = burst, a_second
        self._clock = clock
        self._lock = threading.Lock()
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> None:
        """Take one; `TooMany` where nothing is left, with the seconds until there is one."""
        now = self._clock()
        with self._lock:
            left, since = self._held.pop(key, (float(self.burst), now))
            left = min(float(self.burst), left + (now - since) * self.a_second)
            if left < 1:
                self._held[key] = (left, now)
                raise TooMany(max(1, math.ceil((1 - left) / self.a_second)))
            self._held[key] = (left - 1, now)
            while len(self._held) > MOST_KEYS:
                self._held.popitem(last=False)


@dataclass(frozen=True)
class Limits:
    """All limits of the portal."""

    #: A page and its submissions, never a machine that tries. Per link.
    link: Bucket = field(default_factory=lambda: Bucket(burst=120, a_second=20))
    #: Requests for a new link. Per dead link.
    renewal: Bucket = field(default_factory=lambda: Bucket(burst=5, a_second=1 / 60))
    #: Per key of the interface.
    key: Bucket = field(default_factory=lambda: Bucket(burst=300, a_second=50))
    #: Links, keys and sign-ins that are wrong. Per source.
    guess: Bucket = field(default_factory=lambda: Bucket(burst=200, a_second=2))
    #: Sign-in mails per address, and per source that asks.
    address: Bucket = field(default_factory=lambda: Bucket(burst=10, a_second=1 / 30))
    asking: Bucket = field(default_factory=lambda: Bucket(burst=60, a_second=1 / 5))


def source_of(request: Request) -> str:
    """Where a request comes from: the address, of IPv6 the network a single machine may roam in."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 6:
        return str(ipaddress.ip_network((address, 64), strict=False).network_address)
    return host
