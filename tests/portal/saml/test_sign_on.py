"""Sign-on as it should be: from either side, with every flavour of identity provider."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.sessions.models import Session

from portal.demo.idp import FLAVOURS, Flavour, Response
from portal.saml import registry, upkeep
from teams.models import AuditEvent, GroupMembership, IdentityProvider, Membership, User
from tests.factories import make_mapping, make_team, make_user
from tests.portal.saml.conftest import Browser

pytestmark = pytest.mark.django_db

Answer = Callable[..., Response]


@pytest.mark.parametrize("flavour", FLAVOURS.values(), ids=FLAVOURS)
@pytest.mark.parametrize("sign", ["assertion", "response", "both"])
def test_somebody_signs_on_from_the_identity_provider(
    browser: Browser, answer: Answer, flavour: Flavour, sign: str
) -> None:
    response = browser.bring(answer({"ssouserid": ["alice"], "name": ["Alice"]}, flavour=flavour, sign=sign))

    assert (response.status_code, response["Location"]) == (302, "/")
    assert browser.signed_on
    user = User.objects.get()
    assert (user.realm, user.subject, user.name) == ("default", "alice", "Alice")
    event = AuditEvent.objects.get(action=AuditEvent.Action.SIGN_ON)
    assert (event.actor, event.target, event.outcome) == ("alice", "alice", "success")
    assert event.data["how"] == "started at the identity provider"


def test_somebody_signs_on_from_here_and_ends_where_they_wanted_to_go(browser: Browser, answer: Answer) -> None:
    asked = browser.ask("/teams/red/progress/")

    response = browser.bring(answer(asked=asked))

    assert response["Location"] == "/teams/red/progress/"
    assert AuditEvent.objects.get().data["how"] == "started here"
    assert browser.client.cookies["saml_session"].value == ""


def test_relay_state_is_followed_on_this_site(browser: Browser, answer: Answer) -> None:
    assert browser.bring(answer(), RelayState="/teams/red/progress/?x=1")["Location"] == "/teams/red/progress/?x=1"


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https:evil.example",
        "http://127.0.0.1:8000@evil.example/",
        "http://testserver/",
        "javascript:alert(1)",
        "/\t/evil.example",
        "\x00//evil.example",
        "https://127.0.0.1.evil.example",
        "http:///evil.example",
        "",
        "x" * 5000,
    ],
)
def test_relay_state_never_leads_off_the_site(browser: Browser, answer: Answer, elsewhere: str) -> None:
    assert browser.bring(answer(), RelayState=elsewhere)["Location"] == "/"


def test_groups_and_teams_become_memberships(browser: Browser, answer: Answer) -> None:
    red, blue = make_team("red"), make_team("blue")
    make_mapping("analysts", blue)

    browser.bring(answer({"ssouserid": ["alice"], "teamid": ["red-id", "no-such"], "groups": ["analysts", "idle"]}))

    assert set(Membership.objects.values_list("team", flat=True)) == {red.pk, blue.pk}
    assert set(GroupMembership.objects.values_list("group__external_id", flat=True)) == {"analysts", "idle"}
    assert all(row.valid_until and row.valid_until > datetime.now(UTC) for row in Membership.objects.all())
    event = AuditEvent.objects.get(action=AuditEvent.Action.SIGN_ON)
    assert (event.data["groups"], event.data["teams"]) == (2, ["no-such", "red-id"])


@pytest.mark.parametrize("values", [[], [""], ["  "]], ids=["no value", "empty", "blank"])
def test_a_groups_attribute_without_a_value_says_no_groups(browser: Browser, answer: Answer, values: list[str]) -> None:
    browser.bring(answer({"ssouserid": ["alice"], "groups": ["analysts"]}))

    browser.bring(answer({"ssouserid": ["alice"], "groups": values}))

    assert not GroupMembership.objects.exists()


@pytest.mark.parametrize(
    "attributes",
    [{}, {"http://schemas.microsoft.com/claims/groups.link": ["https://graph.example/me"]}],
    ids=["absent", "too many to list"],
)
def test_groups_that_are_not_said_stay_as_they_were(
    browser: Browser, answer: Answer, attributes: dict[str, list[str]]
) -> None:
    browser.bring(answer({"ssouserid": ["alice"], "groups": ["analysts"]}))

    browser.bring(answer({"ssouserid": ["alice"], **attributes}))

    assert GroupMembership.objects.count() == 1
    assert AuditEvent.objects.filter(action=AuditEvent.Action.SIGN_ON).first().data["groups"] is None  # type: ignore[union-attr]


def test_a_group_that_cannot_be_stored_is_left_out(browser: Browser, answer: Answer) -> None:
    browser.bring(answer({"ssouserid": ["alice"], "groups": ["x" * 257, "good", "bad\u200b"]}))

    assert GroupMembership.objects.get().group.external_id == "good"


@pytest.mark.parametrize(
    ("attributes", "subject"),
    [({"ssouserid": ["alice"]}, "alice"), ({}, "alice@example.com"), ({"ssouserid": ["  alice\n"]}, "alice")],
    ids=["attribute", "NameID", "white space around"],
)
def test_the_subject_is_the_attribute_or_else_the_name_id(
    browser: Browser, answer: Answer, attributes: dict[str, list[str]], subject: str
) -> None:
    browser.bring(answer(attributes))

    assert User.objects.get().subject == subject


def test_an_empty_attribute_statement_or_none_is_accepted(browser: Browser, answer: Answer) -> None:
    browser.bring(answer({}))
    browser.bring(replace(answer(), attributes=None, name_id="bob@example.com"))

    assert set(User.objects.values_list("subject", flat=True)) == {"alice@example.com", "bob@example.com"}


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("email", "a@example.com", "email"),
        ("http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress", "a@example.com", "email"),
        ("urn:oid:0.9.2342.19200300.100.1.3", "a@example.com", "email"),
        ("name", "Alice", "name"),
        ("http://schemas.microsoft.com/identity/claims/displayname", "Alice", "name"),
        ("urn:oid:2.16.840.1.113730.3.1.241", "Alice", "name"),
    ],
)
def test_mail_and_name_are_found_under_their_usual_names(
    browser: Browser, answer: Answer, name: str, value: str, field: str
) -> None:
    browser.bring(answer({"ssouserid": ["alice"], name: [value]}))

    assert getattr(User.objects.get(), field) == value


def test_the_configured_names_are_used(browser: Browser, answer: Answer, settings: LazySettings) -> None:
    settings.SAML_ATTRIBUTE_USER = "uid"
    settings.SAML_ATTRIBUTE_GROUPS = "Role"

    browser.bring(answer({"uid": ["u1"], "ssouserid": ["alice"], "Role": ["r1"], "groups": ["g1"]}))

    assert User.objects.get().subject == "u1"
    assert GroupMembership.objects.get().group.external_id == "r1"


def test_groups_of_the_identity_provider_give_the_portal_role(
    browser: Browser, answer: Answer, settings: LazySettings
) -> None:
    settings.PORTAL_ADMIN_GROUPS = ["portal-admins"]

    browser.bring(answer({"ssouserid": ["alice"], "groups": ["portal-admins"]}))

    assert User.objects.get().role == User.Role.ADMIN


def test_the_session_ends_with_the_identity_providers(browser: Browser, answer: Answer) -> None:
    browser.bring(answer({"ssouserid": ["alice"]}, session_not_on_or_after=datetime.now(UTC) + timedelta(minutes=10)))

    assert 590 <= browser.client.session.get_expiry_age() <= 600


def test_the_session_ends_by_itself_where_the_identity_provider_sets_no_end(
    browser: Browser, answer: Answer, settings: LazySettings
) -> None:
    settings.SESSION_COOKIE_AGE = 3600

    browser.bring(answer())

    assert 3590 <= browser.client.session.get_expiry_age() <= 3600


def test_a_provider_for_one_team_speaks_for_no_other(browser: Browser, answer: Answer, settings: LazySettings) -> None:
    settings.PORTAL_ADMIN_GROUPS = ["analysts"]
    red, blue = make_team("red"), make_team("blue")
    make_mapping("analysts", blue)
    upkeep.seed()
    IdentityProvider.objects.update(only_team=red, gives_roles=False)

    browser.bring(answer({"ssouserid": ["alice"], "teamid": ["red-id", "blue-id"], "groups": ["analysts"]}))

    assert Membership.objects.get().team == red
    assert not GroupMembership.objects.exists()
    assert User.objects.get().role == User.Role.NONE


def test_people_of_another_realm_are_other_people(browser: Browser, answer: Answer) -> None:
    browser.bring(answer())
    upkeep.seed()
    IdentityProvider.objects.update(realm="partner")
    registry.look_soon()

    browser.bring(answer({"ssouserid": ["alice"], "groups": ["g"]}))

    assert set(User.objects.values_list("username", flat=True)) == {"alice", "partner/alice"}
    assert GroupMembership.objects.get().group.source == "saml:partner"


def test_a_refusal_leaves_an_existing_session_alone(browser: Browser, answer: Answer) -> None:
    browser.bring(answer())

    assert browser.bring(answer({"ssouserid": ["bob"]}, audience="https://other.example")).status_code == 403

    assert browser.signed_on
    assert not User.objects.filter(subject="bob").exists()


def test_each_sign_on_gets_a_new_session_key(browser: Browser, answer: Answer) -> None:
    browser.bring(answer())
    first = browser.client.cookies["portal_session"].value

    browser.bring(answer())

    assert browser.client.cookies["portal_session"].value != first
    assert Session.objects.count() == 1


def test_the_next_person_in_this_browser_finds_nothing_of_the_last(browser: Browser, answer: Answer) -> None:
    browser.bring(answer())
    session = browser.client.session
    session["secret"] = "of alice"
    session.save()

    browser.bring(answer({"ssouserid": ["bob"]}))

    assert "secret" not in browser.client.session
    assert AuditEvent.objects.first().actor == "bob"  # type: ignore[union-attr]


def test_somebody_known_is_brought_up_to_date(browser: Browser, answer: Answer) -> None:
    user = make_user("alice", name="Old", email="old@example.com")

    browser.bring(answer({"ssouserid": ["alice"], "name": ["New"]}))

    user.refresh_from_db()
    assert (user.name, user.email) == ("New", "old@example.com")


def test_the_audit_and_the_log_hold_nothing_of_the_assertion(
    browser: Browser, answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    good = answer()
    browser.bring(good)
    browser.bring(good)

    told = caplog.text + "".join(str([row.reason, row.data]) for row in AuditEvent.objects.all())
    assert good.assertion_id not in told
    assert "Assertion" not in told


@pytest.mark.parametrize(("field", "shift"), [("not_before", 170), ("not_on_or_after", -170)])
def test_clocks_may_be_three_minutes_apart(browser: Browser, answer: Answer, field: str, shift: int) -> None:
    fields: dict[str, Any] = {field: datetime.now(UTC) + timedelta(seconds=shift)}

    assert browser.bring(answer(**fields)).status_code == 302


def test_a_signed_on_person_is_not_sent_away_again(browser: Browser, answer: Answer) -> None:
    browser.bring(answer())

    assert browser.client.get("/saml2/login/", {"next": "/teams/red/progress/"})["Location"] == "/teams/red/progress/"
