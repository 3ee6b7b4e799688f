"""Comparisons against AWS: what they find and hand on, in bad weather, and when workers die or meet."""

import tracemalloc
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import DataError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from portal.demo.aws.personality import Throttle
from provisioning import profiles, tasks
from provisioning.aws.studio import ProfilePage, Studio
from provisioning.models import Profile, ReconcileItem, Reconciliation, SeenProfile
from provisioning.reconcile import finishing, runs
from provisioning.reconcile.reading import ClaimLost, Reading
from teams.models import CleanupRule, Domain, Membership, User
from tests.factories import make_domain, make_team, make_user
from tests.provisioning.reconcile.conftest import OLD, Compared, State, Trigger

pytestmark = pytest.mark.django_db

OURS = {"managed-by": "studio-portal", "Team": "team1"}


def orphan(owner: str, **tags: str) -> dict[str, str]:
    return OURS | {"owner": owner} | tags


class TestRepairs:
    def test_where_all_agrees_nothing_happens(self, world: Compared) -> None:
        run = world.compare()
        assert (run.state, run.listed, run.looked_at, run.counts) == (State.DONE, 1, 1, {})
        assert not world.audited("reconcile_applied")
        assert not SeenProfile.objects.exists()
        assert world.row("user1-team1").due_at is None

    def test_what_is_missing_is_made_again(self, world: Compared) -> None:
        world.add("user2", "user3")
        world.aws.state.forget_profile(world.domain.domain_id, "user2-team1")
        run = world.compare()
        assert run.state == State.DONE
        assert world.found(run) == [("user2-team1", "missing", "remake")]
        assert world.item(run).state == ReconcileItem.State.APPLIED
        row = world.row("user2-team1")
        assert (row.state, row.due_at is not None) == ("wanted", True)
        (told,) = world.audited("profile_missing")
        assert told.target == "user2-team1"
        profiles.ensure(row.pk)
        assert world.in_aws("user2-team1") is not None

    def test_a_name_in_other_letters_is_the_same(self, world: Compared) -> None:
        profile = world.in_aws("user1-team1")
        profile.name = "User1-Team1"
        assert world.compare().counts == {}

    @pytest.mark.parametrize(
        ("change", "kind"),
        [
            ({"settings": {"ExecutionRole": "arn:aws:iam::111122223333:role/other"}}, "role"),
            ({"status": "Update_Failed"}, "status"),
        ],
    )
    def test_drift_is_repaired_by_a_worker(self, world: Compared, change: dict[str, Any], kind: str) -> None:
        profile = world.in_aws("user1-team1")
        for name, value in change.items():
            setattr(profile, name, value)
        run = world.compare()
        assert kind in run.counts
        world.world.steps("ready")
        world.world.step()
        profile = world.in_aws("user1-team1")
        assert profile.status == "InService"
        assert profile.settings["ExecutionRole"] == world.team.execution_role_arn

    def test_settings_and_tags_make_the_form_due(self, world: Compared) -> None:
        profile = world.in_aws("user1-team1")
        profile.settings["SecurityGroups"] = ["sg-2"]
        profile.tags["cost"] = "43"
        Profile.objects.update(form_version=7)
        run = world.compare()
        assert [kind for _, kind, _ in world.found(run)] == ["settings", "tags"]
        row = world.row("user1-team1")
        assert (row.form_version, row.state, row.due_at is not None) == (0, "ready", True)
        detail = run.items.get(kind="tags").detail
        for _ in range(4):
            Profile.objects.update(due_at=timezone.now())
            profiles.ensure(row.pk)
        assert profile.settings["SecurityGroups"] == ["sg-1"]
        assert profile.tags["cost"] == "42"
        assert world.compare().counts == {}
        assert detail == {"has": {"cost": "43"}, "wanted": {"cost": "42"}}

    def test_what_the_workers_make_of_rules_and_templates_is_no_difference(self, world: Compared) -> None:
        world.team.tags.create(key="who", value="{user} of {team}")
        CleanupRule.objects.create(team=world.team, idle_shutdown_minutes=90)
        assert [kind for _, kind, _ in world.found(world.compare())] == ["settings", "tags"]
        for _ in range(4):
            Profile.objects.update(due_at=timezone.now())
            profiles.ensure(world.row("user1-team1").pk)
        assert world.in_aws("user1-team1").tags["who"] == "user1 of team1"
        assert world.compare().counts == {}

    def test_access_that_ended_unnoticed_is_ended(self, world: Compared) -> None:
        Membership.objects.all().delete()
        run = world.compare()
        assert world.found(run) == [("user1-team1", "no_access", "end")]
        assert world.row("user1-team1").state == "retiring"

    def test_a_profile_of_a_domain_in_sso_mode_is_compared_too(self, world: Compared) -> None:
        Domain.objects.update(auth_mode="SSO")
        world.aws.state.forget_profile(world.domain.domain_id, "user1-team1")
        assert world.compare().counts == {"missing": 1}

    def test_domains_are_told_apart(self, world: Compared) -> None:
        other = make_domain(world.domain.account)
        world.aws.state.add_domain(other.domain_id, account_id=other.account.account_id)
        profile = world.in_aws("user1-team1")
        profile.tags.clear()
        world.aws.state.profiles[other.domain_id, "user1-team1"] = profile
        profile.domain_id = other.domain_id
        make_team("team2", domain=other)
        run, _ = runs.start(other, Trigger.DEMAND)
        assert world.found(world.finish(run)) == [("user1-team1", "foreign", "report")]


class TestStrays:
    def test_an_orphan_is_retired_after_the_grace_period(self, world: Compared, leaver: User) -> None:
        world.put("leaver-old", orphan("leaver"))
        run = world.compare()
        assert world.found(run) == [("leaver-old", "orphan", "retire")]
        row = world.row("leaver-old")
        assert (row.user, row.team, row.domain) == (leaver, world.team, world.domain)
        assert (row.state, row.ended_by, row.managed) == ("retiring", "revoked", True)
        assert row.arn == world.in_aws("leaver-old").arn
        assert row.retire_at is not None
        assert timedelta(days=13) < row.retire_at - timezone.now() < timedelta(days=15)
        profiles.retire(row.pk)
        assert world.in_aws("leaver-old") is not None
        Profile.objects.filter(pk=row.pk).update(retire_at=timezone.now(), due_at=timezone.now())
        for _ in range(4):
            Profile.objects.filter(pk=row.pk).update(due_at=timezone.now())
            profiles.retire(row.pk)
        assert world.row("leaver-old").state == "retired"
        assert world.in_aws("leaver-old") is None

    def test_a_team_that_keeps_profiles_keeps_this_one(self, world: Compared, leaver: User) -> None:
        world.team.keeps_profiles = True
        world.team.save()
        world.put("leaver-team1", orphan("leaver"))
        world.compare()
        assert world.row("leaver-team1").retire_at is None

    def test_what_its_row_takes_for_deleted_is_retired_again(self, world: Compared) -> None:
        Membership.objects.all().delete()
        Profile.objects.update(state="retired", changed_at=timezone.now() - OLD)
        run = world.compare()
        assert world.found(run) == [("user1-team1", "orphan", "retire")]
        assert world.row("user1-team1").state == "retiring"

    @pytest.mark.parametrize(
        ("tags", "reason"),
        [
            (orphan("stranger"), "name nobody"),
            (orphan("leaver", Team="unknown"), "name no team"),
            (orphan(""), "name nobody"),
            (orphan("user1"), "another profile"),
            (orphan("a_b"), "several people"),
            (orphan("member"), "has access"),
        ],
    )
    def test_other_orphans_are_only_reported(
        self, world: Compared, leaver: User, tags: dict[str, str], reason: str
    ) -> None:
        make_user("a#b")
        make_user("a!b")
        Membership.objects.create(user=make_user("member"), team=world.team, source="scim:x")
        world.put("stray", tags)
        run = world.compare()
        item = world.item(run)
        assert (item.kind, item.action, item.state) == ("orphan", "report", "skipped")
        assert reason in item.reason
        assert not Profile.objects.filter(name="stray").exists()

    def test_a_user_name_that_tags_cannot_hold_is_still_found(self, world: Compared) -> None:
        user = make_user("a#b")
        world.put("a-b", orphan("a_b"))
        world.compare()
        assert world.row("a-b").user == user

    def test_what_is_not_ours_is_only_reported(self, world: Compared) -> None:
        before = world.put("by-hand", {"owner": "user1"}).tags.copy()
        run = world.compare()
        item = world.item(run)
        assert (item.kind, item.action, item.state) == ("foreign", "report", "skipped")
        assert world.in_aws("by-hand").tags == before
        assert not world.audited("reconcile_applied")

    def test_access_that_came_meanwhile_keeps_it(self, world: Compared, leaver: User) -> None:
        world.put("leaver-old", orphan("leaver"))
        run = world.compare(dry_run=True)
        Membership.objects.create(user=leaver, team=world.team, source="scim:x")
        finishing.apply_held(run.pk, by="alice")
        assert world.item(world.finish(run)).state == "skipped"
        assert not Profile.objects.filter(user=leaver).exists()

    def test_what_the_database_refuses_keeps_nothing_else_back(
        self, world: Compared, leaver: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(**_: Any) -> bool:
            raise DataError

        monkeypatch.setattr("provisioning.repairs.retire_found", refuse)
        world.put("leaver-old", orphan("leaver"))
        world.in_aws("user1-team1").tags["cost"] = "43"
        run = world.compare()
        assert run.state == State.DONE
        states = {item.name: (item.state, item.outcome) for item in run.items.all()}
        assert states["leaver-old"] == ("failed", "The database refused it: DataError.")
        assert states["user1-team1"][0] == "applied"


class TestBelief:
    def test_a_list_alone_makes_nothing_missing(self, world: Compared) -> None:
        """The list lags behind; the description knows."""
        world.in_aws("user1-team1").hidden_until = timezone.now().timestamp() + 3600
        world.aws.personality.fail_next = {"DescribeUserProfile": []}
        run = world.start()
        token = claim(run)
        page_by_page(run, token, lambda: run.stage == "missing")
        world.in_aws("user1-team1").hidden_until = 0.0
        release(run)
        assert world.finish(run).counts == {}

    @pytest.mark.parametrize(
        "change",
        [
            {"changed_at": timezone.now() + timedelta(days=1)},
            {"claim": uuid.uuid4(), "claimed_until": timezone.now() + timedelta(days=1)},
            {"state": "creating"},
            {"state": "retiring"},
        ],
    )
    def test_a_row_that_changed_since_it_began_is_left_alone(self, world: Compared, change: dict[str, Any]) -> None:
        world.aws.state.forget_profile(world.domain.domain_id, "user1-team1")
        run = world.start()
        Profile.objects.update(**change)
        assert world.finish(run).counts == {}

    def test_a_row_that_changed_after_it_was_planned_is_left_alone(self, world: Compared) -> None:
        world.aws.state.forget_profile(world.domain.domain_id, "user1-team1")
        run = world.compare(dry_run=True)
        Profile.objects.update(changed_at=timezone.now())
        finishing.apply_held(run.pk, by="alice")
        item = world.item(world.finish(run))
        assert (item.state, world.row("user1-team1").state) == ("skipped", "ready")

    def test_what_was_just_made_is_not_missing(self, world: Compared) -> None:
        """As with a consistency lag: neither list nor description know it yet."""
        Profile.objects.update(changed_at=timezone.now() - timedelta(seconds=30))
        world.in_aws("user1-team1").hidden_until = timezone.now().timestamp() + 3600
        assert world.compare().counts == {}

    def test_a_domain_that_suddenly_lists_nothing_is_held(self, world: Compared) -> None:
        world.aws.state.profiles.clear()
        run = world.compare()
        assert (run.state, run.counts) == (State.HELD, {"missing": 1})
        assert world.row("user1-team1").state == "ready"

    @pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFound", "ValidationException"])
    def test_a_domain_that_cannot_be_listed_changes_nothing(self, world: Compared, code: str) -> None:
        world.aws.state.profiles.clear()
        world.aws.personality.fail_next = {"ListUserProfiles": [code]}
        run = world.compare()
        assert (run.state, run.counts) == (State.FAILED, {})
        assert code in run.error
        assert world.row("user1-team1").state == "ready"

    def test_one_profile_that_may_not_be_looked_at_ends_it(self, world: Compared) -> None:
        world.aws.personality.fail_next = {"ListTags": ["AccessDeniedException"]}
        assert world.compare().state == State.FAILED

    def test_a_stranger_that_may_not_be_looked_at_is_reported(self, world: Compared) -> None:
        world.put("by-hand", {}, created=0.0)
        world.aws.personality.fail_next = {"ListTags": ["AccessDeniedException"]}
        run = world.compare()
        assert (run.state, world.found(run)) == (State.DONE, [("by-hand", "foreign", "report")])
        assert "may not look" in world.item(run).reason

    @pytest.mark.parametrize("state", ["conflict", "retired"])
    def test_so_is_one_that_stands_where_a_row_has_none(self, world: Compared, state: str) -> None:
        Profile.objects.update(state=state)
        world.aws.personality.fail_next = {"ListTags": ["AccessDeniedException"]}
        run = world.compare()
        assert (run.state, world.found(run)) == (State.DONE, [("user1-team1", "foreign", "report")])

    def test_pages_in_a_circle_end_it(self, world: Compared, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Studio, "profiles_page", lambda *_: ProfilePage((), "again", "r-1"))
        run = world.compare()
        assert (run.state, "circle" in run.error) == (State.FAILED, True)


PERSONALITIES: dict[str, dict[str, Any]] = {
    "slow": {"slow": 0.02},
    "throttling": {"throttle": Throttle(every=9)},
    "lost answers": {"fail_next": {"ListUserProfiles": ["lost"], "DescribeUserProfile": ["lost", "ok", "drop"]}},
    "failing": {"fail_next": {"*": [500, 503, 500]}},
    "short pages": {"short_pages": True, "seed": 3},
    "old not found": {"old_not_found": True},
}


class TestWeather:
    @pytest.mark.parametrize("name", PERSONALITIES)
    def test_the_same_is_found_in_any(self, world: Compared, leaver: User, name: str) -> None:
        world.add(*(f"person{number}" for number in range(6)))
        world.aws.state.forget_profile(world.domain.domain_id, "person3-team1")
        world.in_aws("person4-team1").tags["cost"] = "43"
        world.put("leaver-old", orphan("leaver"))
        world.put("by-hand", {})
        for field, value in PERSONALITIES[name].items():
            setattr(world.aws.personality, field, value)
        run = world.compare()
        assert run.state == State.DONE
        assert world.found(run) == [
            ("by-hand", "foreign", "report"),
            ("leaver-old", "orphan", "retire"),
            ("person3-team1", "missing", "remake"),
            ("person4-team1", "tags", "repair"),
        ]

    def test_while_aws_is_down_it_waits_and_changes_nothing(self, world: Compared) -> None:
        world.aws.personality.down = True
        run = world.start()
        for _ in range(3):
            Reconciliation.objects.update(due_at=timezone.now())
            runs.step(run.pk)
        run.refresh_from_db()
        assert (run.state, run.attempts, run.listed) == (State.READING, 3, 0)
        assert run.error
        assert run.due_at is not None
        assert run.due_at > timezone.now()
        world.aws.personality.down = False
        run = world.finish(run)
        assert (run.state, run.counts, run.error) == (State.DONE, {}, "")

    def test_after_six_hours_it_gives_up(self, world: Compared) -> None:
        run = world.start()
        Reconciliation.objects.update(started_at=timezone.now() - timedelta(hours=7))
        run.refresh_from_db()
        assert world.finish(run).state == State.FAILED
        assert not SeenProfile.objects.exists()

    def test_a_token_of_old_begins_the_list_again(self, world: Compared) -> None:
        run = world.start()
        Reconciliation.objects.update(token="long-forgotten", pages=3)
        run.refresh_from_db()
        run = world.finish(run)
        assert (run.state, run.listed, run.restarts) == (State.DONE, 1, 1)

    def test_the_own_pace_is_no_failure(self, world: Compared, settings: Settings) -> None:
        settings.SAGEMAKER_CALLS_PER_SECOND = 0.5
        world.add("user2")
        run = world.start()
        runs.step(run.pk)
        run.refresh_from_db()
        assert (run.state, run.attempts, run.error) == (State.READING, 0, "")


def claim(run: Reconciliation) -> uuid.UUID:
    """Claim a comparison as a worker does that is about to die: the claim has run out already."""
    token = uuid.uuid4()
    Reconciliation.objects.filter(pk=run.pk).update(claim=token, claimed_until=timezone.now())
    return token


def release(run: Reconciliation) -> None:
    Reconciliation.objects.filter(pk=run.pk).update(claimed_until=timezone.now() - timedelta(seconds=1))


def page_by_page(run: Reconciliation, token: uuid.UUID, condition: Callable[[], bool]) -> None:
    """Read until the condition holds, one profile at a time."""
    work = Reading(run, token, lambda: True)
    for _ in range(100):
        if condition():
            return
        work.go_on()
    pytest.fail("the condition never came true")


class TestWorkers:
    @pytest.mark.parametrize("after", range(12))
    def test_killed_anywhere_it_is_resumed(self, world: Compared, leaver: User, after: int) -> None:
        world.add("user2", "user3", "user4")
        world.aws.state.forget_profile(world.domain.domain_id, "user2-team1")
        world.in_aws("user3-team1").tags["cost"] = "43"
        world.put("leaver-old", orphan("leaver"))
        world.put("by-hand", {})
        run = world.start()
        work = Reading(run, claim(run), lambda: True)
        for _ in range(after):
            work.go_on()
        calls = len(world.calls("ListTags"))
        release(run)
        run = world.finish(run)
        assert run.counts == {"missing": 1, "tags": 1, "orphan": 1, "foreign": 1}
        assert run.items.count() == 4
        assert run.looked_at == 6
        # Nobody was asked for twice.
        assert len(world.calls("ListTags")) == 5
        assert calls <= 5

    def test_killed_while_applying_it_is_resumed(self, world: Compared, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(finishing, "BATCH", 1)
        world.add("user2", "user3", "user4", "user5")
        for name in ("user2-team1", "user3-team1"):
            world.aws.state.forget_profile(world.domain.domain_id, name)
        run = world.compare(dry_run=True)
        finishing.apply_held(run.pk, by="alice")
        run.refresh_from_db()
        assert not finishing.apply(run, claim(run), lambda: True)
        moments = iter([False, True])
        assert not finishing.apply(run, claim(run), lambda: next(moments))
        monkeypatch.undo()
        assert run.items.filter(state="applied").count() == 1
        release(run)
        run = world.finish(run)
        assert (run.state, run.items.filter(state="applied").count()) == (State.DONE, 2)
        assert len(world.audited("profile_missing")) == 2

    def test_who_lost_the_claim_keeps_nothing(self, world: Compared) -> None:
        run = world.start()
        dead = Reading(
            Reconciliation.objects.select_related("domain__account").get(pk=run.pk), claim(run), lambda: True
        )
        claim(run)
        with pytest.raises(ClaimLost):
            dead.go_on()
        assert not SeenProfile.objects.exists()
        assert world.finish(run).state == State.DONE

    def test_one_step_at_a_time(self, world: Compared) -> None:
        run = world.start()
        Reconciliation.objects.update(claim=uuid.uuid4(), claimed_until=timezone.now() + timedelta(minutes=1))
        assert runs.step(run.pk).state == ""
        assert runs.due(10) == []
        release(run)
        assert runs.due(10) == [run.pk]

    def test_one_comparison_of_a_domain_at_a_time(self, world: Compared) -> None:
        first, is_new = runs.start(world.domain, Trigger.DEMAND)
        second, is_new_too = runs.start(world.domain, Trigger.SCHEDULE)
        assert (first, is_new, is_new_too) == (second, True, False)

    def test_a_plan_that_is_carried_out_is_the_one_under_way(self, world: Compared) -> None:
        world.aws.state.profiles.clear()
        older = world.compare(dry_run=True)
        newer = world.compare(dry_run=True)
        finishing.apply_held(older.pk, by="alice")
        found, is_new = runs.start(world.domain, Trigger.DEMAND, dry_run=True)
        assert (found, is_new, newer.state) == (older, False, State.PLANNED)

    def test_the_sweep_begins_and_hands_out(self, world: Compared, monkeypatch: pytest.MonkeyPatch) -> None:
        hints: list[int] = []
        monkeypatch.setattr(runs, "hint", lambda run_id, **_: hints.append(run_id))
        tasks.sweep_reconciliations()
        assert hints == [Reconciliation.objects.get(trigger=Trigger.SCHEDULE).pk]

    def test_the_task_goes_from_step_to_step(self, world: Compared, monkeypatch: pytest.MonkeyPatch) -> None:
        hints: list[int] = []
        monkeypatch.setattr(runs, "hint", lambda run_id, **_: hints.append(run_id))
        world.aws.state.forget_profile(world.domain.domain_id, "user1-team1")
        world.put("by-hand", {})
        run = world.start()
        tasks.reconcile(run.pk)
        assert hints == [run.pk]
        tasks.reconcile(run.pk)
        run.refresh_from_db()
        assert run.state == State.DONE


class TestLimit:
    @pytest.fixture(name="held")
    def _held(self, world: Compared, monkeypatch: pytest.MonkeyPatch) -> Reconciliation:
        monkeypatch.setattr("provisioning.reconcile.plan.LIMIT_NUMBER", 1)
        world.add("user2", "user3")
        for name in ("user2-team1", "user3-team1"):
            world.aws.state.forget_profile(world.domain.domain_id, name)
        return world.compare()

    def test_beyond_it_nothing_changes(self, world: Compared, held: Reconciliation) -> None:
        assert held.state == State.HELD
        assert "2 made again; at most 1" in held.reason
        assert held.items.count() == 2
        assert world.row("user2-team1").state == "ready"
        (told,) = world.audited("reconcile_held")
        assert told.target == f"domain: {world.domain.domain_id}"
        assert not world.audited("reconcile_applied")

    def test_applied_by_an_admin(self, world: Compared, held: Reconciliation) -> None:
        finishing.apply_held(held.pk, by="alice")
        run = world.finish(held)
        assert (run.state, run.decided_by) == (State.DONE, "alice")
        assert world.row("user2-team1").state == "wanted"
        assert [row.actor for row in world.audited("reconcile_applied")] == ["alice"]
        assert {row.actor for row in world.audited("profile_missing")} == {"alice"}

    def test_thrown_away_by_an_admin(self, world: Compared, held: Reconciliation) -> None:
        finishing.throw_away(held.pk, by="alice")
        held.refresh_from_db()
        assert held.state == State.DISCARDED
        assert world.row("user2-team1").state == "ready"
        assert [row.actor for row in world.audited("reconcile_discarded")] == ["alice"]

    @pytest.mark.parametrize("first", [finishing.apply_held, finishing.throw_away])
    def test_decided_once(self, held: Reconciliation, first: Callable[..., Any]) -> None:
        first(held.pk, by="alice")
        for second in (finishing.apply_held, finishing.throw_away):
            with pytest.raises(finishing.NotHeldError):
                second(held.pk, by="bob")

    def test_a_newer_one_takes_its_place(self, world: Compared, held: Reconciliation) -> None:
        world.settle()
        assert world.compare().state == State.DONE
        held.refresh_from_db()
        assert held.state == State.DISCARDED


class TestSchedule:
    def test_each_domain_with_teams_in_its_time(self, world: Compared, settings: Settings) -> None:
        make_domain()
        others = [make_team().domain for _ in range(3)]
        assert len(runs.start_due()) == runs.BEGIN_AT_ONCE
        assert len(runs.start_due()) == runs.BEGIN_AT_ONCE
        assert runs.start_due() == []
        assert {run.domain_id for run in Reconciliation.objects.all()} == {
            world.domain.pk, *(each.pk for each in others),
        }  # fmt: skip
        Reconciliation.objects.update(state=State.DONE, started_at=timezone.now() - timedelta(hours=5))
        assert runs.start_due() == []
        Reconciliation.objects.filter(domain=world.domain).update(started_at=timezone.now() - timedelta(hours=7))
        assert len(runs.start_due()) == 1
        settings.RECONCILE_HOURS = 0
        Reconciliation.objects.all().delete()
        assert runs.start_due() == []

    def test_every_fourth_looks_at_everything(self, world: Compared) -> None:
        looked = []
        for _ in range(6):
            (run_id,) = runs.start_due()
            run = world.finish(Reconciliation.objects.get(pk=run_id))
            looked.append((run.is_full, run.looked_at))
            Reconciliation.objects.update(started_at=timezone.now() - timedelta(hours=7))
        assert looked == [(True, 1), (False, 0), (False, 0), (False, 0), (True, 1), (False, 0)]

    def test_what_aws_has_changed_is_looked_at_each_time(self, world: Compared) -> None:
        world.compare()
        assert world.compare(is_full=False).looked_at == 0
        world.in_aws("user1-team1").modified += 1
        assert world.compare(is_full=False).looked_at == 1
        assert world.compare(is_full=False).looked_at == 0
        # Another role should be there by now, which AWS cannot know.
        type(world.team).objects.update(execution_role_arn=f"{world.team.execution_role_arn}-2")
        assert world.compare(is_full=False).counts == {"role": 1}

    def test_what_aws_has_changed_a_moment_ago_is_looked_at_again(self, world: Compared) -> None:
        world.in_aws("user1-team1").modified = timezone.now().timestamp()
        world.compare()
        assert world.compare(is_full=False).looked_at == 1

    def test_old_ones_are_purged(self, world: Compared) -> None:
        old, held, new = world.compare(), world.compare(), world.compare()
        Reconciliation.objects.exclude(pk=new.pk).update(finished_at=timezone.now() - timedelta(days=31))
        Reconciliation.objects.filter(pk=held.pk).update(state=State.HELD)
        tasks.purge_reconciliations()
        assert set(Reconciliation.objects.values_list("pk", flat=True)) == {held.pk, new.pk}
        assert old.pk not in {held.pk, new.pk}

    def test_old_reports_are_purged_but_for_the_last(self, world: Compared) -> None:
        world.put("by-hand", {})
        world.in_aws("user1-team1").tags["cost"] = "43"
        old, new = world.compare(), world.compare()
        tasks.purge_reconciliations()
        assert old.items.count() == 2
        Reconciliation.objects.update(finished_at=timezone.now() - timedelta(days=4))
        tasks.purge_reconciliations()
        assert [each.kind for each in old.items.all()] == ["tags"]
        assert new.items.count() == 2


class TestSize:
    def test_memory_stays_within_a_few_pages(self, world: Compared) -> None:
        """What AWS has not changed costs no call; `make bench ARGS=reconcile` does the same with 5,000."""
        world.add(*(f"person{number}" for number in range(699)))
        profile = world.in_aws("user1-team1")
        modified = datetime.fromtimestamp(profile.modified, tz=UTC)
        for each in world.aws.state.profiles.values():
            each.modified = profile.modified
        Profile.objects.update(aws_modified_at=modified)
        world.compare(is_full=False)
        for number in range(20):
            world.aws.state.forget_profile(world.domain.domain_id, f"person{number}-team1")
        bytes_more, queries_made = [], []
        run = world.start(is_full=False)
        work = Reading(run, claim(run), lambda: False)
        tracemalloc.start()
        try:
            while run.stage != "done":
                tracemalloc.reset_peak()
                base, _ = tracemalloc.get_traced_memory()
                with CaptureQueriesContext(connection) as queries:
                    work.go_on()
                bytes_more.append(tracemalloc.get_traced_memory()[1] - base)
                queries_made.append(len(queries))
        finally:
            tracemalloc.stop()
        assert run.counts == {"missing": 20}
        assert len(world.calls("DescribeUserProfile")) == 20
        # Seven pages and as many batches; no piece of work holds more than one of them.
        assert max(bytes_more) < 2_000_000
        assert max(queries_made) < 20
