"""A used-up quota rings one alarm for the account and Region, and is not hammered."""

import pytest
from django.utils import timezone

from provisioning import profiles
from provisioning.models import Profile, QuotaAlarm
from teams.models import Membership
from tests.factories import make_user
from tests.provisioning.conftest import World
from tests.teams.admin_clients import client_of, events

State = Profile.State
LIST = "/admin/provisioning/quotaalarm/"
NUMBER = 6


@pytest.fixture(name="full")
def _full(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Six profiles are wanted in an account that has room for none."""
    monkeypatch.setattr("provisioning.queue.enqueue", lambda *args, **kwargs: True)
    world.aws.state.accounts[world.aws.state.home_account].max_profiles = 0
    for number in range(NUMBER - 1):
        Membership.objects.create(user=make_user(f"person{number}"), team=world.team, source="saml")
    profiles.prepare()
    return world


def step_all() -> None:
    now = timezone.now()
    Profile.objects.update(due_at=now)
    for profile_id in Profile.objects.order_by("pk").values_list("pk", flat=True):
        profiles.ensure(profile_id)


def test_one_create_for_all_of_them(full: World) -> None:
    for _ in range(3):
        step_all()
    assert len(full.aws.calls("CreateUserProfile")) == 1
    assert set(Profile.objects.values_list("state", "error_code")) == {(State.FAILED, "ResourceLimitExceeded")}
    assert not Profile.objects.filter(due_at__lt=QuotaAlarm.objects.get().retry_at).exists()
    # What is known to be missing need not be looked for while there is no room for it.
    assert len(full.aws.calls("DescribeUserProfile")) == NUMBER


def test_one_tries_when_its_time_has_come(full: World) -> None:
    step_all()
    QuotaAlarm.objects.update(retry_at=timezone.now())
    step_all()
    assert len(full.aws.calls("CreateUserProfile")) == 2
    full.aws.state.accounts[full.aws.state.home_account].max_profiles = 100
    QuotaAlarm.objects.update(retry_at=timezone.now())
    step_all()
    assert not QuotaAlarm.objects.exists()
    step_all()
    step_all()
    assert set(Profile.objects.values_list("state", "error")) == {(State.READY, "")}


def test_the_first_page_of_the_admin_names_account_region_and_quota(full: World) -> None:
    alice = client_of("alice")
    assert "L-AC46C40F" not in alice.get("/admin/").content.decode()
    step_all()
    page = alice.get("/admin/").content.decode()
    for word in ("L-AC46C40F", full.team.domain.account.account_id, full.team.domain.region):
        assert word in page
    alarm = QuotaAlarm.objects.get()
    page = client_of("bob").get(f"{LIST}{alarm.pk}/change/").content.decode()
    assert "L-AC46C40F" in page
    assert f">{NUMBER}<" in page


@pytest.mark.parametrize("way", ["alarm", "profile"])
def test_an_admins_word_ends_it(full: World, way: str) -> None:
    step_all()
    alice = client_of("alice")
    if way == "alarm":
        alice.post(LIST, {"action": "try_again", "_selected_action": [str(QuotaAlarm.objects.get().pk)]})
    else:
        profile_list = "/admin/provisioning/profile/"
        alice.post(profile_list, {"action": "try_again", "_selected_action": [str(full.profile.pk)]})
    assert not QuotaAlarm.objects.exists()
    assert Profile.objects.filter(due_at__lte=timezone.now()).count() == NUMBER
    assert any("profile quota" in event.target for event in events(actor="alice"))


@pytest.mark.parametrize("name", ["bob", "charlie", "anonymous"])
def test_nobody_else_ends_it(full: World, name: str) -> None:
    step_all()
    client_of(name).post(LIST, {"action": "try_again", "_selected_action": [str(QuotaAlarm.objects.get().pk)]})
    assert QuotaAlarm.objects.exists()


def test_another_region_is_not_concerned(full: World) -> None:
    step_all()
    full.aws.state.accounts[full.aws.state.home_account].max_profiles = 100
    type(full.team.domain).objects.update(region="us-east-1")
    full.aws.state.domains[full.domain_id].region = "us-east-1"
    assert full.steps(State.READY)
    assert QuotaAlarm.objects.exists()
