"""What the stand-in knows from the start: one account with a Studio domain, a second one behind a role, a directory."""

import uuid

from portal.demo.aws.state import State

ACCOUNT = "111122223333"
REGION = "eu-west-1"
DOMAIN = "d-demo0studio1"
TEAM_ROLES = (f"arn:aws:iam::{ACCOUNT}:role/StudioTeam1", f"arn:aws:iam::{ACCOUNT}:role/StudioTeam2")
TEAM_TAGS = ("Team1", "Team2")
DEFAULT_ROLE = f"arn:aws:iam::{ACCOUNT}:role/StudioDefault"
DENIED_ROLE = f"arn:aws:iam::{ACCOUNT}:role/Administrator"

OTHER_ACCOUNT = "444455556666"
OTHER_DOMAIN = "d-demo0studio2"
OTHER_PORTAL_ROLE = f"arn:aws:iam::{OTHER_ACCOUNT}:role/StudioPortal"
OTHER_EXTERNAL_ID = "studio-portal-demo"

IDENTITY_STORE = "d-9067012345"
EVENT_QUEUE = "studio-portal-directory"
# Nobody's assertion names the last one: only the directory knows who is in it.
GROUPS = ("team-1-scientists", "team-2-scientists", "portal-admins", "team-3-scientists")
# The first three are those whom the demo's identity provider signs on; the others are in the directory only.
PEOPLE: dict[str, tuple[str, tuple[str, ...]]] = {
    "user1": ("User 1", ("team-1-scientists", "team-2-scientists")),
    "user2": ("User 2", ("team-2-scientists",)),
    "ada": ("Ada Admin", ("portal-admins",)),
    "user3": ("User 3", ("team-1-scientists",)),
    "user4": ("User 4", ("team-3-scientists",)),
    "user5": ("User 5", ("team-3-scientists",)),
    "user6": ("User 6", ()),
}


def seed(state: State, *, region: str = REGION) -> None:
    """Give an empty state the demo's accounts, domains, roles and directory.

    Any role of a domain's own account can be an execution role, but `DENIED_ROLE` may not be passed.
    """
    with state.lock:
        state.add_account(ACCOUNT, home=True).denied_roles = [DENIED_ROLE]
        domain = state.add_domain(DOMAIN, account_id=ACCOUNT, region=region, name="studio-demo")
        domain.settings["DefaultUserSettings"] = {"ExecutionRole": DEFAULT_ROLE}
        state.add_domain(OTHER_DOMAIN, account_id=OTHER_ACCOUNT, region=region, name="studio-other")
        state.add_role(OTHER_PORTAL_ROLE, external_id=OTHER_EXTERNAL_ID)
    seed_execution_roles(state)
    seed_directory(state, region=region)


def seed_execution_roles(state: State) -> None:
    """Have IAM know the execution roles of the demo's teams, where it knows none."""
    with state.lock:
        if not state.add_account(ACCOUNT).execution_roles:
            for arn, team in zip(TEAM_ROLES, TEAM_TAGS, strict=True):
                state.add_execution_role(arn, tags={"Team": team})


def seed_directory(state: State, *, region: str = REGION) -> None:
    """Give a state that has none the demo's directory and the queue of its events."""
    with state.lock:
        state.add_queue(EVENT_QUEUE, region=region)
        store = state.add_identity_store(IDENTITY_STORE, region=region, event_queue=EVENT_QUEUE)
        store.load(
            users=[
                {
                    "user_id": directory_id(name),
                    "user_name": name,
                    "display_name": display_name,
                    "email": f"{name}@example.com",
                }
                for name, (display_name, _) in PEOPLE.items()
            ],
            groups=[{"group_id": directory_id(name), "name": name} for name in GROUPS],
            members=[(group, name) for name, (_, groups) in PEOPLE.items() for group in groups],
        )
    state.save()


def directory_id(name: str) -> str:
    """Return the id that a user or a group of this name has in the demo's directory; it is always the same."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.{IDENTITY_STORE}"))
