"""What the stand-in knows from the start: one account with a Studio domain, and a second one behind a role."""

from portal.demo.aws.state import State

ACCOUNT = "111122223333"
REGION = "eu-west-1"
DOMAIN = "d-demo0studio1"
TEAM_ROLES = (f"arn:aws:iam::{ACCOUNT}:role/StudioTeam1", f"arn:aws:iam::{ACCOUNT}:role/StudioTeam2")
DENIED_ROLE = f"arn:aws:iam::{ACCOUNT}:role/Administrator"

OTHER_ACCOUNT = "444455556666"
OTHER_DOMAIN = "d-demo0studio2"
OTHER_PORTAL_ROLE = f"arn:aws:iam::{OTHER_ACCOUNT}:role/StudioPortal"
OTHER_EXTERNAL_ID = "studio-portal-demo"


def seed(state: State, *, region: str = REGION) -> None:
    """Give an empty state the demo's accounts, domains and roles.

    Any role of a domain's own account can be an execution role, but `DENIED_ROLE` may not be passed.
    """
    with state.lock:
        state.add_account(ACCOUNT, home=True).denied_roles = [DENIED_ROLE]
        state.add_domain(DOMAIN, account_id=ACCOUNT, region=region, name="studio-demo")
        state.add_domain(OTHER_DOMAIN, account_id=OTHER_ACCOUNT, region=region, name="studio-other")
        state.add_role(OTHER_PORTAL_ROLE, external_id=OTHER_EXTERNAL_ID)
    state.save()
