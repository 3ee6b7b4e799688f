"""Every page of the admin obeys the strict policy, and shows what people typed as text."""

from collections.abc import Iterator

import pytest
from django.test import Client

from teams.models import AuditEvent, AwsAccount, Domain, Membership, RoleMapping, Team, User
from tests.factories import make_account, make_domain, make_mapping, make_team, make_user
from tests.teams.admin_clients import client_of, inline, tags
from tests.teams.sources import say_groups

pytestmark = pytest.mark.django_db

EVIL = "<script>alert('x')</script>"
KINDS = ("awsaccount", "domain", "team", "rolemapping", "user", "membership", "group", "auditevent")


@pytest.fixture(name="alice")
def _alice() -> Client:
    return client_of("alice")


@pytest.fixture(name="evil")
def _evil() -> Team:
    """Rows whose every free text is markup."""
    domain = make_domain(make_account(name=EVIL), name=EVIL)
    team = make_team("evil", domain=domain, name=EVIL, description=EVIL, contact=EVIL, saml_id=EVIL)
    team.tags.create(key="k", value=EVIL)
    make_mapping(EVIL, team, source="")
    say_groups(make_user(EVIL, name=EVIL, email=EVIL), f"{EVIL}={EVIL}")
    AuditEvent.objects.create(action="sign_on", actor=EVIL, target=EVIL, reason=EVIL, data={EVIL: EVIL})
    return team


def addresses() -> Iterator[str]:
    yield from ("/admin/", "/admin/password_change/", "/admin/password_change/done/")
    models = (AwsAccount, Domain, Team, RoleMapping, User, Membership)
    first = {model.__name__.lower(): model.objects.order_by("-pk").values_list("pk", flat=True)[0] for model in models}
    first["auditevent"] = AuditEvent.objects.filter(actor=EVIL).values_list("pk", flat=True)[0]
    for kind in KINDS:
        yield f"/admin/teams/{kind}/"
        yield f"/admin/teams/{kind}/?q=nothing"
        if kind in first:
            yield f"/admin/teams/{kind}/{first[kind]}/change/"
    for kind in KINDS[:4]:
        yield f"/admin/teams/{kind}/add/"
        yield f"/admin/teams/{kind}/add/?_popup=1"
        yield f"/admin/teams/{kind}/{first[kind]}/delete/"


@pytest.mark.usefixtures("evil")
def test_no_page_has_inline_scripts_or_styles_or_markup_from_people(alice: Client) -> None:
    for address in addresses():
        response = alice.get(address)
        assert response.status_code == 200, address
        assert not inline(response), address
        assert EVIL not in response.content.decode(), address
        policy = response["Content-Security-Policy"]
        assert "script-src 'self';" in f"{policy};"
        assert "style-src 'self';" in f"{policy};"
        assert "unsafe" not in policy


def test_answers_to_forms_obey_the_policy_too(alice: Client, evil: Team) -> None:
    form = {"name": EVIL, "slug": EVIL, "user_settings": EVIL, "domain": EVIL}
    chosen = {"_selected_action": str(evil.pk)}
    answers = [
        alice.post("/admin/teams/team/add/", form | tags((EVIL, EVIL))),
        alice.post("/admin/teams/team/", chosen | {"action": "delete_selected"}),
        alice.post("/admin/teams/team/", chosen | {"action": "nonsense"}, follow=True),
        alice.post("/admin/teams/domain/", {"action": "delete_selected", "_selected_action": str(evil.domain_id)}),
        alice.post("/admin/teams/awsaccount/add/", {"name": "A", "account_id": "111122223333", "_popup": "1"}),
        alice.get("/admin/teams/team/0/change/", follow=True),
        alice.get(f"/admin/teams/team/?q={EVIL}"),
    ]
    for response in answers:
        assert response.status_code == 200
        assert not inline(response)
        assert EVIL not in response.content.decode()


def test_the_message_after_saving_escapes_the_name(alice: Client) -> None:
    data = {"name": EVIL, "account_id": "111122223333", "role_arn": "", "external_id": ""}
    page = alice.post("/admin/teams/awsaccount/add/", data, follow=True).content.decode()
    assert "was added successfully" in page
    assert EVIL not in page


def test_pages_are_not_kept_and_not_framed(alice: Client) -> None:
    response = alice.get("/admin/teams/team/")
    assert "no-store" in response["Cache-Control"]
    assert response["X-Frame-Options"] == "DENY"


def test_pages_say_whose_they_are(alice: Client) -> None:
    page = alice.get("/admin/teams/team/").content.decode()
    assert "<title>Teams | Studio Portal admin</title>" in page or "| Studio Portal admin</title>" in page
    assert 'href="/static/portal/admin.css"' in page
    assert "Back to the portal" in page
    assert "theme-toggle" in page
    assert "Django" not in page
