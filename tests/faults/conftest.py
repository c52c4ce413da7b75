"""One running system for the crashes and the buttons, with a mail server whose behaviour each test sets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deployments.ports import free_port
from tests.faults.post import Post
from tests.system import System


@contextmanager
def running(home: Path, store: str = "") -> Iterator[tuple[Post, System]]:
    """The small office with a short hot window, every notice at once, a clock that can be moved."""
    post = Post(free_port(), home / "mailbox")
    post.open()
    settings = {
        "SHIXIANG_HOT_SECONDS": "1",
        "SHIXIANG_COLLECT_MINUTES": "0",
        "SHIXIANG_MAIL_URL": f"mailto://127.0.0.1:{post.port}?from=shixiang@localhost.local&mode=insecure",
        "SHIXIANG_CLOCK": str(home / "clock"),
    }
    system = System(home, settings, store=store)
    try:
        system.up()
        yield post, system
    finally:
        system.down()
        post.close()


@pytest.fixture(scope="session")
def post_and_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Post, System]]:
    """A system and its mail server for all tests of this folder, on SQLite."""
    with running(tmp_path_factory.mktemp("faults")) as both:
        yield both


@pytest.fixture
def system(post_and_system: tuple[Post, System]) -> System:
    """The running system."""
    return post_and_system[1]


@pytest.fixture
def post(post_and_system: tuple[Post, System]) -> Iterator[Post]:
    """Its mail server; behaves again after each test."""
    post = post_and_system[0]
    yield post
    post.behave()
