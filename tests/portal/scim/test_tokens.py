"""Who may speak SCIM: clients with a good token, each for its own resources; how tokens are made and revoked."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from portal.scim import tokens
from teams import access
from teams.models import AuditEvent, ScimClient, ScimToken, User
from teams.scrubbing import scrub_text
from tests.factories import make_mapping, make_team
from tests.portal.people import log
from tests.portal.scim.scim_client import GROUP, PATCH, USER, Provider, refusal
from tests.teams.admin_clients import EVERYBODY, client_of

pytestmark = pytest.mark.django_db

LIST = "/admin/teams/scimclient/"


def page_of(row: ScimClient) -> str:
    return f"{LIST}{row.pk}/change/"


def token_in(response: Any) -> str:
    found = re.findall(r"scimtok_[\w-]{40,}", response.content.decode())
    return found[0] if found else ""


class TestBearer:
    @pytest.mark.parametrize(
        "header",
        [
            {},
            {"Authorization": ""},
            {"Authorization": "Bearer"},
            {"Authorization": "Bearer scimtok_wrong"},
            {"Authorization": "Bearer \udcff"},
            {"Authorization": "Basic YWxpY2U6c2VjcmV0"},
        ],
    )
    def test_no_token_or_a_wrong_one(self, okta: Provider, header: dict[str, str]) -> None:
        for method in ("get", "post", "put", "patch", "delete"):
            response = getattr(Client(), method)("/scim/v2/Users", headers=header)
            assert refusal(response) == (401, "")
            assert response["WWW-Authenticate"].startswith("Bearer")
        assert not User.objects.exists()

    def test_another_scheme_with_the_right_token(self, okta: Provider) -> None:
        response = Client().get("/scim/v2/Users", headers={"Authorization": f"Basic {okta.secret}"})
        assert refusal(response) == (401, "")

    @pytest.mark.parametrize(
        "change",
        [
            {"expires_at": timezone.now() - timedelta(seconds=1)},
            {"revoked_at": timezone.now()},
        ],
    )
    def test_an_expired_or_revoked_token(self, okta: Provider, change: dict[str, Any]) -> None:
        ScimToken.objects.update(**change)
        assert refusal(okta.send("GET", "Users")) == (401, "")

    def test_a_client_that_is_switched_off(self, okta: Provider) -> None:
        ScimClient.objects.update(is_active=False)
        assert refusal(okta.send("GET", "Users")) == (401, "")

    def test_refusals_cost_one_query(self, okta: Provider, django_assert_num_queries: Any) -> None:
        for header in ({}, {"Authorization": "Bearer wrong"}):
            with django_assert_num_queries(1):
                Client().get("/scim/v2/Users", headers=header)

    def test_a_session_is_no_token(self, okta: Provider) -> None:
        assert refusal(client_of("alice").get("/scim/v2/Users")) == (401, "")

    def test_two_tokens_are_good_beside_each_other(self, okta: Provider) -> None:
        first, okta.secret = okta.secret, tokens.issue(okta.row, by="alice")
        okta.get("Users")
        tokens.revoke(ScimToken.objects.get(digest=tokens.digest(okta.secret)))
        assert okta.send("GET", "Users").status_code == 401
        okta.secret = first
        okta.get("Users")

    def test_its_use_is_noted_once_a_minute(self, okta: Provider) -> None:
        okta.get("Users")
        first = ScimToken.objects.get().last_used_at
        assert first is not None
        assert ScimClient.objects.get().last_used_at is not None
        okta.get("Users")
        assert ScimToken.objects.get().last_used_at == first
        ScimToken.objects.update(last_used_at=first - timedelta(minutes=2))
        okta.get("Users")
        assert ScimToken.objects.filter(last_used_at__gte=first).exists()

    def test_no_session_row_is_written(self, okta: Provider) -> None:
        okta.get("Users")
        assert not Session.objects.exists()


class TestOtherClients:
    def test_their_resources_are_not_there(self, okta: Provider) -> None:
        user = okta.make_user("alice")["id"]
        group = okta.make_group("Engineers", user)["id"]
        other = Provider("other")
        for path in (f"Users/{user}", f"Groups/{group}"):
            operation = {"op": "replace", "path": "externalId", "value": "x"}
            kind = USER if path.startswith("Users") else GROUP
            whole = {"schemas": [kind], "userName": "mallory", "displayName": "mallory"}
            assert refusal(other.send("GET", path)) == (404, "")
            assert refusal(other.send("PUT", path, whole)) == (404, "")
            assert refusal(other.send("PATCH", path, {"schemas": [PATCH], "Operations": [operation]})) == (404, "")
            assert refusal(other.send("DELETE", path)) == (404, "")
        assert other.get("Users")["totalResults"] == other.get("Groups")["totalResults"] == 0
        assert other.found("Groups", f'members[value eq "{user}"]') == []
        assert okta.get(f"Users/{user}")["userName"] == "alice"

    def test_their_users_join_no_group_of_mine(self, okta: Provider) -> None:
        user = okta.make_user("alice")["id"]
        make_mapping("Engineers", make_team("team1"))
        other = Provider("other")
        group = other.make_group("Engineers", user)["id"]
        assert "members" not in other.get(f"Groups/{group}")
        other.patch(f"Groups/{group}", {"op": "add", "path": "members", "value": [{"value": user}]})
        assert access.for_user(User.objects.get(subject="alice")) == []

    def test_two_clients_may_push_the_same_person(self, okta: Provider) -> None:
        okta.make_user("alice")
        Provider("other").make_user("alice")
        assert User.objects.filter(subject="alice").count() == 1


class TestAdmin:
    def test_a_token_is_shown_once_and_kept_nowhere(self, okta: Provider) -> None:
        alice = client_of("alice")
        response = alice.post(page_of(okta.row), {"_make_token": "1", "days": "30"})
        secret = token_in(response)
        assert secret
        assert "no-store" in response["Cache-Control"]
        okta.secret = secret
        okta.get("Users")
        token = ScimToken.objects.get(digest=tokens.digest(secret))
        assert token.created_by == "alice"
        assert token.expires_at is not None
        assert timedelta(days=29) < token.expires_at - timezone.now() < timedelta(days=31)
        assert not token_in(alice.get(page_of(okta.row)))
        assert secret not in str([list(model.objects.values()) for model in (AuditEvent, ScimToken, Session)])
        event = log(action="token_created")[-1]
        assert (event.actor, event.target, event.data["begins with"]) == ("alice", "SCIM client: okta", secret[8:12])

    def test_a_token_may_last_for_ever(self, okta: Provider) -> None:
        assert token_in(client_of("alice").post(page_of(okta.row), {"_make_token": "1", "days": ""}))
        assert not ScimToken.objects.exclude(expires_at=None).exists()

    @pytest.mark.parametrize("days", ["0", "-1", "3651", "x", "9" * 400])
    def test_a_wrong_number_of_days_makes_none(self, okta: Provider, days: str) -> None:
        response = client_of("alice").post(page_of(okta.row), {"_make_token": "1", "days": days})
        assert response.status_code == 302
        assert ScimToken.objects.count() == 1

    def test_a_revoked_token_is_good_no_more(self, okta: Provider) -> None:
        token = ScimToken.objects.get()
        alice = client_of("alice")
        assert alice.post(page_of(okta.row), {"_revoke_token": str(token.pk)}).status_code == 302
        assert refusal(okta.send("GET", "Users")) == (401, "")
        alice.post(page_of(okta.row), {"_revoke_token": str(token.pk)})
        (event,) = log(action="token_revoked")
        assert (event.actor, event.target) == ("alice", "SCIM client: okta")

    def test_tokens_of_another_client_cannot_be_revoked_here(self, okta: Provider) -> None:
        token = Provider("other").row.tokens.get()
        response = client_of("alice").post(page_of(okta.row), {"_revoke_token": str(token.pk)})
        assert response.status_code == 404
        assert client_of("alice").post(page_of(okta.row), {"_revoke_token": "x"}).status_code == 404
        assert not ScimToken.objects.exclude(revoked_at=None).exists()

    @pytest.mark.parametrize("who", [name for name in EVERYBODY if name != "alice"])
    def test_nobody_else_makes_or_revokes(self, okta: Provider, who: str) -> None:
        token = ScimToken.objects.get()
        for button in ({"_make_token": "1"}, {"_revoke_token": str(token.pk)}, {"name": "mine"}):
            response = client_of(who).post(page_of(okta.row), button)
            assert response.status_code in {302, 403}
            assert not token_in(response)
        assert ScimToken.objects.filter(revoked_at=None).count() == ScimToken.objects.count() == 1
        assert ScimClient.objects.get().name == "Okta"

    def test_auditors_read(self, okta: Provider) -> None:
        okta.make_group("Engineers", okta.make_user("zoe")["id"])
        bob, charlie = client_of("bob"), client_of("charlie")
        page = bob.get(page_of(okta.row))
        assert page.status_code == 200
        assert b"_make_token" not in page.content
        for model, text in (("scimuser", b"zoe"), ("scimgroup", b"Engineers")):
            assert text in bob.get(f"/admin/teams/{model}/").content
            assert charlie.get(f"/admin/teams/{model}/").status_code == 403
        assert charlie.get(page_of(okta.row)).status_code == 403

    def test_a_client_is_made_and_audited(self) -> None:
        fields = {
            "name": "Okta",
            "slug": "okta",
            "realm": "default",
            "subject_attribute": "userName",
            "is_active": "on",
        }
        inline = {"tokens-TOTAL_FORMS": "0", "tokens-INITIAL_FORMS": "0"}
        response = client_of("alice").post(f"{LIST}add/", {**fields, **inline})
        assert response.status_code == 302, response.context["errors"]
        (event,) = log(action="created")
        assert event.target == "SCIM client: okta"
        wrong = client_of("alice").post(f"{LIST}add/", {**fields, **inline, "slug": "two", "realm": "local"})
        assert wrong.status_code == 200
        assert ScimClient.objects.count() == 1

    def test_what_people_are_known_by_stays(self, okta: Provider) -> None:
        alice = client_of("alice")
        assert b'name="realm"' in alice.get(page_of(okta.row)).content
        okta.make_user("zoe")
        page = alice.get(page_of(okta.row)).content
        assert b'name="realm"' not in page
        assert b'name="slug"' not in page
        assert b"/scim/v2" in page

    def test_a_deleted_client_gives_nobody_access(self, okta: Provider) -> None:
        make_mapping("Engineers", make_team("team1"))
        okta.make_group("Engineers", okta.make_user("zoe")["id"])
        zoe = User.objects.get(subject="zoe")
        assert access.for_user(zoe)
        response = client_of("alice").post(f"{LIST}{okta.row.pk}/delete/", {"post": "yes"})
        assert response.status_code == 302
        assert not ScimClient.objects.exists()
        assert access.for_user(zoe) == []


def test_the_log_hides_tokens(okta: Provider) -> None:
    assert okta.secret[8:] not in scrub_text(f"somebody pasted {okta.secret}, in a sentence")
