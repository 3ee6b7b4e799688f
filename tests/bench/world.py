"""What the portal under measurement knows."""

from teams import memberships
from tests.bench.messages import GROUPS
from tests.factories import make_domain, make_mapping, make_team

TEAMS = 4


def make_teams() -> None:
    """Make some teams that the people of the messages are in by their groups."""
    domain = make_domain()
    for number, group in enumerate(GROUPS[:TEAMS]):
        make_mapping(group, make_team(f"team-{number}", domain=domain, description="What the team works on."))
    memberships.remap()
