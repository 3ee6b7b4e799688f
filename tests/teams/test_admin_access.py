"""Who may see and do what in the admin."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from teams.models import AuditEvent, Group, Membership, User
from tests.factories import make_mapping, make_team, make_user
from tests.teams.admin_clients import EVERYBODY, LOCAL, client_of, events, inline

pytestmark = pytest.mark.django_db

EDITED = ("awsaccount", "domain", "team", "rolemapping")
READ = ("user", "membership", "group", "auditevent")


def rows() -> dict[str, Any]:
    """One row of every kind."""
    team = make_team("team1")
    mapping, group = make_mapping("people", team), Group.objects.create(source="saml", external_id="people")
    user = make_user()
    return {
        "awsaccount": team.domain.account,
        "domain": team.domain,
        "team": team,
        "rolemapping": mapping,
        "user": user,
        "membership": Membership.objects.create(user=user, team=team, source="saml", group=group, mapping=mapping),
        "group": group,
        "auditevent": AuditEvent.objects.create(action=AuditEvent.Action.SIGN_ON, actor="somebody"),
    }


def address(kind: str, page: str, *args: Any) -> str:
    return reverse(f"admin:teams_{kind}_{page}", args=args)


def answer(client: Client, url: str, data: dict[str, str] | None = None) -> int:
    """Return 302 only for the way to the sign-on page, the status otherwise."""
    response = client.get(url) if data is None else client.post(url, data)
    if response.status_code == 302 and not response["Location"].startswith("/admin/login/"):
        return -302
    return int(response.status_code)


@pytest.mark.parametrize(("name", "expected"), [("alice", 200), ("bob", 200), ("charlie", 403), ("anonymous", 302)])
@pytest.mark.parametrize("kind", [*EDITED, *READ])
def test_lists_and_rows_are_for_admins_and_auditors(kind: str, name: str, expected: int) -> None:
    row = rows()[kind]
    client = client_of(name)
    assert answer(client, address(kind, "changelist")) == expected
    assert answer(client, address(kind, "change", row.pk)) == expected


@pytest.mark.parametrize(("name", "expected"), [("alice", 200), ("bob", 403), ("charlie", 403), ("anonymous", 302)])
@pytest.mark.parametrize("kind", EDITED)
def test_only_admins_add_and_delete(kind: str, name: str, expected: int) -> None:
    row = rows()[kind]
    client = client_of(name)
    assert answer(client, address(kind, "add")) == expected
    assert answer(client, address(kind, "delete", row.pk)) == expected


@pytest.mark.parametrize(("name", "expected"), [("bob", 403), ("charlie", 403), ("anonymous", 302)])
@pytest.mark.parametrize("kind", [*EDITED, "user"])
def test_nobody_else_posts(kind: str, name: str, expected: int) -> None:
    row = rows()[kind]
    before = AuditEvent.objects.count()
    client = client_of(name)
    assert answer(client, address(kind, "change", row.pk), {"name": "changed", "role": "admin"}) == expected
    if kind != "user":
        assert answer(client, address(kind, "add"), {"name": "new"}) == expected
        assert answer(client, address(kind, "delete", row.pk), {"post": "yes"}) == expected
    assert AuditEvent.objects.count() == before
    kept = type(row).objects.get(pk=row.pk)
    assert kept.role == "" if kind == "user" else str(kept) == str(row)


@pytest.mark.parametrize("name", EVERYBODY[1:])
@pytest.mark.parametrize("kind", EDITED)
def test_the_bulk_deletion_is_for_admins(kind: str, name: str) -> None:
    row = rows()[kind]
    data = {"action": "delete_selected", "_selected_action": str(row.pk), "post": "yes"}
    client_of(name).post(address(kind, "changelist"), data)
    assert type(row).objects.filter(pk=row.pk).exists()
    assert not events(action=AuditEvent.Action.DELETED)


@pytest.mark.parametrize("page", ["add", "delete"])
@pytest.mark.parametrize("kind", READ)
def test_not_even_admins_add_or_delete_what_is_to_read(kind: str, page: str) -> None:
    row = rows()[kind]
    args = (row.pk,) if page == "delete" else ()
    client = client_of("alice")
    assert answer(client, address(kind, page, *args)) == 403
    assert answer(client, address(kind, page, *args), {"post": "yes"}) == 403


@pytest.mark.parametrize("kind", ["membership", "group", "auditevent"])
def test_not_even_admins_change_what_is_to_read(kind: str) -> None:
    row = rows()[kind]
    assert answer(client_of("alice"), address(kind, "change", row.pk), {"source": "me", "actor": "me"}) == 403


def test_strangers_get_the_way_to_the_provider() -> None:
    response = Client().get("/admin/", follow=True)
    page = response.content.decode()
    assert response.status_code == 200
    assert 'href="/saml2/login/?next=%2Fadmin%2F"' in page
    assert "Sign on with your company account" in page
    assert 'name="password"' not in page
    assert not inline(response)


def test_strangers_get_the_form_where_passwords_are_switched_on(passwords: None) -> None:
    response = Client().get("/admin/", follow=True)
    page = response.content.decode()
    assert "Sign on with your company account" in page
    assert 'name="password"' in page
    assert not inline(response)


def test_the_provider_brings_people_back_to_the_page_that_they_wanted() -> None:
    page = Client().get("/admin/teams/team/?q=x", follow=True).content.decode()
    assert 'href="/saml2/login/?next=%2Fadmin%2Fteams%2Fteam%2F%3Fq%3Dx"' in page


def test_a_person_without_a_role_is_told_so_and_not_sent_round() -> None:
    client = client_of("charlie")
    for url in ("/admin/", "/admin/login/", "/admin/login/?next=/admin/", "/admin/teams/team/", "/admin/no/such/page/"):
        response = client.get(url)
        assert response.status_code == 403, url
        assert "neither a portal admin nor an auditor" in response.content.decode()
        assert "no-store" in response["Cache-Control"]
        assert not inline(response)


def test_a_person_who_was_switched_off_is_a_stranger() -> None:
    client = client_of("alice")
    User.objects.filter(username="alice").update(is_active=False)
    assert answer(client, "/admin/") == 302


@pytest.fixture(name="passwords")
def _passwords(settings: Settings) -> None:
    """Switch the sign-on by password on."""
    settings.ADMIN_PASSWORD_LOGIN = True
    settings.AUTHENTICATION_BACKENDS = [*settings.AUTHENTICATION_BACKENDS, "django.contrib.auth.backends.ModelBackend"]


def test_a_local_account_signs_on_and_out(passwords: None) -> None:
    user = User.objects.create_superuser("root", "correct horse battery")
    client = Client(REMOTE_ADDR="192.0.2.7")
    wrong = client.post("/admin/login/", {"username": "root", "password": "wrong", "next": "/admin/"})
    assert wrong.status_code == 200
    good = client.post("/admin/login/", {"username": "root", "password": "correct horse battery", "next": "/admin/"})
    assert good["Location"] == "/admin/"
    assert client.get("/admin/").status_code == 200
    assert client.post("/admin/logout/").status_code == 303
    assert answer(client, "/admin/") == 302
    log = events(action__in=[AuditEvent.Action.SIGN_ON, AuditEvent.Action.SIGN_OUT])
    assert [(each.action, each.outcome, each.target) for each in log] == [
        ("sign_on", "refused", "root"), ("sign_on", "success", user.username), ("sign_out", "success", "root")
    ]  # fmt: skip
    assert log[0].address == "192.0.2.7"
    assert "correct horse" not in str([each.__dict__ for each in log])


def test_signing_on_never_leads_to_another_site(passwords: None) -> None:
    User.objects.create_superuser("root", "correct horse battery")
    data = {"username": "root", "password": "correct horse battery", "next": "https://evil.example/"}
    assert Client().post("/admin/login/", data)["Location"] == "/"


def test_the_password_of_a_local_account_can_be_changed(passwords: None) -> None:
    User.objects.create_superuser("root", "correct horse battery")
    client = Client()
    client.login(username="root", password="correct horse battery")
    new = "new staple 99x"
    data = {"old_password": "correct horse battery", "new_password1": new, "new_password2": new}
    assert not inline(client.get("/admin/password_change/"))
    assert client.post("/admin/password_change/", data).status_code == 302
    assert client.login(username="root", password=new)
    assert [each.reason for each in events(action=AuditEvent.Action.CHANGED)] == ["password changed"]


def test_people_of_the_provider_have_no_password_to_change() -> None:
    client = client_of("alice")
    User.objects.filter(username="alice").update(password=make_password(None))
    client.force_login(User.objects.get(username="alice"), backend=LOCAL)
    assert "password_change" not in client.get("/admin/").content.decode()
    assert client.get("/admin/password_change/")["Location"] == "/admin/"


def test_djangos_own_groups_have_no_page() -> None:
    assert client_of("alice").get("/admin/auth/group/").status_code == 404


def test_the_index_groups_the_models_and_tells_how_it_is_going() -> None:
    rows()
    page = client_of("bob").get("/admin/").content.decode()
    headings = [page.index(f">{name}</h2>") for name in ("Teams", "AWS", "People", "Provisioning", "Log")]
    assert headings == sorted(headings)
    assert "<b>1</b> <span>active teams</span>" in page
    assert "<b>1</b> <span>people with access</span>" in page
    assert "Back to the portal" in page
    assert "/add/" not in page


def test_the_index_needs_few_queries(django_assert_max_num_queries: Callable[[int], Any]) -> None:
    rows()
    client = client_of("alice")
    # Person, session, figures, and one for each kind of notice.
    with django_assert_max_num_queries(9):
        client.get("/admin/")


def test_pages_of_djangos_apps_lead_to_the_index() -> None:
    assert client_of("alice").get("/admin/teams/")["Location"] == "/admin/"


@pytest.mark.parametrize(
    "lookup",
    ["password__startswith=pbkdf2", "password=x", "username__regex=(a%2B)%2B$", "memberships__team__name__contains=x"],
)
def test_addresses_cannot_probe_what_pages_do_not_show(lookup: str) -> None:
    assert client_of("bob").get(f"/admin/teams/user/?{lookup}").status_code == 400


@pytest.mark.parametrize("key", ["0", "999999999999999999999999", "abc", "%00", "_5F"])
@pytest.mark.parametrize("kind", [*EDITED, *READ])
def test_unknown_rows_lead_back_to_the_index(kind: str, key: str) -> None:
    response = client_of("alice").get(f"/admin/teams/{kind}/{key}/change/", follow=True)
    assert response.status_code == 200
    assert response.redirect_chain[-1][0] == "/admin/"


def test_the_history_of_a_row_is_its_part_of_the_log() -> None:
    team = rows()["team"]
    response = client_of("bob").get(address("team", "history", team.pk))
    assert response["Location"] == "/admin/teams/auditevent/?target__exact=team%3A+team1"
