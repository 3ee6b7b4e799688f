"""What is believed of what a provider says: all of it, or, of one that speaks for one team, that team only."""

import logging
from dataclasses import replace

from portal.saml.identity import Identity
from portal.saml.providers import Provider

logger = logging.getLogger(__name__)

# A provider may name thousands of teams; the audit log need not.
_MAX_TOLD = 20


def within(person: Identity, provider: Provider) -> Identity:
    """Return what the provider may say of this person; what it may not is left out, logged and noted in `ignored`.

    A provider that speaks for one team says who somebody is and that they are in that team; nothing of groups, portal
    roles and other teams. Where it does not say that they are in the team, they are not.
    """
    if provider.only_team is None:
        return person
    strange = (person.teams or frozenset()) - {provider.only_team}
    ignored = [f"team {each}" for each in sorted(strange)[:_MAX_TOLD]] + (["groups"] if person.groups else [])
    if ignored:
        logger.warning("%s may speak for one team only; ignored: %.500s", provider.entity_id, ", ".join(ignored))
    teams = None if person.teams is None else person.teams & {provider.only_team}
    return replace(person, groups=None, teams=teams, ignored=tuple(ignored))
