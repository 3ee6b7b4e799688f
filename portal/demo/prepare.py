"""`python -m portal.demo.prepare`: brings the demo's database up to date and, the first time, fills it."""

import io
from pathlib import Path

import django
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor

DATA = Path(__file__).parent / "teams.json"

# SAML id → name, description, group of the identity provider whose members are in the team.
TEAMS = {
    "Team1": ("Team 1", "Forecasting: demand and stock models.", "team-1-scientists"),
    "Team2": ("Team 2", "Language: search and summaries.", "team-2-scientists"),
}


def main() -> None:
    """Apply what migrations there are, and load the demo's teams into a database that has none."""
    django.setup()
    if applied := _migrate():
        print(f"{applied} migrations applied")
    from teams.models import Team

    if not Team.objects.exists():
        _load()
        print(f"{len(TEAMS)} teams loaded")


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
            mapping = RoleMapping.objects.create(group=group, team=team)
            audit.record(AuditEvent.Action.IMPORTED, target=f"role mapping: {mapping}", team=team.slug)
        memberships.remap()


if __name__ == "__main__":
    main()
