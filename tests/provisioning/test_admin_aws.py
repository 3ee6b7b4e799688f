"""The pages of policies and of the preflight: who sees them, who has the portal ask AWS, and what they show."""

import json
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import Client, override_settings

from portal import admin_aws
from portal.demo.aws.server import Handle
from provisioning.preflight.results import Level, Result
from teams.models import AuditEvent, TeamTag
from tests.factories import make_account, make_domain, make_mapping, make_team
from tests.teams.admin_clients import EVERYBODY, client_of, inline

EVIL = "<script>alert('x')</script>"
POLICIES, PREFLIGHT = "/admin/policies/", "/admin/preflight/"
PRINCIPAL = "arn:aws:iam::999988887777:role/StudioPortal"

pytestmark = pytest.mark.django_db


@pytest.fixture(name="rows")
def _rows() -> None:
    account = make_account(account_id="444455556666", name="Studio", role_arn="arn:aws:iam::444455556666:role/Portal")
    make_team("team1", domain=make_domain(account))


def status(client: Client, address: str, method: str = "get") -> int:
    """Return the status; 401 where the answer leads to the sign-on page."""
    response = getattr(client, method)(address)
    if response.status_code == 302 and response["Location"].startswith("/admin/login/"):
        return 401
    return int(response.status_code)


@pytest.mark.parametrize("address", [POLICIES, f"{POLICIES}?download=portal-principal", PREFLIGHT])
@pytest.mark.parametrize(("name", "expected"), [*zip(EVERYBODY, (200, 200, 403, 401), strict=True)])
def test_admins_and_auditors_look(rows: None, address: str, name: str, expected: int) -> None:
    assert status(client_of(name), address) == expected


@pytest.mark.parametrize(("name", "expected"), [*zip(EVERYBODY, (302, 403, 403, 401), strict=True)])
def test_only_admins_have_the_portal_ask_aws(aws: Handle, name: str, expected: int) -> None:
    assert status(client_of(name), PREFLIGHT, "post") == expected
    assert bool(aws.calls()) is (name == "alice")


def test_a_foreign_page_cannot_have_it_ask(aws: Handle) -> None:
    alice = Client(enforce_csrf_checks=True)
    alice.cookies = client_of("alice").cookies
    assert alice.post(PREFLIGHT).status_code == 403
    assert not aws.calls()


def test_the_policies_are_not_changed_by_posting(rows: None) -> None:
    assert client_of("alice").post(POLICIES).status_code == 405


def test_both_are_in_the_navigation() -> None:
    page = client_of("bob").get("/admin/").content.decode()
    assert f'href="{POLICIES}"' in page
    assert f'href="{PREFLIGHT}"' in page


class TestPolicies:
    def test_documents_for_what_was_asked(self, rows: None) -> None:
        query = {"principal": PRINCIPAL, "ips": "192.0.2.0/24, 198.51.100.7", "vpces": "vpce-0123456789abcdef0"}
        page = client_of("bob").get(POLICIES, query).content.decode()
        assert "Portal role in Studio: trust" in page
        assert "198.51.100.7/32" in page
        assert "CloudFormation for Studio (444455556666)" in page
        assert "every request that the person" in page
        assert "download=444455556666-portal-role-trust" in page

    def test_a_download_is_the_document(self, rows: None) -> None:
        name = "444455556666-portal-role-trust"
        response = client_of("alice").get(POLICIES, {"principal": PRINCIPAL, "download": name})
        assert response["Content-Disposition"] == f'attachment; filename="{name}.json"'
        assert response["Content-Type"] == "application/json"
        assert "no-store" in response["Cache-Control"]
        assert json.loads(response.content)["Statement"][0]["Principal"] == {"AWS": PRINCIPAL}

    @pytest.mark.parametrize("name", ["nothing", "../etc/passwd", "444455556666-portal-role-trust"])
    def test_what_is_not_there_cannot_be_downloaded(self, rows: None, name: str) -> None:
        assert client_of("alice").get(POLICIES, {"download": name}).status_code == 404

    @pytest.mark.parametrize(
        "query", [{"ips": "everywhere"}, {"principal": "*"}, {"account": "000000000000"}, {"vpces": EVIL}]
    )
    def test_nonsense_is_told_and_nothing_written(self, rows: None, query: dict[str, str]) -> None:
        response = client_of("alice").get(POLICIES, query)
        assert response.status_code == 200
        assert "errornote" in response.content.decode()
        assert "<pre" not in response.content.decode()
        assert EVIL not in response.content.decode()

    def test_nothing_yet(self) -> None:
        assert "nothing to allow yet" in client_of("alice").get(POLICIES).content.decode()

    def test_what_people_typed_is_text(self) -> None:
        account = make_account(account_id="444455556666", name=EVIL)
        team = make_team("team1", domain=make_domain(account))
        TeamTag.objects.create(team=team, key="k", value=EVIL)
        make_mapping(EVIL, team, execution_role_arn="arn:aws:iam::{account}:role/{group}")
        response = client_of("alice").get(POLICIES, {"principal": EVIL})
        assert EVIL not in response.content.decode()
        response = client_of("alice").get(POLICIES)
        assert EVIL not in response.content.decode()
        assert "no source has named the group" in response.content.decode()
        assert not inline(response)

    def test_looking_asks_no_aws_and_writes_nothing(self, rows: None, aws: Handle) -> None:
        alice = client_of("alice")
        before = AuditEvent.objects.count()
        alice.get(POLICIES)
        assert not aws.calls()
        assert AuditEvent.objects.count() == before


class TestPreflight:
    def test_everybody_sees_what_aws_said_last(self, rows: None, aws: Handle) -> None:
        assert "has not been asked" in client_of("bob").get(PREFLIGHT).content.decode()
        alice = client_of("alice")
        response = alice.post(PREFLIGHT)
        assert response["Location"] == PREFLIGHT
        for name in ("alice", "bob"):
            page = client_of(name).get(PREFLIGHT).content.decode()
            assert "1 thing is missing" in page
            assert "arn:aws:iam::444455556666:role/Portal cannot be assumed" in page
            assert "Asked by alice" in page
            assert ("Ask AWS now" in page) is (name == "alice")

    def test_the_worst_stands_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = [Result("Group", level, level, f"It is {level}.") for level in Level]
        monkeypatch.setattr("provisioning.preflight.running.run", lambda: found)
        alice = client_of("alice")
        page = alice.post(PREFLIGHT, follow=True).content.decode()
        places = [page.index(f"It is {level}.") for level in (Level.FAIL, Level.WARN, Level.UNKNOWN, Level.OK)]
        assert places == sorted(places)

    def test_what_aws_said_is_text(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("provisioning.preflight.running.run", lambda: [Result(EVIL, EVIL, Level.FAIL, EVIL, EVIL)])
        response: Any = client_of("alice").post(PREFLIGHT, follow=True)
        assert EVIL not in response.content.decode()
        assert not inline(response)

    def test_two_do_not_ask_at_once(self, aws: Handle) -> None:
        cache.set(admin_aws.RUNNING, 1)
        response = client_of("alice").post(PREFLIGHT)
        assert "Somebody else is asking AWS" in response.content.decode()
        assert not aws.calls()

    def test_it_can_be_asked_again_after_a_fault(self, aws: Handle, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken() -> Any:
            raise ZeroDivisionError

        alice = client_of("alice")
        with monkeypatch.context() as patch:
            patch.setattr("provisioning.preflight.running.run", broken)
            with pytest.raises(ZeroDivisionError):
                alice.post(PREFLIGHT)
        assert alice.post(PREFLIGHT).status_code == 302

    def test_without_redis_the_answer_is_shown_at_once(self, aws: Handle) -> None:
        alice = client_of("alice")
        caches = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}
        with override_settings(CACHES=caches, SESSION_ENGINE="django.contrib.sessions.backends.db"):
            response = alice.post(PREFLIGHT)
        assert response.status_code == 200
        assert "Nothing is missing" in response.content.decode()

    def test_it_is_not_audited(self, aws: Handle) -> None:
        alice = client_of("alice")
        before = AuditEvent.objects.count()
        alice.post(PREFLIGHT)
        assert AuditEvent.objects.count() == before
