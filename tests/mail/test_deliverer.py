"""From the outbox to a real SMTP server on the loopback address, and what happens when it will not take a mail."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from deployments import mailbox as mailbox_module
from deployments.mailbox import mailbox
from notifications import channel as channel_module
from notifications import deliverer as deliverer_module
from notifications.channel import MailChannel, Outcome, sendable
from notifications.deliverer import BREAK_SECONDS, LAST_TRY, LEASE_SECONDS, MOST_TRIES, Claimed, Deliverer
from notifications.mailbox_files import read_mail, read_mails
from tests.faults.post import Post

NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
LINK = "http://127.0.0.1:8080/d/abc.def"


def claimed(**values: Any) -> Claimed:
    payload = {
        "sample": True,
        "person": {"id": "p", "name": "周敏"},
        "acting_for": None,
        "contact": {"name": "事项管理部门", "phone": "", "email": ""},
        "can_reassign": False,
        "items": [],
        "more": 0,
    }
    plain: dict[str, Any] = {
        "id": "ntc-1",
        "kind": "sign_in",
        "payload": payload,
        "person_id": "p",
        "change_id": "chg-1",
        "address": "zhoumin@zwfw.shili.example",
        "reply_to": "office@zwfw.shili.example",
        "tries": 1,
        "created_at": NOW,
        "repeat": 0,
        "link_id": "lnk-1",
    }
    return Claimed(**{**plain, **values})


class Box:
    """An outbox in memory that remembers what was said to it."""

    def __init__(self, notices: list[Claimed]) -> None:
        self.notices = notices
        self.said: list[tuple[str, str, Any]] = []
        self.errors: dict[str, str] = {}

    def claim(self, now: datetime, limit: int, lease_seconds: float, *, sure: bool = False) -> list[Claimed]:
        taken, self.notices = self.notices[:limit], self.notices[limit:]
        return taken

    def accepted(self, notice_id: str, at: datetime) -> None:
        self.said.append(("accepted", notice_id, at))

    def retry(self, notice_id: str, next_at: datetime, error: str, *, doubtful: bool = False) -> None:
        self.said.append(("doubtful" if doubtful else "retry", notice_id, next_at))
        self.errors[notice_id] = error

    def renew(self, notice_ids: Sequence[str], until: datetime) -> None:
        self.said += [("renew", notice_id, until) for notice_id in notice_ids]

    def undeliverable(self, notice_id: str, error: str, at: datetime | None = None, subject: str = "") -> None:
        self.said.append(("undeliverable", notice_id, error))


class Answer:
    """A channel that always answers the same."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.asked = 0

    def send(self, **message: Any) -> Outcome:
        self.asked += 1
        return self.outcome


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Controller, Path]]:
    box = mailbox(free_port(), tmp_path)
    box.start()
    yield box, tmp_path
    box.stop()


def channel_to(port: int) -> MailChannel:
    return MailChannel(f"mailto://127.0.0.1:{port}?from=shixiang@localhost.local&mode=insecure")


def deliver(box: Box, channel: Any) -> None:
    deliverer = Deliverer(box, channel, lambda notice: LINK, lambda: NOW)
    deliverer.deliver_once()
    deliverer.stop()


def test_a_notice_arrives_whole_with_its_headers_and_the_link_on_its_own_line(server: tuple[Controller, Path]) -> None:
    controller, folder = server
    box = Box([claimed(repeat=2)])
    deliver(box, channel_to(controller.port))
    assert [kind for kind, _, _ in box.said] == ["accepted"]
    mail = read_mails(folder)[0]
    assert mail.subject == "【示例】【登录】登录链接，10 分钟内有效"
    assert mail.to == "zhoumin@zwfw.shili.example"
    assert mail.reply_to.endswith("office@zwfw.shili.example") or "office@zwfw" in mail.reply_to
    assert mail.link == LINK
    assert (mail.notice, mail.change, mail.kind) == ("ntc-1", "chg-1", "sign_in")
    assert mail.headers["X-Shixiang-Repeat"] == "2"
    assert "周敏同志，请打开链接" in mail.body
    assert "本通知可能重复发送" in mail.body


@pytest.mark.parametrize(
    "address", [None, "", "a@b,c@d", "a b@c.d", "a&to=x@y.z", "a@b?to=c", "nobody", "a@b@c", "x@", "@x"]
)
def test_an_address_that_is_none_is_undeliverable_and_nothing_is_sent(
    server: tuple[Controller, Path], address: str | None
) -> None:
    controller, folder = server
    box = Box([claimed(address=address)])
    deliver(box, channel_to(controller.port))
    assert [kind for kind, _, _ in box.said] == ["undeliverable"]
    assert read_mails(folder) == []
    assert not sendable(address)


def test_a_server_that_is_away_is_tried_again_later() -> None:
    box = Box([claimed()])
    deliver(box, channel_to(free_port()))
    kind, _, at = box.said[0]
    assert (kind, at) == ("retry", NOW + timedelta(seconds=5))


def test_a_server_that_dies_twice_with_a_mail_in_hand_gets_it_within_half_a_minute() -> None:
    waits = timedelta(0)
    for tries in (1, 2):
        box = Box([claimed(tries=tries)])
        deliver(box, Answer(Outcome("temporary", "connection lost", doubtful=True, away=True)))
        kind, _, at = box.said[0]
        assert kind == "doubtful" and at is not None
        waits += at - NOW
    assert waits < timedelta(seconds=25)


def test_after_two_days_a_notice_is_undeliverable() -> None:
    box = Box([claimed(created_at=NOW - LAST_TRY - timedelta(minutes=1), tries=9)])
    deliver(box, Answer(Outcome("temporary", "451 later")))
    assert box.said[0][0] == "undeliverable"


def test_a_channel_that_keeps_failing_is_left_alone_for_a_while() -> None:
    box = Box([claimed(id=f"n{n}") for n in range(20)])
    channel = Answer(Outcome("temporary", "451"))
    deliverer = Deliverer(box, channel, lambda notice: LINK, lambda: NOW)
    while deliverer.deliver_once():
        pass
    deliverer.stop()
    assert channel.asked == 8


def test_a_text_that_cannot_be_written_does_not_stop_the_others() -> None:
    box = Box([claimed(id="bad", payload={}), claimed(id="good")])
    deliver(box, Answer(Outcome("accepted")))
    assert sorted((kind, notice) for kind, notice, _ in box.said) == [("accepted", "good"), ("undeliverable", "bad")]


def test_a_poke_wakes_the_deliverer_at_once(server: tuple[Controller, Path]) -> None:
    box = Box([])
    deliverer = Deliverer(box, Answer(Outcome("accepted")), lambda notice: LINK, lambda: NOW, poll_seconds=30)
    deliverer.start()
    box.notices = [claimed()]
    deliverer.poke()
    deadline = datetime.now(UTC) + timedelta(seconds=5)
    while not box.said and datetime.now(UTC) < deadline:
        pass
    deliverer.stop()
    assert box.said


def test_a_mailbox_file_is_found_by_its_name_alone(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("x", encoding="utf-8")
    assert read_mail(tmp_path, "../secret.json") is None
    assert read_mail(tmp_path, "secret.json") is None
    assert read_mails(tmp_path / "missing") == []


def handed(box: Box, channel: Any, notices: list[Claimed]) -> None:
    deliverer = Deliverer(box, channel, lambda notice: LINK, lambda: NOW)
    deliverer.hand(notices)
    deliverer.stop()


def test_what_is_handed_over_is_sent_without_being_claimed() -> None:
    box, channel = Box([]), Answer(Outcome("accepted"))
    handed(box, channel, [claimed(), claimed(id="ntc-2")])
    assert sorted(notice for _, notice, _ in box.said) == ["ntc-1", "ntc-2"]
    assert {kind for kind, _, _ in box.said} == {"accepted"}


class Hanging(Answer):
    """A channel whose first mail hangs until it is let go."""

    def __init__(self) -> None:
        super().__init__(Outcome("accepted"))
        self.let_go = threading.Event()
        self.others = threading.Event()
        self._first = iter([True])

    def send(self, **message: Any) -> Outcome:
        if next(self._first, False):
            assert self.let_go.wait(30)
        else:
            self.others.set()
        return super().send(**message)


def test_mails_are_written_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two at once would both arrive when the second does."""
    monkeypatch.setattr(deliverer_module, "TURN_SECONDS", 30)
    being_written: list[int] = []

    class Watched(Answer):
        def send(self, **message: Any) -> Outcome:
            being_written.append(1)
            time.sleep(0.005)
            assert len(being_written) == 1
            being_written.pop()
            return super().send(**message)

    box, channel = Box([]), Watched(Outcome("accepted"))
    handed(box, channel, [claimed(id=f"ntc-{number}") for number in range(5)])
    assert [kind for kind, _, _ in box.said] == ["accepted"] * 5


def test_a_mail_that_hangs_holds_up_no_other_and_nobody_who_hands_over() -> None:
    box, channel = Box([]), Hanging()
    deliverer = Deliverer(box, channel, lambda notice: LINK, lambda: NOW)
    deliverer.hand([claimed(), claimed(id="ntc-2")])
    assert channel.others.wait(10)
    channel.let_go.set()
    deliverer.stop()
    assert sorted(notice for _, notice, _ in box.said) == ["ntc-1", "ntc-2"]


def test_who_hands_over_goes_on_when_the_first_mail_is_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliverer_module, "HANDING_SECONDS", 30)
    monkeypatch.setattr(deliverer_module, "TURN_SECONDS", 0)
    box, channel = Box([]), Hanging()
    deliverer = Deliverer(box, channel, lambda notice: LINK, lambda: NOW)
    began = time.monotonic()
    deliverer.hand([claimed(), claimed(id="ntc-2")])
    assert time.monotonic() - began < 20
    channel.let_go.set()
    deliverer.hand([claimed(id="ntc-3", created_at=NOW - timedelta(seconds=LEASE_SECONDS))])  # goes back unsent
    assert time.monotonic() - began < 20
    deliverer.stop()
    assert channel.asked == 2


def test_what_waited_too_long_behind_slow_mails_goes_back_while_its_lease_is_ours() -> None:
    box, channel = Box([]), Answer(Outcome("accepted"))
    handed(box, channel, [claimed(created_at=NOW - timedelta(seconds=LEASE_SECONDS / 2 + 1))])
    assert (channel.asked, box.said) == (0, [("retry", "ntc-1", NOW)])


def test_a_notice_handed_over_after_the_end_is_left_to_others() -> None:
    box, channel = Box([]), Answer(Outcome("accepted"))
    deliverer = Deliverer(box, channel, lambda notice: LINK, lambda: NOW)
    deliverer.stop()
    deliverer.hand([claimed()])
    assert (channel.asked, box.said) == (0, [])


def answering(*says: bytes) -> Iterator[int]:
    """A mail server that gives these answers in their order, to each connection anew, then says nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ended = threading.Event()

        def serve(line: socket.socket) -> None:
            with line, contextlib.suppress(OSError):
                line.settimeout(20)
                for answer in says:
                    line.sendall(answer + b"\r\n")
                    if answer.startswith(b"354"):
                        got = b""
                        while not got.endswith(b"\r\n.\r\n"):
                            got += line.recv(65536)
                    else:
                        line.recv(65536)
                ended.wait(20)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield int(listening.getsockname()[1])
        ended.set()


def outcome_of(*says: bytes, to: str = "zhou@shili.example") -> Outcome:
    servers = answering(*says)
    message: dict[str, Any] = {"to": to, "subject": "x", "body": "y", "headers": {}, "reply_to": None}
    outcome = channel_to(next(servers)).send(**message)
    servers.close()  # type: ignore[attr-defined]
    return outcome


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_module, "TIMEOUT_SECONDS", 0.5)


def test_a_server_that_lets_nobody_in_says_nothing_about_the_mail() -> None:
    for greeting in (b"554 go away", b"421 too busy"):
        found = outcome_of(greeting)
        assert (found.kind, found.away, found.doubtful) == ("temporary", True, False)


SESSION, SENDER, RECIPIENT, TEXT = (b"220 hi",), (b"250 hi",), (b"250 ok",), (b"250 ok", b"354 go on")
END = (b"250 ok", b"221 bye")


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ((b"220 hi", b"550 no EHLO", b"550 we do not know you"), "550 we do not know you"),
        ((*SESSION, *SENDER, b"530 5.7.0 authenticate first"), "530 5.7.0 authenticate first"),
        ((*SESSION, *SENDER, b"550 5.7.1 not your address"), "550 5.7.1 not your address"),
        ((*SESSION, *SENDER, *RECIPIENT, b"530 5.7.0 authenticate first"), "530 5.7.0 authenticate first"),
        # As Postfix answers by default: it says whom it does not want only when it is told the recipient.
        (
            (
                *SESSION,
                *SENDER,
                *RECIPIENT,
                b"553 5.7.1 <shixiang@localhost.local>: Sender address rejected: not owned",
            ),
            "553 5.7.1 <shixiang@localhost.local>: Sender address rejected: not owned",
        ),
        ((*SESSION, *SENDER, *RECIPIENT, b"554 5.7.1 <x[10.0.0.1]>: Client host rejected: no"), "Client host rejected"),
        ((*SESSION, *SENDER, *RECIPIENT, b"550 5.1.8 no such domain"), "550 5.1.8 no such domain"),
        ((*SESSION, *SENDER, *RECIPIENT, *TEXT[:1], b"530 5.7.0 authenticate first"), "530 5.7.0 authenticate first"),
        ((b"554 5.7.1 go away",), "554 5.7.1 go away"),
    ],
)
def test_a_refusal_of_the_sender_or_of_the_session_says_nothing_about_the_mail(
    said: tuple[bytes, ...], answer: str
) -> None:
    found = outcome_of(*said, *END)
    assert (found.kind, found.away, found.doubtful) == ("temporary", True, False)
    assert found.error.startswith("邮件服务器不接受本系统发信：") and answer in found.error


@pytest.mark.parametrize(
    "said",
    [
        (*SESSION, *SENDER, b"552 5.3.4 message size exceeds fixed limit"),
        (*SESSION, *SENDER, *RECIPIENT, b"550 5.1.1 no such user"),
        (*SESSION, *SENDER, *RECIPIENT, b"552 5.2.2 mailbox full"),
        (*SESSION, *SENDER, *RECIPIENT, b"554 5.7.1 relay access denied"),
        (*SESSION, *SENDER, *RECIPIENT, *TEXT[:1], b"554 no valid recipients"),
        (*SESSION, *SENDER, *RECIPIENT, *TEXT, b"554 5.6.0 content rejected"),
    ],
)
def test_a_recipient_or_a_mail_refused_for_good_is_given_up(said: tuple[bytes, ...]) -> None:
    found = outcome_of(*said, *END)
    assert (found.kind, found.away, found.doubtful) == ("permanent", False, False)
    assert said[-1].decode() in found.error


@pytest.mark.parametrize(
    ("said", "away"),
    [
        ((b"220 hi", b"450 not now", b"450 not now"), True),
        ((*SESSION, *SENDER, b"452 4.3.1 no room"), False),
        ((*SESSION, *SENDER, *RECIPIENT, b"450 greylisted"), False),
        ((*SESSION, *SENDER, *RECIPIENT, *TEXT[:1], b"451 later"), False),
        ((*SESSION, *SENDER, *RECIPIENT, *TEXT, b"452 4.3.1 no room"), False),
    ],
)
def test_what_is_refused_for_now_is_tried_again_and_came_nowhere(said: tuple[bytes, ...], away: bool) -> None:
    found = outcome_of(*said, *END)
    assert (found.kind, found.away, found.doubtful) == ("temporary", away, False)


def test_what_a_server_answers_is_kept_as_one_line_any_database_takes() -> None:
    found = outcome_of(*SESSION, *SENDER, *RECIPIENT, b"550-\x1b[31mno\x00\r\n550 such \xff user", *END)
    assert (found.kind, found.error) == ("permanent", "550 [31mno such \ufffd user")


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    server = Post(free_port(), tmp_path)
    server.open()
    yield server
    server.close()


def test_while_the_sender_is_refused_nothing_is_given_up_and_the_server_is_left_alone(post: Post) -> None:
    asked: list[str] = []

    def refuse(sender: str) -> str:
        asked.append(sender)
        return "550 5.7.1 not a sender of ours"

    post.to_sender = refuse
    box = Box([claimed(id=f"n{n}") for n in range(20)])
    deliverer = Deliverer(box, channel_to(post.port), lambda notice: LINK, lambda: NOW)
    while deliverer.deliver_once():
        pass
    assert len(asked) == 8 and {kind for kind, _, _ in box.said} == {"retry"}
    deliverer.hand([claimed(id="handed")])
    deliverer.stop()
    assert len(asked) == 8 and box.said[-1][:2] == ("retry", "handed")
    assert "550 5.7.1 not a sender of ours" in box.errors["handed"]


def test_a_mail_refused_after_its_text_is_undeliverable_alone(post: Post) -> None:
    post.to_mail = lambda to: "554 5.6.0 not this one" if to.startswith("lu") else None
    box = Box([claimed(id="bad", address="lu@shili.example"), claimed(id="good")])
    deliver(box, channel_to(post.port))
    assert sorted((kind, notice) for kind, notice, _ in box.said) == [("accepted", "good"), ("undeliverable", "bad")]
    assert len(read_mails(post.folder)) == 1


@pytest.mark.usefixtures("hasty")
def test_silence_after_the_mail_is_doubtful_whatever_digits_the_address_has() -> None:
    taken = (b"220 hi", b"250 hi", b"250 ok", b"250 ok", b"354 go on")
    found = outcome_of(*taken, to="550@shili.example")
    assert (found.kind, found.away, found.doubtful) == ("temporary", True, True)


@pytest.mark.usefixtures("hasty")
def test_a_server_that_hangs_after_taking_the_mail_has_taken_it() -> None:
    taken = (b"220 hi", b"250 hi", b"250 ok", b"250 ok", b"354 go on", b"250 yours is mine")
    assert outcome_of(*taken).kind == "accepted"


def test_what_one_server_says_is_not_heard_by_another_mail_sent_at_the_same_moment() -> None:
    hello = (b"220 hi", b"250 hi", b"250 ok")
    with ThreadPoolExecutor(8) as pool:
        refused = [pool.submit(outcome_of, *hello, b"550 no", b"250 ok", b"221 bye") for _ in range(8)]
        later = [pool.submit(outcome_of, *hello, b"451 no", b"250 ok", b"221 bye") for _ in range(8)]
        assert {found.result().kind for found in refused} == {"permanent"}
        assert {found.result().kind for found in later} == {"temporary"}


def test_a_server_that_was_away_for_long_is_asked_every_quarter_of_a_minute_and_nothing_is_given_up() -> None:
    box = Box([claimed(tries=MOST_TRIES + 1)])
    deliver(box, Answer(Outcome("temporary", "away", away=True)))
    assert box.said == [("retry", "ntc-1", NOW + timedelta(seconds=15))]


def test_a_doubtful_mail_is_sent_again_as_a_repeat() -> None:
    box = Box([claimed()])
    deliver(box, Answer(Outcome("temporary", "silence", away=True, doubtful=True)))
    assert box.said == [("doubtful", "ntc-1", NOW + timedelta(seconds=5))]


def test_a_clock_set_back_keeps_no_channel_closed() -> None:
    box, moment = Box([claimed(id=f"n{n}") for n in range(8)]), [NOW]
    channel = Answer(Outcome("temporary", "451"))
    deliverer = Deliverer(box, channel, lambda notice: LINK, lambda: moment[0])
    deliverer.deliver_once()
    moment[0] = NOW - timedelta(days=3)
    deliverer._broken_until -= BREAK_SECONDS  # the pause is over
    box.notices = [claimed(id="later")]
    deliverer.deliver_once()
    deliverer.stop()
    assert channel.asked == 9


def test_a_slow_mail_keeps_its_lease_while_it_is_being_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliverer_module, "LEASE_SECONDS", 0.3)
    sent = threading.Event()

    class Slow(Answer):
        def send(self, **message: Any) -> Outcome:
            sent.wait(10)
            return super().send(**message)

    box = Box([claimed()])
    deliverer = Deliverer(box, Slow(Outcome("accepted")), lambda notice: LINK, lambda: NOW, poll_seconds=0.01)
    deliverer.start()
    end = time.monotonic() + 10
    while ("renew", "ntc-1", NOW + timedelta(seconds=0.3)) not in box.said and time.monotonic() < end:
        time.sleep(0.01)
    sent.set()
    deliverer.stop()
    assert [kind for kind, _, _ in box.said][-1] == "accepted"
    assert "renew" in {kind for kind, _, _ in box.said}


def test_a_full_disk_of_the_local_mailbox_refuses_a_mail_for_now_alone(
    server: tuple[Controller, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path, content: bytes) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mailbox_module, "store_mail", full)
    controller, _ = server
    message: dict[str, Any] = {"to": "a@b.example", "subject": "x", "body": "y", "headers": {}, "reply_to": None}
    found = channel_to(controller.port).send(**message)
    assert (found.kind, found.away) == ("temporary", False)
