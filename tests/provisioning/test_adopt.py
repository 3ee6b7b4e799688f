"""Profiles that the portal did not make are taken over on an admin's word, and on nothing else."""

import pytest
from django.test import Client

from provisioning import launch, profiles
from provisioning.aws.studio import Studio
from provisioning.models import Profile
from teams.models import AuditEvent
from tests.factories import make_user, role_arn
from tests.provisioning.conftest import World
from tests.teams.admin_clients import client_of, events, inline

LIST = "/admin/provisioning/profile/"
State = Profile.State
OTHERS = {"managed-by": "studio-portal", "owner": "user2", "Team": "team1", "backup": "nightly"}


@pytest.fixture(name="alice")
def _alice(db: None) -> Client:
    return client_of("alice")


@pytest.fixture(autouse=True)
def _no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provisioning.queue.enqueue", lambda *args, **kwargs: True)


def asked(profile: Profile, **more: object) -> dict[str, object]:
    return {"action": "adopt", "_selected_action": [str(profile.pk)], **more}


def conflict(world: World, **tags: str) -> Profile:
    world.make_foreign(role=role_arn(world.team.domain, "somebody-elses"), tags=tags)
    profile = world.step()
    assert profile.state == State.CONFLICT
    return profile


def test_a_conflict_is_shown_asked_about_and_adopted(world: World, alice: Client) -> None:
    profile = conflict(world, backup="nightly", owner="Terraform")
    page = alice.post(LIST, asked(profile))
    text = page.content.decode()
    assert "owner=Terraform" in text
    assert "somebody-elses" in text
    assert "Take it away" not in text
    assert not inline(page)
    assert world.profile.adopted_by == ""

    alice.post(LIST, asked(profile, confirmed="yes"))
    assert events(action="profile_adopted")[0].actor == "alice"
    profile = world.steps(State.READY)
    assert (profile.managed, profile.adopted_by, profile.form_version) == (True, "alice", 1)
    assert profile.execution_role_arn == world.team.execution_role_arn
    assert world.in_aws.tags == {
        "backup": "nightly", "owner": "user1", "Team": "team1", "managed-by": "studio-portal",
    }  # fmt: skip


def test_one_that_is_used_as_it_is_stays_open_meanwhile(world: World) -> None:
    world.make_foreign()
    world.step()
    assert profiles.adopt(world.profile, by="alice")
    for _ in range(2):
        target = launch.find(world.user, "team1")
        assert target is not None
        assert target.ready
        world.step()
    assert world.profile.managed
    assert world.in_aws.tags["owner"] == "user1"
    assert not profiles.adopt(world.profile, by="alice")


def test_one_that_somebody_tagged_by_hand_meanwhile_is_ours_too(world: World) -> None:
    world.make_foreign()
    world.step()
    assert profiles.adopt(world.profile, by="alice")
    tags = {"managed-by": "studio-portal", "owner": "user1", "Team": "team1"}
    world.in_aws.tags.update(tags)
    world.step()
    profile = world.steps(State.READY)
    assert (profile.managed, profile.form_version) == (True, 1)


def test_somebody_elses_takes_a_second_word(world: World, alice: Client) -> None:
    profile = conflict(world, **OTHERS)
    assert "Take it away" in alice.post(LIST, asked(profile)).content.decode()
    alice.post(LIST, asked(profile, confirmed="yes"))
    profile = world.step()
    assert (profile.state, profile.adopted_by) == (State.CONFLICT, "")
    assert world.in_aws.tags == OTHERS

    alice.post(LIST, asked(profile, confirmed="yes", takes_over=str(profile.pk)))
    assert world.steps(State.READY).managed
    assert world.in_aws.tags["owner"] == "user1"
    assert AuditEvent.objects.filter(action="profile_adopted").count() == 2


def test_never_one_that_another_row_names(world: World) -> None:
    profile = conflict(world)
    Profile.objects.create(
        user=make_user("user2"), team=world.team, domain=world.team.domain, name="other", arn=profile.arn, due_at=None
    )
    assert profiles.adopt(profile, by="alice", takes_over=True)
    profile = world.step()
    assert profile.state == State.CONFLICT
    assert "another row" in profile.error
    assert not world.aws.calls("AddTags")


@pytest.mark.parametrize("outcome", ["lost", "drop", "ThrottlingException"])
def test_an_answer_that_was_lost(world: World, outcome: str) -> None:
    assert profiles.adopt(conflict(world), by="alice")
    world.aws.personality.fail_next = {"AddTags": [outcome]}
    assert world.steps(State.READY).managed


def test_our_tags_that_cannot_be_seen_yet(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = conflict(world, **OTHERS)
    assert profiles.adopt(profile, by="alice", takes_over=True)
    monkeypatch.setattr(Studio, "list_tags", lambda *_: OTHERS)
    for _ in range(3):
        world.step()
    monkeypatch.undo()
    profile = world.steps(State.READY)
    assert (profile.managed, profile.adopted_by) == (True, "alice")


def test_the_word_is_about_this_profile_and_not_the_next_of_its_name(world: World) -> None:
    assert profiles.adopt(conflict(world), by="alice")
    world.steps(State.READY)
    world.aws.state.forget_profile(world.domain_id, world.profile.name)
    world.make_foreign(role=role_arn(world.team.domain, "somebody-elses"), tags={"owner": "user2"})
    profile = world.step()
    assert (profile.state, profile.adopted_by) == (State.CONFLICT, "")


@pytest.mark.parametrize("name", ["bob", "charlie", "anonymous"])
def test_nobody_else_adopts(world: World, name: str) -> None:
    profile = conflict(world)
    client_of(name).post(LIST, asked(profile, confirmed="yes"))
    assert world.profile.adopted_by == ""
    assert not events(action="profile_adopted")


def test_a_refusal_while_looking_does_not_open_a_conflict(world: World) -> None:
    world.make_foreign(tags={"owner": "user2"})
    profile = world.step()
    assert (profile.state, profile.execution_role_arn) == (State.CONFLICT, world.team.execution_role_arn)
    world.aws.personality.fail_next = {"DescribeUserProfile": ["AccessDeniedException"]}
    assert world.step().state == State.FAILED
