"""Every vendor's own message through the assertion consumer service: the right person with the right groups."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest
from lxml import etree

from portal.demo.idp import Keys
from portal.saml.causes import Cause
from portal.saml.presets import PRESETS
from teams.models import AuditEvent, GroupMembership, IdentityProvider, Membership, User
from tests.factories import make_mapping, make_team
from tests.portal.saml.conftest import PORTAL, Browser, assert_refused
from tests.portal.saml.flavours import messages
from tests.portal.saml.flavours.messages import Edit, add, attribute, drop

pytestmark = pytest.mark.django_db

SetUp = Callable[..., IdentityProvider]
Bring = Callable[..., object]

GROUPS = "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups"
OVERAGE = "http://schemas.microsoft.com/claims/groups.link"


@dataclass(frozen=True)
class Alice:
    """Who the template of a vendor names."""

    subject: str
    groups: frozenset[str]
    email: str = "alice@example.com"
    name: str = "Alice Adams"


ALICES = {
    "identity-center": Alice(
        "90670c1a2f-8f0a2f3c-55f1-4f0b-9d0c-7f3f0b1f6a11",
        frozenset(
            {"90670c1a2f-1b7f0d5e-0f5b-4c55-8a3e-2d4b0e9d7c01", "90670c1a2f-6c1d9a70-3c0e-4d5c-b2f7-9f1f3a1f4e02"}
        ),
    ),
    "okta": Alice("alice@example.com", frozenset({"studio-team-1", "studio-users"})),
    "entra": Alice(
        "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
        frozenset({"07dd8a60-bf6d-4e17-8844-230b77145381", "3f2504e0-4f89-11d3-9a0c-0305e82c3302"}),
        email="alice.adams@contoso.example",
    ),
    "keycloak": Alice("G-6f6b7f0e-2f5c-4ac1-9a5f-6f3a2b1c0d9e", frozenset({"/team-1", "/research/vision"})),
    "auth0": Alice("auth0|5f7c8ec7c33c6c004bbafe82", frozenset({"team-1", "everyone"})),
}
flavours = pytest.mark.parametrize("flavour", ALICES)


@pytest.fixture
def bring(browser: Browser, keys: Keys) -> Bring:
    """Bring a vendor's answer, edited before it is signed, to the portal and return the portal's."""

    def go(flavour: str, edit: Edit | None = None, *, signed: str = "both", asked: str | None = None) -> object:
        return browser.bring_xml(messages.response(flavour, keys, portal=PORTAL, signed=signed, asked=asked, edit=edit))

    return go


def groups() -> frozenset[str]:
    """What the portal knows of everybody's groups."""
    return frozenset(GroupMembership.objects.values_list("group__external_id", flat=True))


def test_there_is_a_message_of_every_preset() -> None:
    assert set(ALICES) == set(messages.ISSUERS) == set(PRESETS) - {"generic"}


@flavours
@pytest.mark.parametrize("signed", ["response", "assertion", "both"])
def test_alice_signs_on_from_the_vendors_own_portal(set_up: SetUp, bring: Bring, flavour: str, signed: str) -> None:
    set_up(flavour)

    bring(flavour, signed=signed)

    alice, user = ALICES[flavour], User.objects.get()
    assert (user.subject, user.name, user.email) == (alice.subject, alice.name, alice.email)
    assert groups() == alice.groups
    assert AuditEvent.objects.get(action=AuditEvent.Action.SIGN_ON).data["issuer"] == messages.ISSUERS[flavour]


@flavours
def test_alice_signs_on_from_here(set_up: SetUp, browser: Browser, bring: Bring, flavour: str) -> None:
    set_up(flavour, allow_unsolicited=False)

    bring(flavour, asked=browser.ask("/"))

    assert browser.signed_on
    assert User.objects.get().subject == ALICES[flavour].subject


@flavours
def test_a_group_as_the_vendor_sends_it_makes_a_member(set_up: SetUp, bring: Bring, flavour: str) -> None:
    set_up(flavour)
    team = make_team("blue")
    make_mapping(min(ALICES[flavour].groups), team, role="scientist")
    make_mapping("another-group", make_team("green"))

    bring(flavour)

    assert Membership.objects.filter(team__slug__in=["blue", "green"]).get().team == team


@flavours
def test_groups_that_are_not_sent_stay_as_they_were(set_up: SetUp, bring: Bring, flavour: str) -> None:
    set_up(flavour)
    names = PRESETS[flavour].groups
    bring(flavour)

    bring(flavour, lambda assertion: drop(assertion, *names))

    assert groups() == ALICES[flavour].groups


@flavours
def test_an_own_attribute_name_counts_instead_of_the_preset(set_up: SetUp, bring: Bring, flavour: str) -> None:
    set_up(flavour, attribute_groups="departments", attribute_user="employee")

    def edit(assertion: etree._Element) -> None:
        add(assertion, "departments", "physics")
        add(assertion, "employee", "e-4711")

    bring(flavour, edit)

    assert User.objects.get().subject == "e-4711"
    assert groups() == {"physics"}


def test_the_first_name_that_is_there_decides_even_without_a_value(set_up: SetUp, bring: Bring) -> None:
    set_up("entra")

    def edit(assertion: etree._Element) -> None:
        drop(assertion, GROUPS)
        add(assertion, "groups", "second choice")
        add(assertion, GROUPS)

    bring("entra", edit)

    assert groups() == frozenset()
    assert AuditEvent.objects.get(action=AuditEvent.Action.SIGN_ON).data["groups"] == 0


def test_the_name_of_an_attribute_counts_before_the_friendly_name_of_another(set_up: SetUp, bring: Bring) -> None:
    set_up("okta")

    def edit(assertion: etree._Element) -> None:
        add(assertion, "urn:example:nicknames", "admins", FriendlyName="groups")

    bring("okta", edit)

    assert groups() == ALICES["okta"].groups


def test_identity_center_names_the_team(set_up: SetUp, bring: Bring) -> None:
    set_up("identity-center")
    red = make_team("red")

    bring("identity-center")

    assert Membership.objects.get().team == red


def test_applications_of_two_teams_are_one_person_with_both(set_up: SetUp, browser: Browser, keys: Keys) -> None:
    red, blue = make_team("red"), make_team("blue")
    set_up("identity-center", only_team=red)
    second = f"{messages.ISSUERS['identity-center']}second"
    metadata = messages.metadata("identity-center", keys).decode()
    set_up(
        "identity-center",
        name="Blue",
        entity_id=second,
        metadata=metadata.replace(messages.ISSUERS["identity-center"], second),
        only_team=blue,
    )

    def edit(assertion: etree._Element) -> None:
        # It names the other team, too, which it must not speak for.
        drop(assertion, "teamid")
        add(assertion, "teamid", "blue-id", "red-id")

    browser.bring_xml(messages.response("identity-center", keys, portal=PORTAL, issuer=second, edit=edit))
    assert Membership.objects.get().team == blue

    browser.bring_xml(messages.response("identity-center", keys, portal=PORTAL))
    assert set(Membership.objects.values_list("team", "user__subject")) == {
        (red.pk, ALICES["identity-center"].subject),
        (blue.pk, ALICES["identity-center"].subject),
    }


def test_the_start_address_of_the_second_teams_application_works_for_whoever_is_signed_on(
    set_up: SetUp, browser: Browser, bring: Bring
) -> None:
    set_up("identity-center")
    bring("identity-center")

    issuer = messages.ISSUERS["identity-center"]
    started = browser.client.get("/saml2/login/", {"idp": issuer, "next": "/t/red/"})
    assert started["Location"].startswith(f"{issuer}?SAMLRequest=")

    assert browser.client.get("/saml2/login/", {"next": "/t/red/"})["Location"] == "/t/red/"


def test_identity_center_without_mapped_attributes_names_people_by_the_subject(
    set_up: SetUp, browser: Browser, bring: Bring
) -> None:
    set_up("identity-center")

    def empty(assertion: etree._Element) -> None:
        drop(assertion, "ssouserid", "teamid", "email", "name", "groups")
        statement = assertion.find(f"{messages.ASSERTION}AttributeStatement")
        assert statement is not None
        assert len(statement) == 0

    bring("identity-center", empty)

    assert browser.signed_on
    user = User.objects.get()
    assert (user.subject, user.name, user.email) == ("alice@example.com", "", "")
    assert groups() == frozenset()
    assert AuditEvent.objects.get(action=AuditEvent.Action.SIGN_ON).data["groups"] is None


def test_entra_says_that_the_groups_are_too_many(set_up: SetUp, bring: Bring) -> None:
    set_up("entra")
    bring("entra")

    def overage(assertion: etree._Element) -> None:
        attribute(assertion, GROUPS).set("Name", OVERAGE)
        attribute(assertion, OVERAGE)[0].text = "https://graph.windows.net/8286/users/3f25/getMemberObjects"

    bring("entra", overage)

    assert groups() == ALICES["entra"].groups
    assert AuditEvent.objects.filter(action=AuditEvent.Action.SIGN_ON).latest("pk").data["groups"] is None


def test_entra_says_that_the_groups_are_too_many_and_sends_other_groups(set_up: SetUp, bring: Bring) -> None:
    set_up("entra")

    def overage(assertion: etree._Element) -> None:
        # Microsoft's own documentation has the name with a blank in front.
        add(assertion, f" {OVERAGE}", "https://graph.windows.net/8286/users/3f25/getMemberObjects")

    bring("entra", overage)

    assert groups() == frozenset()


def test_entra_may_send_names_formats_and_long_fractions(set_up: SetUp, bring: Bring) -> None:
    set_up("entra")

    def edit(assertion: etree._Element) -> None:
        assertion.set("IssueInstant", assertion.get("IssueInstant", "").replace("Z", "9884Z"))
        attribute(assertion, GROUPS).set("NameFormat", "urn:oasis:names:tc:SAML:2.0:attrname-format:uri")
        attribute(assertion, GROUPS)[0].text = "Data Science"
        attribute(assertion, GROUPS)[1].text = "Research & Development"

    bring("entra", edit)

    assert groups() == {"Data Science", "Research & Development"}


def test_entra_renames_somebody_who_stays_the_same_person(set_up: SetUp, bring: Bring) -> None:
    set_up("entra")
    bring("entra")

    def renamed(assertion: etree._Element) -> None:
        name_id = next(assertion.iter(f"{messages.ASSERTION}NameID"))
        name_id.text = "alice.brown@contoso.example"

    bring("entra", renamed)

    assert User.objects.get().subject == ALICES["entra"].subject


def test_keycloak_sends_plain_names_one_attribute_for_each_group(set_up: SetUp, bring: Bring) -> None:
    set_up("keycloak")
    team = make_team("blue")
    make_mapping("team-1", team)

    def plain(assertion: etree._Element) -> None:
        drop(assertion, "member")
        add(assertion, "member", "team-1")
        add(assertion, "member", "vision")

    bring("keycloak", plain)

    assert groups() == {"team-1", "vision"}
    assert Membership.objects.get().team == team


def test_keycloak_roles_count_where_no_groups_are_mapped(set_up: SetUp, bring: Bring) -> None:
    set_up("keycloak")
    team = make_team("blue")
    make_mapping("studio-user", team)

    bring("keycloak", partial(_without, "member"))

    assert groups() == {"uma_authorization", "studio-user"}
    assert Membership.objects.get().team == team


def test_auth0_sends_roles_and_the_longer_names(set_up: SetUp, bring: Bring) -> None:
    set_up("auth0")

    def edit(assertion: etree._Element) -> None:
        drop(assertion, "http://schemas.auth0.com/groups")
        add(assertion, "http://schemas.auth0.com/roles", "studio-user")
        add(assertion, "http://schemas.auth0.com/teamid", "red-id")

    red = make_team("red")

    bring("auth0", edit)

    assert groups() == {"studio-user"}
    assert Membership.objects.get().team == red


def test_auth0s_own_default_of_sha1_is_refused(set_up: SetUp, browser: Browser, keys: Keys) -> None:
    set_up("auth0")
    answer = messages.response("auth0", keys, portal=PORTAL, signed="assertion")
    weak = answer.replace(
        b"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", b"http://www.w3.org/2000/09/xmldsig#rsa-sha1"
    )

    assert_refused(browser, browser.bring_xml(weak), Cause.SIGNATURE_ALGORITHM)


@flavours
def test_a_vendors_message_that_was_changed_is_refused(
    set_up: SetUp, browser: Browser, keys: Keys, flavour: str
) -> None:
    set_up(flavour)
    answer = messages.response(flavour, keys, portal=PORTAL)
    group = min(ALICES[flavour].groups).encode()

    assert_refused(browser, browser.bring_xml(answer.replace(group, b"admins")), Cause.SIGNATURE_INVALID)


def _without(name: str, assertion: etree._Element) -> None:
    drop(assertion, name)
