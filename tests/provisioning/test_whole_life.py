"""A profile from the first click to the end and back again, with all that AWS may do, and with workers that die."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from portal.demo.aws.personality import Throttle
from provisioning import launch, profiles
from provisioning.aws.studio import Studio
from provisioning.models import Profile
from teams.form_versions import raise_form_version
from teams.models import Team, TeamTag
from tests.provisioning.conftest import World
from tests.provisioning.test_retire import NOTHING, Studios

State = Profile.State

SETTINGS = {"StudioWebPortal": "ENABLED"}
CHANGES = (
    "CreateUserProfile",
    "UpdateUserProfile",
    "AddTags",
    "DeleteTags",
    "DeleteApp",
    "DeleteSpace",
    "DeleteUserProfile",
)
READS = ("DescribeUserProfile", "ListTags", "ListApps", "ListSpaces")
PERSONALITIES: dict[str, dict[str, Any]] = {
    "plain": {},
    "slow": {"slow": 0.02, "create_delay": 3.0, "update_delay": 3.0, "delete_delay": 3.0},
    "throttling": {"throttle": Throttle(every=9)},
    "failing halfway": {"fail_next": {each: [500, "drop", 503] for each in (*CHANGES, *READS)}},
    "losing answers": {"fail_next": {each: ["lost", "lost"] for each in CHANGES}},
    "eventually consistent": {"consistency_lag": 2.0},
    "short pages": {"short_pages": True},
    "old words": {"old_not_found": True},
}


CALM: dict[str, Any] = {
    "slow": 0.0, "throttle": Throttle(), "fail_next": {}, "consistency_lag": 0.0, "create_delay": 0.0,
}  # fmt: skip


class Killed(BaseException):
    """A worker that dies: no code of ours handles it."""


class Life(Studios):
    """A world whose workers are this process; `deaths` counts those that died."""

    deaths = 0

    def work_until(self, done: Callable[[Profile], bool]) -> Profile:
        """Let every step be due at once, and claims of dead workers be over, until it is done."""
        for _ in range(150):
            if done(self.profile):
                return self.profile
            try:
                self.go()
            except Killed:
                self.deaths += 1
                self.change(claimed_until=timezone.now() - timedelta(seconds=1))
            self.aws.state.clock.advance(1)
        pytest.fail(f"{self.profile.state} for ever: {self.profile.error_code} {self.profile.error}")

    def has_form(self, profile: Profile) -> bool:
        """Whether the row says that AWS has the team's present form."""
        return profile.state == State.READY and profile.form_version == Team.objects.get().form_version

    def change_team(self) -> None:
        """Change settings and tags of the team, as an admin does."""
        Team.objects.update(user_settings=SETTINGS)
        TeamTag.objects.filter(key="old").delete()
        TeamTag.objects.create(team=self.team, key="project", value="{user} of {team}")
        raise_form_version([self.team.pk])
        profiles.look_again([self.team.pk])


@pytest.fixture(name="life")
def _life(make_world: Callable[..., World], db: None) -> Life:
    made = make_world()
    TeamTag.objects.create(team=made.team, key="old", value="1")
    return Life(made.aws, made.team, made.user)


def live(life: Life) -> None:
    """Go through everything once, and see in AWS that it was so."""
    life.work_until(life.has_form)
    target = launch.find(life.user, life.team.slug)
    assert target is not None
    assert target.ready
    assert life.in_aws.tags["old"] == "1"
    life.change_team()
    life.work_until(life.has_form)
    assert life.in_aws.settings["StudioWebPortal"] == "ENABLED"
    tags = life.in_aws.tags
    assert (tags.get("old"), tags["project"], tags["managed-by"]) == (None, "user1 of team1", "studio-portal")
    with calm(life):
        life.settle_in()
    life.revoke()
    life.end_grace()
    life.work_until(lambda profile: profile.state == State.RETIRED)
    assert life.left() == NOTHING
    life.give_back()
    profiles.prepare([life.user.pk])
    life.work_until(life.has_form)
    assert life.in_aws.status == "InService"
    assert len(life.aws.state.all_profiles()) == 1


class calm:  # noqa: N801  (reads as a block of the test)
    """Have AWS behave while somebody else works in it."""

    def __init__(self, life: Life) -> None:
        self.personality = life.aws.personality
        self.kept = {name: getattr(self.personality, name) for name in CALM}

    def __enter__(self) -> None:
        for name, value in CALM.items():
            setattr(self.personality, name, value)

    def __exit__(self, *_: object) -> None:
        for name, value in self.kept.items():
            setattr(self.personality, name, value)


@pytest.mark.parametrize("name", PERSONALITIES)
def test_whatever_aws_is_like(life: Life, name: str) -> None:
    for field, value in PERSONALITIES[name].items():
        setattr(life.aws.personality, field, value)
    live(life)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_worker_dies_at_each_call(life: Life, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Studio._call
    died: set[tuple[str, str]] = set()

    def dying(studio: Studio, operation: str, **request: Any) -> Any:
        # The first time in each state: whoever comes next gets through.
        about = (operation, life.profile.state)
        dies = about not in died
        if dies and moment == "before":
            died.add(about)
            raise Killed
        answer = original(studio, operation, **request)
        if dies:
            died.add(about)
            raise Killed
        return answer

    monkeypatch.setattr(Studio, "_call", dying)
    live(life)
    assert life.deaths == len(died) > 10
    assert life.audited().count("profile_deleted") == 1
