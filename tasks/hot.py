"""The hot window: changes whose run stays awake for a while, and what wakes them there.

One thread of the engine asks the database for all of them at once; a nudge sets the event of one.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field


@dataclass
class _Place:
    """A leg that waits: its event, since when, and whether it was asked to leave."""

    event: threading.Event = field(default_factory=threading.Event)
    since: float = field(default_factory=time.monotonic)
    evicted: bool = False


class HotRegistry:
    """Who waits hot in this process. At most `cap` changes; above that the longest idle one parks."""

    def __init__(self, cap: int = 40) -> None:
        self.cap = cap
        self._lock = threading.Lock()
        self._places: dict[str, _Place] = {}
        self._closed = False

    def wait(self, change_id: str, seconds: float) -> bool:
        """Wait until the change is nudged. False when the time is over, the cap is reached or the engine stops.

        True is a hint: the caller looks into the database whether there is work.
        """
        place = _Place()
        with self._lock:
            if self._closed:
                return False
            # A newer leg of the same change takes the place; the older one finds its number outdated.
            older = self._places.pop(change_id, None)
            if older is not None:
                older.event.set()
            while len(self._places) >= self.cap:
                self._evict_longest_idle()
            self._places[change_id] = place
        try:
            return place.event.wait(max(0.0, seconds)) and not place.evicted
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
                place.event.set()
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
                self._evict_longest_idle()

    def _evict_longest_idle(self) -> None:
        longest = min(self._places, key=lambda key: self._places[key].since)
        place = self._places.pop(longest)
        place.evicted = True
        place.event.set()
