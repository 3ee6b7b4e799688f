"""The admin page of identity providers: who may, what it finds in metadata, and what it says when they are no good."""

import html
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from django.conf import LazySettings
from django.db import connection
from django.test import Client

from portal.demo.idp import Keys, create_keys, metadata
from portal.saml import fetch, providers, upkeep
from teams.models import AuditEvent, IdentityProvider
from tests.factories import make_team
from tests.portal.saml.conftest import ISSUER, SSO
from tests.portal.saml.provider_rows import make_provider, several
from tests.portal.saml.remote import Remote
from tests.teams.admin_clients import EVERYBODY, client_of, errors, events, inline

pytestmark = pytest.mark.django_db

OTHER = "https://other.example.com/saml"
LIST = "/admin/teams/identityprovider/"
ADD = f"{LIST}add/"


@pytest.fixture(name="alice")
def _alice() -> Client:
    return client_of("alice")


@pytest.fixture(name="remote")
def _remote(settings: LazySettings, keys: Keys) -> Iterator[Remote]:
    settings.SAML_METADATA_ALLOW_PRIVATE = True
    remote = Remote(metadata(OTHER, SSO, [keys.certificate_pem]))
    yield remote
    remote.stop()


def form(**fields: str) -> dict[str, str]:
    """Return what a browser sends when nothing but `fields` was filled in."""
    return {"name": "", "flavour": "generic", "is_active": "on", "realm": "default", "metadata_url": ""} | fields


def document(keys: Keys, entity_id: str = OTHER, **more: Any) -> str:
    """Return metadata as somebody pastes them."""
    return metadata(entity_id, SSO, [keys.certificate_pem], **more).decode()


def change(row: IdentityProvider) -> str:
    """Return the address of the page of a row."""
    return f"{LIST}{row.pk}/change/"


ALLOWED: dict[str, dict[str, tuple[int, ...]]] = {
    "list": {"alice": (200,), "bob": (200,)},
    "page": {"alice": (200,), "bob": (200,)},
    "history": {"alice": (302,), "bob": (302,)},
    "add": {"alice": (200,)},
    "delete": {"alice": (200,)},
    "save new": {"alice": (302,)},
    "save": {"alice": (302,)},
    "delete for good": {"alice": (302,)},
}


@pytest.mark.parametrize("who", EVERYBODY)
@pytest.mark.parametrize("what", ALLOWED)
def test_who_may_do_what(who: str, what: str, keys: Keys, metadata_file: object) -> None:
    row = make_provider(ISSUER, keys)
    before = IdentityProvider.objects.values_list("pk", "name").get()
    client = client_of(who)
    requests: dict[str, Callable[[], Any]] = {
        "list": lambda: client.get(LIST),
        "page": lambda: client.get(change(row)),
        "history": lambda: client.get(f"{LIST}{row.pk}/history/"),
        "add": lambda: client.get(ADD),
        "delete": lambda: client.get(f"{LIST}{row.pk}/delete/"),
        "save new": lambda: client.post(ADD, form(metadata_xml=document(keys))),
        "save": lambda: client.post(change(row), form(name="New")),
        "delete for good": lambda: client.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}),
    }

    response = requests[what]()

    if who in ALLOWED[what]:
        assert response.status_code in ALLOWED[what][who]
        assert response.get("Location", "").startswith(("/admin/login", "/saml2/")) is False
        return
    assert response.status_code == 403 or response["Location"].startswith(("/admin/login/", "/saml2/login/"))
    assert list(IdentityProvider.objects.values_list("pk", "name")) == [before]
    assert not events(action__in=["created", "changed", "deleted"])


@pytest.mark.parametrize("who", ["bob", "charlie", "anonymous"])
def test_nobody_else_has_an_address_asked(who: str, remote: Remote, keys: Keys) -> None:
    row = make_provider(OTHER, keys, metadata_url="https://other.example.com/old")
    client = client_of(who)

    client.post(ADD, form(metadata_url=remote.url))
    client.post(change(row), form(metadata_url=remote.url))
    client.post(LIST, {"action": "refresh_now", "_selected_action": str(row.pk)})

    assert remote.asked == 0


def test_an_address_is_not_asked_for_another_site(remote: Remote) -> None:
    client = Client(enforce_csrf_checks=True)
    client.cookies = client_of("alice").cookies

    assert client.post(ADD, form(metadata_url=remote.url)).status_code == 403
    assert remote.asked == 0


def test_pasted_metadata_make_a_provider(alice: Client, keys: Keys) -> None:
    response = alice.post(ADD, form(metadata_xml=document(keys)), follow=True)

    row = IdentityProvider.objects.get()
    assert (row.entity_id, row.name, row.realm, row.seeded) == (OTHER, "other.example.com", "default", False)
    assert (row.allow_unsolicited, row.gives_roles, row.metadata_url) == (False, False, "")
    assert row.refreshed_at
    page = html.unescape(response.content.decode())
    fingerprint = keys.certificate.fingerprint(hashes.SHA256()).hex(":").upper()
    for found in (OTHER, SSO, "HTTP-POST", "HTTP-Redirect", fingerprint, "Compare the fingerprints"):
        assert found in page
    assert f"until {keys.certificate.not_valid_after_utc:%Y-%m-%d}" in page
    assert not inline(response)
    (event,) = events(action="created")
    assert (event.actor, event.target) == ("alice", f"identity provider: {OTHER}")
    assert event.data["after"]["entity_id"] == OTHER
    assert event.data["after"]["metadata"].startswith("SHA-256 ")


def test_an_address_makes_a_provider(alice: Client, remote: Remote) -> None:
    assert alice.post(ADD, form(metadata_url=f" {remote.url} ", name="Theirs")).status_code == 302

    row = IdentityProvider.objects.get()
    assert (row.entity_id, row.name, row.metadata_url) == (OTHER, "Theirs", remote.url)
    assert remote.asked == 1


def test_an_address_is_asked_outside_of_the_transaction(
    alice: Client, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    depth: list[int] = []
    real = fetch.fetch

    def watch(url: str) -> bytes:
        depth.append(len(connection.savepoint_ids))
        return real(url)

    outside = len(connection.savepoint_ids)
    monkeypatch.setattr(fetch, "fetch", watch)
    alice.post(ADD, form(metadata_url=remote.url))

    assert depth == [outside]


def _weak() -> str:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    private = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "weak")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, private.public_key(), 1, now, now + timedelta(days=90))
        .sign(private, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )
    return metadata(OTHER, SSO, [certificate]).decode()


def _past() -> datetime:
    return datetime.now(UTC) - timedelta(days=1)


BAD: dict[str, Callable[[Keys], str]] = {
    "Paste the metadata": lambda keys: "",
    "not well-formed XML": lambda keys: "hello",
    "contain a DTD": lambda keys: f"<!DOCTYPE a>{document(keys).partition('?>')[2]}",
    "describe no SAML 2.0 identity provider": lambda keys: document(keys).replace("IDPSSO", "SPSSO"),
    "describe 2 identity providers: https://a.example.com, https://b.example.com": lambda keys: several(
        *(metadata(name, SSO, [keys.certificate_pem]) for name in ("https://a.example.com", "https://b.example.com"))
    ).decode(),
    "has no signing certificate": lambda keys: document(keys).replace('use="signing"', 'use="encryption"'),
    "certificate in the metadata has expired": lambda keys: document(create_keys("old", expires=_past())),
    "validUntil is in the past": lambda keys: document(keys, valid_until=_past()),
    "at least 2048 bits": lambda keys: _weak(),
    "is here already, as “Theirs”": lambda keys: document(keys, "https://taken.example.com"),
    "larger than 1 MB": lambda keys: document(keys) + "<!--" + "x" * fetch.MAX_BYTES + "-->",
    "has no entity ID": lambda keys: document(keys, " "),
}


@pytest.mark.parametrize("wrong", BAD)
@pytest.mark.parametrize("how", ["pasted", "fetched"])
def test_metadata_that_are_no_good_say_why_at_the_field(
    alice: Client, remote: Remote, keys: Keys, wrong: str, how: str
) -> None:
    make_provider("https://taken.example.com", keys, name="Theirs")
    text = BAD[wrong](keys)
    remote.body = text.encode()
    if how == "fetched" and wrong in {"Paste the metadata", "larger than 1 MB"}:
        remote.body, wrong = b"x" * (fetch.MAX_BYTES + 1), "too much or too slowly"

    fields = {"metadata_xml": text} if how == "pasted" else {"metadata_url": remote.url}
    found = errors(alice.post(ADD, form(name="New", **fields)))

    field = "metadata_xml" if how == "pasted" else "metadata_url"
    assert found.keys() == {field}
    assert wrong in found[field][0]
    assert IdentityProvider.objects.count() == 1
    assert not events(action="created")


def test_of_several_one_is_chosen(alice: Client, keys: Keys, other_keys: Keys) -> None:
    both = several(
        *(metadata(name, SSO, [each.certificate_pem]) for name, each in (("urn:a", keys), (OTHER, other_keys)))
    )
    wrong = errors(alice.post(ADD, form(metadata_xml=both.decode(), chosen="urn:c")))
    assert "urn:c is not in them" in wrong["metadata_xml"][0]

    assert alice.post(ADD, form(metadata_xml=both.decode(), chosen=OTHER)).status_code == 302

    row = IdentityProvider.objects.get()
    assert row.entity_id == OTHER
    assert "urn:a" not in row.metadata


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("http://idp.example.com/", "https://"),
        ("file:///etc/passwd", "https://"),
        ("https://169.254.169.254/latest/", "private network"),
        ("https://2852039166/", "private network"),
        ("https://[::ffff:a9fe:a9fe]/", "private network"),
        ("https://user:hunter2@idp.example.com/", "without user name"),
    ],
)
def test_addresses_inside_are_told_at_the_field(alice: Client, settings: LazySettings, url: str, wrong: str) -> None:
    found = errors(alice.post(ADD, form(metadata_url=url)))

    assert wrong in found["metadata_url"][0]


def test_both_ways_at_once_are_one_too_many(alice: Client, remote: Remote, keys: Keys) -> None:
    found = errors(alice.post(ADD, form(metadata_url=remote.url, metadata_xml=document(keys))))

    assert "not both" in found["metadata_xml"][0]


@pytest.mark.parametrize("realm", ["Partner", "a/b", "", "a b", "ä"])
def test_a_realm_is_a_plain_word(alice: Client, keys: Keys, realm: str) -> None:
    assert "realm" in errors(alice.post(ADD, form(metadata_xml=document(keys), realm=realm)))


def test_one_that_speaks_for_a_team_gives_no_roles(alice: Client, keys: Keys) -> None:
    team = make_team("red")

    response = alice.post(ADD, form(metadata_xml=document(keys), only_team=str(team.pk), gives_roles="on"))

    assert "gives no portal roles" in str(errors(response))


def test_terms_are_saved_and_told(alice: Client, keys: Keys) -> None:
    row = make_provider(OTHER, keys, name="Old", allow_unsolicited=False)
    team = make_team("red")
    fields = {"name": "New", "realm": "partner", "flavour": "entra", "allow_unsolicited": "on"}

    response = alice.post(change(row), form(**fields, only_team=str(team.pk), attribute_user="uid"))

    assert response.status_code == 302
    row.refresh_from_db()
    assert (row.name, row.realm, row.flavour, row.only_team, row.attribute_user) == (
        "New",
        "partner",
        "entra",
        team,
        "uid",
    )
    (event,) = events(action="changed")
    assert event.data["before"]["name"] == "Old"
    assert event.data["after"] == {
        "name": "New",
        "realm": "partner",
        "flavour": "entra",
        "allow_unsolicited": True,
        "only_team": "red",
        "attribute_user": "uid",
    }
    page = alice.get(change(row)).content.decode()
    assert "user: uid" in page
    assert "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups" in page


def test_switching_off_counts_at_once_in_this_process(
    alice: Client, keys: Keys, django_capture_on_commit_callbacks: Any
) -> None:
    row = make_provider(OTHER, keys)
    assert providers.provider_for(OTHER)

    with django_capture_on_commit_callbacks(execute=True):
        alice.post(change(row), form(name="x", is_active=""))

    assert providers.provider_for(OTHER) is None


def test_metadata_are_replaced_by_pasting(alice: Client, keys: Keys, other_keys: Keys) -> None:
    row = make_provider(OTHER, keys)

    assert alice.post(change(row), form(name="x", metadata_xml=document(other_keys))).status_code == 302

    row.refresh_from_db()
    assert row.certificates[0]["sha256"] == other_keys.certificate.fingerprint(hashes.SHA256()).hex()
    (event,) = events(action="changed")
    assert {"metadata", "certificates"} <= set(event.data["after"])


def test_a_provider_stays_who_it_is(alice: Client, keys: Keys, other_keys: Keys) -> None:
    row = make_provider(OTHER, keys)

    found = errors(
        alice.post(change(row), form(name="x", metadata_xml=document(other_keys, "https://new.example.com")))
    )

    assert "metadata of another provider: https://new.example.com" in found["metadata_xml"][0]


def test_an_unchanged_address_is_not_asked_again(alice: Client, remote: Remote, keys: Keys) -> None:
    row = make_provider(OTHER, keys, metadata_url=remote.url)

    assert alice.post(change(row), form(name="x", metadata_url=remote.url)).status_code == 302

    assert remote.asked == 0


def test_a_refresh_meanwhile_is_not_undone(
    alice: Client, remote: Remote, keys: Keys, other_keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = make_provider(OTHER, keys, metadata_url=remote.url)
    remote.body = metadata(OTHER, SSO, [other_keys.certificate_pem])
    from portal.admin import IdentityProviderAdmin

    real = IdentityProviderAdmin.get_object

    def late(self: Any, request: Any, *args: Any, **more: Any) -> Any:
        found = real(self, request, *args, **more)
        IdentityProvider.objects.filter(pk=row.pk, tried_at=row.tried_at).exists() and upkeep.refresh(row.pk)
        return found

    monkeypatch.setattr(IdentityProviderAdmin, "get_object", late)
    alice.post(change(row), form(name="New", metadata_url=remote.url))

    row.refresh_from_db()
    assert row.name == "New"
    assert row.certificates[0]["sha256"] == other_keys.certificate.fingerprint(hashes.SHA256()).hex()


def test_refresh_now(alice: Client, remote: Remote, keys: Keys, other_keys: Keys) -> None:
    row = make_provider(OTHER, keys, metadata_url=remote.url)
    remote.body = metadata(OTHER, SSO, [other_keys.certificate_pem])
    chosen = {"action": "refresh_now", "_selected_action": str(row.pk)}

    assert "refreshed." in alice.post(LIST, chosen, follow=True).content.decode()

    row.refresh_from_db()
    assert row.certificates[0]["sha256"] == other_keys.certificate.fingerprint(hashes.SHA256()).hex()
    assert events(action="metadata_refreshed")[0].actor == "alice"
    remote.status = 500
    assert "answered 500. The last good copy stays." in alice.post(LIST, chosen, follow=True).content.decode()


def test_refresh_now_has_bounds(alice: Client, keys: Keys, remote: Remote) -> None:
    pasted = make_provider(OTHER, keys)
    page = alice.post(LIST, {"action": "refresh_now", "_selected_action": str(pasted.pk)}, follow=True)
    assert "None of these has a metadata URL" in page.content.decode()

    many = [make_provider(f"urn:{number}", keys, metadata_url=remote.url).pk for number in range(6)]
    page = alice.post(LIST, {"action": "refresh_now", "_selected_action": [str(each) for each in many]}, follow=True)
    assert "at most 5" in page.content.decode()
    assert remote.asked == 0


def test_the_environment_stays_in_charge_of_its_own(
    alice: Client, metadata_file: object, other_keys: Keys, remote: Remote
) -> None:
    upkeep.seed()
    row = IdentityProvider.objects.get()
    before = row.metadata
    page = alice.get(change(row)).content.decode()
    assert "SAML_IDP_METADATA, which is in charge" in page
    assert 'name="metadata_xml"' not in page

    more = {"metadata_xml": document(other_keys, ISSUER), "metadata_url": remote.url, "allow_unsolicited": ""}
    assert alice.post(change(row), form(name="Ours", **more)).status_code == 302

    row.refresh_from_db()
    assert (row.name, row.metadata, row.metadata_url, row.allow_unsolicited) == ("Ours", before, "", True)
    assert remote.asked == 0
    assert "is named by SAML_IDP_METADATA" in alice.get(f"{LIST}{row.pk}/delete/").content.decode()
    alice.post(f"{LIST}{row.pk}/delete/", {"post": "yes"})
    alice.post(LIST, {"action": "delete_selected", "_selected_action": str(row.pk), "post": "yes"})
    assert IdentityProvider.objects.exists()


def test_deleting_is_told(alice: Client, keys: Keys) -> None:
    row = make_provider(OTHER, keys)

    assert alice.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}).status_code == 302

    (event,) = events(action="deleted")
    assert event.target == f"identity provider: {OTHER}"
    assert event.data["before"]["entity_id"] == OTHER
    assert AuditEvent.objects.filter(data__icontains="X509").count() == 0


@pytest.mark.parametrize("who", ["alice", "bob"])
def test_pages_obey_the_policy_and_show_text(who: str, keys: Keys, settings: LazySettings) -> None:
    evil = "<script>alert('x')</script>"
    row = make_provider("urn:<script>alert('x')</script>", keys, name=evil, attribute_user=evil, metadata_url=evil)
    IdentityProvider.objects.update(refresh_error=evil)

    for address in (LIST, change(row), f"{LIST}?q=script", "/admin/"):
        response = client_of(who).get(address)
        assert response.status_code == 200
        assert evil not in response.content.decode()
        assert not inline(response)
    page = client_of("bob").get(change(row)).content.decode()
    assert "<textarea" not in page
    assert 'type="submit"' not in page.partition('id="content-main"')[2]


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, "ok"),
        ({"is_active": False}, "inactive"),
        ({"valid_until": datetime(2020, 1, 1, tzinfo=UTC)}, "expired"),
        ({"certificates": [{"sha256": "00", "until": "2020-01-01T00:00:00+00:00"}]}, "expired"),
        ({"refresh_error": "answered 500"}, "not refreshed"),
    ],
)
def test_the_list_says_how_each_stands(alice: Client, keys: Keys, fields: dict[str, Any], state: str) -> None:
    make_provider(OTHER, create_keys("long", expires=datetime.now(UTC) + timedelta(days=300)))
    IdentityProvider.objects.update(**fields)

    assert f'<td class="field-state">{state}</td>' in alice.get(LIST).content.decode()


def test_the_list_tells_of_a_certificate_that_ends_soon(alice: Client) -> None:
    make_provider(OTHER, create_keys("short", expires=datetime.now(UTC) + timedelta(days=29)))

    assert "expires within 30 days" in alice.get(LIST).content.decode()


def test_a_name_is_not_taken_away(alice: Client, keys: Keys) -> None:
    row = make_provider(OTHER, keys)

    assert "name" in errors(alice.post(change(row), form(name=" ")))


def test_the_page_says_what_the_kind_needs(alice: Client, keys: Keys) -> None:
    row = make_provider(OTHER, keys, flavour="auth0")

    assert "signatureAlgorithm to rsa-sha256" in alice.get(change(row)).content.decode()
