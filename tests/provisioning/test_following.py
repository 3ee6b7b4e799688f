"""The page that tells how far a team's profiles follow."""

import pytest

from provisioning import following, profiles
from provisioning.models import Profile
from teams import form_versions
from teams.models import Membership, TeamOwner
from tests.factories import make_user
from tests.provisioning.conftest import World
from tests.teams.admin_clients import client_of, inline

State = Profile.State


@pytest.fixture(name="many")
def _many(world: World) -> World:
    """Six people; two profiles have the form, one failed, one waits, one is used as found, one has no access."""
    people = [make_user(f"p{number}") for number in range(5)]
    for user in people:
        Membership.objects.create(user=user, team=world.team, source="saml")
    profiles.prepare()
    form_versions.raise_form_version([world.team.pk])
    rows = dict(zip("abcdef", Profile.objects.order_by("pk"), strict=True))
    changes: dict[str, dict[str, object]] = {
        "a": {"state": State.READY, "form_version": 2},
        "b": {"state": State.READY, "form_version": 2, "error_code": "X", "error": "about something else"},
        "c": {"state": State.READY, "form_version": 1, "error_code": "AccessDeniedException", "error": "No <tags>."},
        "d": {"state": State.CREATING},
        "e": {"state": State.READY, "managed": False},
        "f": {"state": State.READY, "form_version": 1},
    }
    for name, each in changes.items():
        Profile.objects.filter(pk=rows[name].pk).update(**each)
    Membership.objects.filter(user=rows["f"].user).delete()
    return world


def test_the_numbers(many: World) -> None:
    found = following.read(many.team)
    assert (found.total, found.present, found.failed, found.waiting, found.found) == (4, 2, 1, 1, 1)


def test_the_page_and_the_part_that_moves(many: World) -> None:
    client = client_of("bob")
    page = client.get("/admin/team-form/team1/")
    text = page.content.decode()
    assert "2 of 4 profiles have the present form." in text
    assert "No &lt;tags&gt;." in text
    assert "about something else" not in text
    assert 'hx-get="/admin/team-form/team1/"' in text
    assert not inline(page)
    part = client.get("/admin/team-form/team1/", headers={"HX-Request": "true"}).content.decode()
    assert part.startswith('<div id="following"')
    Profile.objects.update(state=State.READY, form_version=2, error_code="", error="")
    assert "hx-get" not in client.get("/admin/team-form/team1/").content.decode()


def test_a_team_that_is_not_there(many: World) -> None:
    assert client_of("alice").get("/admin/team-form/nothing/").status_code == 404


def test_owners_and_others_may_not_look(many: World) -> None:
    charlie = client_of("charlie")
    TeamOwner.objects.create(team=many.team, user_id=charlie.session["_auth_user_id"])
    assert charlie.get("/admin/team-form/team1/").status_code == 403
    assert client_of("anonymous").get("/admin/team-form/team1/").status_code == 302
