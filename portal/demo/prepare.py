"""`python -m portal.demo.prepare`: brings the demo's database up to date and, the first time, fills it."""

import io
import os
from pathlib import Path

import django
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor

DATA = Path(__file__).parent / "teams.json"
PRICES = Path(__file__).parents[2] / "deploy" / "prices.example.csv"
# What the apps of one person in a team may cost in a month, and after how many idle hours they are stopped.
PERSON_BUDGET = 50
IDLE_HOURS = 8

# SAML id → name, description, group of the identity provider whose members are in the team.
TEAMS = {
    "Team1": ("Team 1", "Forecasting: demand and stock models.", "team-1-scientists"),
    "Team2": ("Team 2", "Language: search and summaries.", "team-2-scientists"),
}


# A team that nobody is in by an assertion: the directory's group puts people in, and others may ask its owner.
TEAM_3 = ("Team 3", "Vision: images and video.", "team-3-scientists")
OWNER_OF_TEAM_3 = ("user2", "User 2", "user2@example.com")


def main() -> None:
    """Apply what migrations there are, and load the demo's teams into a database that has none."""
    django.setup()
    if applied := _migrate():
        print(f"{applied} migrations applied")
    from teams.models import Team

    if not Team.objects.exists():
        _load()
        print(f"{len(TEAMS) + 1} teams loaded")


def _migrate() -> int:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        call_command("migrate", interactive=False, verbosity=0)
    return len(plan)


def _load() -> None:
    from teams import audit, memberships
    from teams.models import AuditEvent, AwsAccount, Domain, RoleMapping, Team

    with transaction.atomic(), audit.context(actor="system: demo data"):
        call_command("loadteams", str(DATA), stdout=io.StringIO())
        AwsAccount.objects.update(name="Demo account")
        Domain.objects.update(name="Demo domain")
        for saml_id, (name, description, group) in TEAMS.items():
            team = Team.objects.get(saml_id=saml_id)
            team.name, team.description = name, description
            team.save(update_fields=["name", "description"])
            mapping = RoleMapping.objects.create(group=group, source="saml", team=team)
            audit.record(AuditEvent.Action.IMPORTED, target=f"role mapping: {mapping}", team=team.slug)
        _load_directory()
        _load_rules()
        memberships.remap()


def _load_rules() -> None:
    """Give apps their prices, and the first team a budget for each person and a rule for idle apps."""
    from teams.models import CleanupRule, Team

    call_command("loadprices", str(PRICES), stdout=io.StringIO())
    team = Team.objects.get(saml_id="Team1")
    team.person_budget = PERSON_BUDGET
    team.save(update_fields=["person_budget"])
    CleanupRule.objects.create(team=team, idle_hours=IDLE_HOURS)


def _load_directory() -> None:
    """Make the directory, whose events come by a queue of the stand-in, and the team that it puts people in."""
    from django.conf import settings

    from portal.demo.aws.seed import ACCOUNT, EVENT_QUEUE, IDENTITY_STORE
    from provisioning.models import Directory
    from teams import audit, users
    from teams.models import AuditEvent, AwsAccount, RoleMapping, Team, TeamOwner

    name, description, group = TEAM_3
    first = Team.objects.get(saml_id="Team1")
    team = Team.objects.create(
        slug="team3", saml_id="Team3", name=name, description=description, domain=first.domain,
        execution_role_arn=first.execution_role_arn, is_requestable=True,
    )  # fmt: skip
    directory = Directory.objects.create(
        name="Demo directory",
        slug="demo",
        identity_store_id=IDENTITY_STORE,
        region=settings.AWS_REGION,
        account=AwsAccount.objects.get(account_id=ACCOUNT),
        subject_attribute=Directory.Subject.USER_NAME,
        queue_url=f"{os.environ['AWS_ENDPOINT_URL_SQS']}/{ACCOUNT}/{EVENT_QUEUE}",
    )
    mapping = RoleMapping.objects.create(group=group, source=directory.source, team=team)
    subject, full_name, email = OWNER_OF_TEAM_3
    owner = users.provision(realm=directory.realm, subject=subject, name=full_name, email=email)
    TeamOwner.objects.create(team=team, user=owner)
    for target in (f"team: {team.slug}", f"directory: {directory.slug}", f"role mapping: {mapping}"):
        audit.record(AuditEvent.Action.IMPORTED, target=target, team=team.slug)


if __name__ == "__main__":
    main()
