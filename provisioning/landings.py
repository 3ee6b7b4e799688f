"""Where in Studio this launch arrives: at a place or in a space that the person asks for and may open."""

from dataclasses import replace

from django.db.models import Q

from provisioning.launch import Target
from provisioning.models import StudioSpace
from provisioning.places import LANDINGS, offered


class NoSuchPlaceError(ValueError):
    """Studio does not open there for this person; the message says so to them."""


def choose(target: Target, *, landing: str = "", space: str = "") -> Target:
    """Return the way into a team that a person asks for; empty means: as the team says.

    One query where a space is asked for, none else. Raises NoSuchPlaceError.
    """
    if landing:
        if landing not in {each.key for each in offered(target.closed)}:
            raise NoSuchPlaceError("This team's Studio does not open there. Choose another place, or just open Studio.")
        target = replace(target, landing_uri=LANDINGS[landing].uri)
    if space:
        target = replace(target, space_name=_space(target, space))
    return target


def _space(target: Target, name: str) -> str:
    """Return the name of a space in the team's domain that the person's profile owns, or that is shared."""
    theirs = Q(owner__iexact=target.profile_name) if target.profile_name else Q(pk__in=())
    spaces = StudioSpace.objects.filter(
        theirs | Q(sharing="Shared"),
        name__iexact=name[:63].replace("\0", ""),
        domain__domain_id=target.domain_id,
        domain__region=target.region,
        domain__account__account_id=target.account_id,
    )
    found = spaces.values_list("name", flat=True).first()
    if found is None:
        raise NoSuchPlaceError("You have no space of this name in this team. It may have been deleted.")
    return found
