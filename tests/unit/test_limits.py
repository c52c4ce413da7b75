"""How often something may be asked, with a clock that moves only when told."""

from __future__ import annotations

import threading

import pytest
from starlette.requests import Request

from models.domain.errors import TooMany
from portal.limits import MOST_KEYS, Bucket, source_of


class Clock:
    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def taken(bucket: Bucket, key: str, times: int) -> int:
    """How many of so many were given."""
    given = 0
    for _ in range(times):
        try:
            bucket.take(key)
            given += 1
        except TooMany:
            pass
    return given


def test_a_burst_is_given_and_then_what_flows_in() -> None:
    clock = Clock()
    bucket = Bucket(burst=5, a_second=0.5, clock=clock)
    assert taken(bucket, "a", 9) == 5
    clock.at += 4
    assert taken(bucket, "a", 9) == 2
    clock.at += 1000
    assert taken(bucket, "a", 9) == 5


def test_the_seconds_to_wait_are_those_after_which_one_is_given() -> None:
    clock = Clock()
    bucket = Bucket(burst=1, a_second=1 / 30, clock=clock)
    bucket.take("a")
    with pytest.raises(TooMany) as refused:
        bucket.take("a")
    assert refused.value.details["seconds"] == 30
    clock.at += 30
    bucket.take("a")


def test_asking_while_refused_does_not_put_the_next_one_off() -> None:
    clock = Clock()
    bucket = Bucket(burst=1, a_second=1.0, clock=clock)
    bucket.take("a")
    for _ in range(10):
        clock.at += 0.09
        assert taken(bucket, "a", 1) == 0
    clock.at += 0.2
    bucket.take("a")


def test_keys_do_not_share_and_those_unused_for_longest_are_forgotten() -> None:
    bucket = Bucket(burst=1, a_second=0.001, clock=Clock())
    bucket.take("first")
    for number in range(MOST_KEYS):
        bucket.take(f"key {number}")
    assert len(bucket._held) == MOST_KEYS
    bucket.take("first")
    assert taken(bucket, f"key {MOST_KEYS - 1}", 1) == 0


def test_many_at_once_get_no_more_than_the_burst() -> None:
    bucket = Bucket(burst=50, a_second=0.0001, clock=Clock())
    given: list[int] = []
    threads = [threading.Thread(target=lambda: given.append(taken(bucket, "a", 40))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(given) == 50


@pytest.mark.parametrize(
    ("host", "source"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::"),
        ("2001:db8:1:2:bbbb::9", "2001:db8:1:2::"),
        ("testclient", "testclient"),
    ],
)
def test_a_source_is_a_machine_and_of_ipv6_its_network(host: str, source: str) -> None:
    assert source_of(Request({"type": "http", "client": (host, 1), "headers": []})) == source
    assert source_of(Request({"type": "http", "client": None, "headers": []})) == ""
