"""`manage.py reconcile`: what it prints, what it changes, and how it ends."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from provisioning.models import Profile, Reconciliation
from teams.models import User
from tests.factories import make_domain
from tests.provisioning.reconcile.conftest import Compared

pytestmark = pytest.mark.django_db

# What a comparison keeps of itself.
OWN = {"provisioning_reconciliation", "provisioning_reconcileitem", "provisioning_seenprofile"}


@pytest.fixture(name="untidy")
def _untidy(world: Compared, leaver: User) -> Compared:
    """A domain with something of everything."""
    world.add("user2", "user3")
    world.aws.state.forget_profile(world.domain.domain_id, "user2-team1")
    world.in_aws("user3-team1").tags["cost"] = "43"
    world.put("leaver-old", {"managed-by": "studio-portal", "owner": "leaver", "Team": "team1"})
    world.put("by-hand", {})
    return world


def run(*arguments: str) -> str:
    """Run `reconcile` and return what it printed."""
    out = StringIO()
    call_command("reconcile", *arguments, stdout=out, stderr=out)
    return out.getvalue()


def dump() -> dict[str, list[str]]:
    """Every row of every table but those of comparisons and of the audit log."""
    with connection.cursor() as cursor:
        tables = set(connection.introspection.table_names(cursor)) - OWN - {"teams_auditevent"}
        rows = {}
        for table in sorted(tables):
            cursor.execute(f'SELECT t::text FROM "{table}" AS t ORDER BY 1')
            rows[table] = [row for (row,) in cursor.fetchall()]
    return rows


def test_a_dry_run_prints_the_plan_and_changes_nothing(untidy: Compared) -> None:
    before = dump()
    told = run("--dry-run")
    assert dump() == before
    *lines, summary = told.splitlines()
    assert [line.split(" (")[0] for line in lines] == [
        "  by-hand: not ours → nothing, only reported",
        "  user2-team1: missing in AWS → make again",
        "  leaver-old: ours, without a row → retire",
        "  user3-team1: other tags → repair",
    ]
    counts = "1 missing in AWS, 1 other tags, 1 ours, without a row, 1 not ours"
    # Two of ours that are left, and two that the portal has no rows of.
    assert summary == f"{untidy.domain.domain_id}: compared only; 4 profiles in AWS; {counts}."
    reading = ("ListUserProfiles", "DescribeUserProfile", "ListTags")
    assert set(untidy.calls()) <= set(reading)
    assert Reconciliation.objects.get().state == "planned"


def test_without_it_the_repairs_are_begun(untidy: Compared) -> None:
    told = run("--domain", untidy.domain.domain_id)
    assert "user2-team1: missing in AWS → make again" in told
    assert "done; 4 profiles in AWS" in told
    assert untidy.row("user2-team1").state == "wanted"
    assert Profile.objects.get(name="leaver-old").state == "retiring"
    assert {row.actor for row in untidy.audited("reconcile_applied")} == {"system: reconcile command"}


def test_an_unknown_domain_is_refused(world: Compared) -> None:
    unused = make_domain()
    for wanted in ("d-nowhere", unused.domain_id):
        with pytest.raises(CommandError, match=wanted):
            run("--domain", wanted)
    assert not Reconciliation.objects.exists()


def test_what_cannot_be_compared_fails_and_says_why(world: Compared) -> None:
    world.aws.personality.fail_next = {"ListUserProfiles": ["AccessDeniedException"]}
    with pytest.raises(CommandError, match=world.domain.domain_id):
        run()


def test_what_is_held_back_fails(world: Compared) -> None:
    world.aws.state.profiles.clear()
    out = StringIO()
    with pytest.raises(CommandError, match=world.domain.domain_id):
        call_command("reconcile", stdout=out, stderr=out)
    assert "held back" in out.getvalue()
    assert world.row("user1-team1").state == "ready"
