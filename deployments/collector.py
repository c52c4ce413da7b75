"""Python's collector of circular garbage, as our long-lived processes want it."""

from __future__ import annotations

import gc

#: New objects (those that can hold others) until the collector looks at them; Python's own number is 700. One transaction over
#: some thousand rows makes hundreds of thousands, none of them garbage: looked at so often they cost a tenth of its time.
NEW_OBJECTS = 50_000


def settle() -> None:
    """Called once a process has loaded what it keeps: the collector never walks through that again, and looks less often at
    what is new, so that it does not stand between a decision and its mail.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, *gc.get_threshold()[1:])
