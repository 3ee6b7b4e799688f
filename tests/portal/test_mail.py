"""Mail about access: who is told what, once, and what a mail server's moods do to it.

Alice owns the team, Bob belongs to it, Charlie asks; Dora owns another team and hears of nothing.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.core import mail as outgoing
from django.core.mail import EmailMessage
from django.utils import timezone
from pytest_django import Settings

from portal import letters, mail, tasks
from provisioning import queue
from teams import grants, requests
from teams.models import AccessRequest, Farewell, Grant, Team, TeamOwner, User
from tests.factories import make_team, make_user
from tests.portal.smtp_server import SmtpServer

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
Committed = Callable[[], AbstractContextManager[Any]]


@pytest.fixture(autouse=True)
def _mail_is_on(settings: Settings) -> None:
    settings.MAIL_IS_ON = True
    settings.PORTAL_URL = "https://portal.example.com"
    settings.DEFAULT_FROM_EMAIL = "studio-portal@example.com"


@pytest.fixture(name="team")
def _team() -> Team:
    return make_team("team1", name="Team 1", is_requestable=True, contact="help@example.com")


@pytest.fixture(name="alice")
def _alice(team: Team) -> User:
    alice = make_user("alice", name="Alice", email="alice@example.com")
    TeamOwner.objects.create(team=team, user=alice)
    TeamOwner.objects.create(team=make_team(), user=make_user("dora", email="dora@example.com"))
    return alice


@pytest.fixture(name="charlie")
def _charlie() -> User:
    return make_user("charlie", name="Charlie", email="charlie@example.com")


@pytest.fixture(name="smtp")
def _smtp(settings: Settings) -> Iterator[SmtpServer]:
    """Send through a real server on loopback."""
    with SmtpServer() as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
        settings.EMAIL_TIMEOUT = 5
        yield server


@pytest.fixture(name="committed")
def _committed(django_capture_on_commit_callbacks: Any) -> Committed:
    """Return a context manager after which what waits for the commit has run."""
    return partial(django_capture_on_commit_callbacks, execute=True)


def in_days(days: float) -> datetime:
    return timezone.now() + days * DAY


def sent() -> list[EmailMessage]:
    """Have a worker look, and return what it sent."""
    tasks.send_mail()
    found, outgoing.outbox = list(outgoing.outbox), []
    return found


def only() -> EmailMessage:
    (message,) = sent()
    return message


def later() -> None:
    """Let the pause after a failure, or the claim of a worker that died, pass."""
    for model in (AccessRequest, Grant, Farewell):
        model.objects.update(mail_after=timezone.now() - timedelta(seconds=1))


def asked(user: User, team: Team, reason: str = "For the launch") -> AccessRequest:
    return requests.ask(user=user, team=team, reason=reason)


class TestWords:
    def test_owners_hear_of_a_request(self, team: Team, alice: User, charlie: User) -> None:
        request = asked(charlie, team)
        message = only()
        assert (message.to, message.cc, message.bcc) == (["alice@example.com"], [], [])
        assert message.from_email == "studio-portal@example.com"
        assert message.subject == "Charlie asks to join Team 1"
        assert "Charlie (charlie) asks to join the team Team 1." in message.body
        assert "Reason: For the launch" in message.body
        assert "https://portal.example.com/teams/team1/people/" in message.body
        assert message.message()["Auto-Submitted"] == "auto-generated"
        request.refresh_from_db()
        assert request.owners_told_at is not None
        assert sent() == []

    def test_the_person_hears_of_an_approval(self, team: Team, alice: User, charlie: User) -> None:
        request = asked(charlie, team)
        sent()
        requests.approve(request=request, by=alice, until=grants.end_of(in_days(90).date()), reason="Welcome")
        message = only()
        assert message.to == ["charlie@example.com"]
        assert message.subject == "Your request to join Team 1 was approved"
        assert "Welcome" in message.body
        assert f"ends on {in_days(90):%-d %B %Y}" in message.body
        assert "https://portal.example.com/t/team1/" in message.body
        assert "alice" not in message.body
        assert sent() == []

    def test_the_person_hears_of_a_refusal(self, team: Team, alice: User, charlie: User) -> None:
        request = asked(charlie, team)
        sent()
        requests.refuse(request=request, by=alice, reason="Not your project")
        message = only()
        assert message.to == ["charlie@example.com"]
        assert message.subject == "Your request to join Team 1 was refused"
        assert "Reason: Not your project" in message.body
        assert "help@example.com" in message.body
        assert "https://portal.example.com/request/" in message.body

    def test_nobody_is_asked_to_decide_what_is_decided(self, team: Team, alice: User, charlie: User) -> None:
        requests.withdraw(request=asked(charlie, team), by=charlie)
        requests.refuse(request=asked(charlie, team), by=alice, reason="r")
        assert [message.to for message in sent()] == [["charlie@example.com"]]

    def test_the_person_hears_of_what_was_given_and_changed(self, team: Team, alice: User, charlie: User) -> None:
        grants.give(user=charlie, team=team, until=in_days(30), reason="Helps out", by=alice)
        message = only()
        assert (message.to, message.subject) == (["charlie@example.com"], "You have access to Team 1")
        assert f"until {in_days(30):%-d %B %Y}" in message.body
        assert "Reason: Helps out" in message.body
        grants.give(user=charlie, team=team, until=in_days(60), reason="Helps on", by=alice)
        assert f"until {in_days(60):%-d %B %Y}" in only().body

    def test_the_person_hears_of_what_was_taken(self, team: Team, alice: User, charlie: User) -> None:
        grants.give(user=charlie, team=team, until=in_days(30), reason="r", by=alice)
        sent()
        grants.take_back(user=charlie, team=team, by=alice, reason="The project is over")
        message = only()
        assert (message.to, message.subject) == (["charlie@example.com"], "Your access to Team 1 was taken back")
        assert "Reason: The project is over" in message.body

    def test_both_are_reminded_once(self, team: Team, alice: User, charlie: User) -> None:
        grants.give(user=charlie, team=team, until=in_days(30), reason="Helps out", by=alice)
        sent()
        assert sent() == []
        Grant.objects.update(valid_until=in_days(6.5))
        message = only()
        # Alice's address is nothing that Charlie need know.
        assert (message.to, message.cc, message.bcc) == (["charlie@example.com"], [], ["alice@example.com"])
        assert message.subject == "Access of Charlie to Team 1 ends soon"
        assert f"ends on {in_days(6.5):%-d %B %Y}" in message.body
        assert "https://portal.example.com/teams/team1/people/" in message.body
        assert "alice@example.com" not in message.message().as_string()
        assert sent() == []

    def test_what_was_given_for_longer_is_reminded_of_anew(self, team: Team, alice: User, charlie: User) -> None:
        grants.give(user=charlie, team=team, until=in_days(30), reason="r", by=alice)
        Grant.objects.update(reminded_at=timezone.now())
        grants.give(user=charlie, team=team, until=in_days(60), reason="r", by=alice)
        sent()
        Grant.objects.update(valid_until=in_days(1))
        assert only().subject == "Access of Charlie to Team 1 ends soon"

    def test_a_few_days_need_no_reminder(self, team: Team, alice: User, charlie: User) -> None:
        grants.give(user=charlie, team=team, until=in_days(3), reason="r", by=alice)
        assert only().subject == "You have access to Team 1"


class TestWhoIsTold:
    def test_admins_where_nobody_owns_the_team(self, team: Team, charlie: User) -> None:
        make_user("ada", role=User.Role.ADMIN, email="ada@example.com")
        make_user("aud", role=User.Role.AUDITOR, email="aud@example.com")
        asked(charlie, team)
        assert only().to == ["ada@example.com"]

    def test_owners_who_were_switched_off_are_none(self, team: Team, alice: User, charlie: User) -> None:
        make_user("ada", role=User.Role.ADMIN, email="ada@example.com")
        User.objects.filter(pk=alice.pk).update(is_active=False)
        asked(charlie, team)
        assert only().to == ["ada@example.com"]

    @pytest.mark.parametrize(
        "address", ["", "nobody", "a@b\nBcc: eve@example.com", "a@example.com, eve@example.com", "ä@example.com"]
    )
    def test_an_unusable_address_keeps_nobody_else_from_hearing(
        self, team: Team, alice: User, charlie: User, address: str
    ) -> None:
        TeamOwner.objects.create(team=team, user=make_user("odd", email=address))
        User.objects.filter(pk=charlie.pk).update(email=address)
        requests.refuse(request=asked(charlie, team), by=alice, reason="r")
        asked(charlie, team)
        assert [message.recipients() for message in sent()] == [["alice@example.com"]]
        assert sent() == []

    def test_names_cannot_add_headers_or_lines(self, team: Team, alice: User, charlie: User) -> None:
        Team.objects.update(name="Team\r\nBcc: eve@example.com")
        User.objects.filter(pk=charlie.pk).update(name="Charlie\nSubject: Pay now\n\nPay")
        asked(charlie, team)
        message = only()
        assert message.subject == "Charlie Subject: Pay now Pay asks to join Team Bcc: eve@example.com"
        content = message.message()
        assert content["Bcc"] is None
        assert content.get_all("Subject") == [message.subject]
        assert "\nPay" not in message.body
        assert message.recipients() == ["alice@example.com"]

    def test_words_are_not_markup(self, team: Team, alice: User, charlie: User) -> None:
        asked(charlie, team, reason="R&D <urgent> “quoted”")
        assert "R&D <urgent> “quoted”" in only().body


class TestWhen:
    def test_a_hint_follows_the_commit(
        self, team: Team, charlie: User, committed: Committed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hints: list[str] = []
        monkeypatch.setattr(queue, "enqueue", lambda task, *args, **options: hints.append(task))
        with committed():
            asked(charlie, team)
            assert hints == []
        assert hints == ["portal.tasks.send_mail"]

    def test_without_mail_nothing_is_sent_or_hinted(
        self,
        team: Team,
        alice: User,
        charlie: User,
        committed: Committed,
        settings: Settings,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        settings.MAIL_IS_ON = False
        hints: list[str] = []
        monkeypatch.setattr(queue, "enqueue", lambda task, *args, **options: hints.append(task))
        with committed():
            asked(charlie, team)
        assert (hints, sent()) == ([], [])
        settings.MAIL_IS_ON = True
        assert len(sent()) == 1

    def test_old_news_are_not_told(self, team: Team, alice: User, charlie: User) -> None:
        asked(charlie, team)
        AccessRequest.objects.update(asked_at=in_days(-4))
        assert sent() == []

    def test_two_workers_send_once(self, team: Team, alice: User, charlie: User) -> None:
        request = asked(charlie, team)
        kind = letters.KINDS[0]
        (row,) = kind.due(timezone.now())
        # The other one read the row at the same moment, and was faster.
        sent()
        AccessRequest.objects.update(owners_told_at=None)
        assert not mail._send_claimed(kind, row)
        assert outgoing.outbox == []
        request.refresh_from_db()
        assert request.owners_told_at is None

    def test_what_a_dying_worker_had_claimed_is_sent_later(
        self, team: Team, alice: User, charlie: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def die(message: EmailMessage) -> None:
            raise KeyboardInterrupt

        asked(charlie, team)
        with monkeypatch.context() as patched:
            patched.setattr(mail, "deliver", die)
            with pytest.raises(KeyboardInterrupt):
                sent()
        assert sent() == []
        later()
        assert len(sent()) == 1

    def test_news_that_come_while_a_mail_is_under_way_are_told_too(
        self, team: Team, alice: User, charlie: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        grants.give(user=charlie, team=team, until=in_days(30), reason="First", by=alice)
        deliver = mail.deliver

        def meanwhile(message: EmailMessage) -> None:
            deliver(message)
            if "First" in message.body:
                grants.give(user=charlie, team=team, until=in_days(60), reason="Second", by=alice)

        monkeypatch.setattr(mail, "deliver", meanwhile)
        bodies = [message.body for message in [*sent(), *sent()]]
        assert ["First" in body for body in bodies] == [True, False]
        assert "Second" in bodies[1]


class TestServer:
    def test_it_arrives(self, team: Team, alice: User, charlie: User, smtp: SmtpServer) -> None:
        asked(charlie, team, reason="Für den Laden")
        tasks.send_mail()
        (mail_,) = smtp.mails
        assert mail_.recipients == ["alice@example.com"]
        assert mail_.content["To"] == "alice@example.com"
        body = mail_.content.get_payload(decode=True)
        assert isinstance(body, bytes)
        assert "Für den Laden" in body.decode()

    @pytest.mark.parametrize("trouble", ["hangs up", "451 data", "no server", "451 recipient"])
    def test_a_server_that_fails_is_asked_again(
        self, team: Team, alice: User, charlie: User, smtp: SmtpServer, settings: Settings, trouble: str
    ) -> None:
        request = asked(charlie, team)
        smtp.behaves.hangs_up = trouble == "hangs up"
        smtp.behaves.data = "451 later" if trouble == "451 data" else ""
        smtp.behaves.recipients = {"alice@example.com": "451 later"} if trouble == "451 recipient" else {}
        if trouble == "no server":
            settings.EMAIL_PORT = 1
        tasks.send_mail()
        request.refresh_from_db()
        assert (smtp.mails, request.owners_told_at) == ([], None)

        smtp.behaves.hangs_up, smtp.behaves.data, smtp.behaves.recipients = False, "", {}
        settings.EMAIL_PORT = smtp.port
        tasks.send_mail()
        assert smtp.mails == [], "not before the pause is over"
        later()
        tasks.send_mail()
        assert len(smtp.mails) == 1
        later()
        tasks.send_mail()
        assert len(smtp.mails) == 1

    def test_a_server_that_does_not_work_is_asked_once_a_sweep(self, team: Team, alice: User, smtp: SmtpServer) -> None:
        for _ in range(3):
            asked(make_user(), team)
        smtp.behaves.hangs_up = True
        tasks.send_mail()
        assert smtp.connections == 1
        assert AccessRequest.objects.filter(owners_told_at=None).count() == 3

    @pytest.mark.parametrize("answer", ["550 no such user", "451 mailbox busy"])
    def test_one_bad_address_does_not_keep_others_from_hearing(
        self, team: Team, alice: User, charlie: User, smtp: SmtpServer, answer: str
    ) -> None:
        TeamOwner.objects.create(team=team, user=make_user("bad", email="bad@example.com"))
        grants.give(user=make_user("gone", email="bad@example.com"), team=team, until=in_days(30), reason="r", by=alice)
        grants.give(user=charlie, team=team, until=in_days(30), reason="r", by=alice)
        asked(make_user(), team)
        smtp.behaves.recipients = {"bad@example.com": answer}
        tasks.send_mail()
        assert [each.recipients for each in smtp.mails] == [["alice@example.com"], ["charlie@example.com"]]
        # What will never be taken is not tried again.
        assert Grant.objects.filter(person_told_at=None).count() == (0 if answer.startswith("5") else 1)

    def test_the_log_tells_no_address_and_no_words(
        self, team: Team, alice: User, charlie: User, smtp: SmtpServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        asked(charlie, team)
        smtp.behaves.recipients = {"alice@example.com": "550 alice@example.com is unknown"}
        tasks.send_mail()
        assert "550" in caplog.text
        assert "alice" not in caplog.text
        assert "launch" not in caplog.text
