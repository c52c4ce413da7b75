"""The hot window: changes whose run stays awake for a while, and what wakes them there.

One thread of the engine asks the database for all of them at once; a nudge sets the event of one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Place:
    """A leg that waits hot: its event, since when, and whether it may stay."""

    def __init__(self) -> None:
        self.since = time.monotonic()
        self.stays = True
        self._event = threading.Event()

    def wait(self, seconds: float) -> bool:
        """Wait for a nudge, for the order to leave, or for the time to pass (seconds). True where one was nudged."""
        woken = self._event.wait(seconds)
        self._event.clear()
        return woken and self.stays

    def nudge(self) -> None:
        """Wake the leg."""
        self._event.set()

    def leave(self) -> None:
        """Send the leg to sleep."""
        self.stays = False
        self._event.set()


class HotRegistry:
    """Who waits hot in this process. At most `cap` changes; above that the longest idle one goes."""

    def __init__(self, cap: int = 40) -> None:
        self.cap = cap
        self._lock = threading.Lock()
        self._places: dict[str, Place] = {}
        self._closed = False

    @contextmanager
    def place(self, change_id: str) -> Iterator[Place]:
        """A place for this change until the block ends; one that may not stay when the engine stops."""
        place = Place()
        with self._lock:
            # A newer leg of the same change takes over; the older one finds its number outdated.
            older = self._places.pop(change_id, None)
            if older is not None:
                older.leave()
            while len(self._places) >= self.cap:
                self._send_longest_idle_away()
            if self._closed:
                place.leave()
            else:
                self._places[change_id] = place
        try:
            yield place
        finally:
            with self._lock:
                # Only one's own place: else an old leg would remove its successor's.
                if self._places.get(change_id) is place:
                    del self._places[change_id]

    def nudge(self, change_id: str) -> bool:
        """Wake the leg that waits for this change; False where none does."""
        with self._lock:
            place = self._places.get(change_id)
            if place is not None:
                place.nudge()
        return place is not None

    def waiting(self) -> list[str]:
        """The changes that wait hot now."""
        with self._lock:
            return list(self._places)

    def close(self) -> None:
        """Send every leg to sleep; none waits hot afterwards."""
        with self._lock:
            self._closed = True
            while self._places:
                self._send_longest_idle_away()

    def _send_longest_idle_away(self) -> None:
        longest = min(self._places, key=lambda key: self._places[key].since)
        self._places.pop(longest).leave()
