"""What people do in Studio, imitated where the stand-in is asked to: who enters works in JupyterLab."""

from portal.demo.aws.rows import App, Space, Ticket, app_key
from portal.demo.aws.state import State

INSTANCE = "ml.t3.medium"
VOLUME_GB = 5


def begin(state: State, ticket: Ticket) -> None:
    """Have the person whom a link let in open JupyterLab in a private space, as Studio makes both for them.

    In a space that the link names, its app is opened. What runs already is active again. Hold the state's lock.
    """
    if state.profile(ticket.domain_id, ticket.profile) is None:
        return
    now = state.clock.now()
    name = ticket.space or f"{ticket.profile[:59]}-lab"
    where = (ticket.account, ticket.region, ticket.domain_id)
    if state.space(ticket.domain_id, name) is None:
        storage = {"SpaceStorageSettings": {"EbsStorageSettings": {"EbsVolumeSizeInGb": VOLUME_GB}}}
        state.spaces[ticket.domain_id, name.lower()] = Space(
            *where, name, now, now, owner=ticket.profile, sharing="Private",
            settings={"AppType": "JupyterLab", **storage},
        )  # fmt: skip
    app = App(
        *where, "default", now, now, app_type="JupyterLab", space=name,
        settings={"InstanceType": INSTANCE}, active=now,
    )  # fmt: skip
    there = state.app(app_key(app))
    if there is not None and there.status not in ("Deleted", "Failed"):
        there.active = now
    else:
        state.apps[app_key(app)] = app
