"""Whether identity providers are about to stop working: what the admin's first page warns of, and the health signal."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum

from portal.saml import providers
from portal.saml.providers import Provider
from teams.models import IdentityProvider

# How long before its end something is warned of, and how long refreshing may fail before it is.
WARN_BEFORE = timedelta(days=30)
FAILING_FOR = timedelta(days=1)


class Standing(IntEnum):
    """How a provider stands; the worst of several is the highest."""

    OK = 0
    EXPIRING = 1
    EXPIRED = 2

    @property
    def word(self) -> str:
        """Return the word of the health signal."""
        return self.name.lower()


@dataclass(frozen=True)
class Notice:
    """One thing that an admin should look at, in words; `entity_id` says at which provider."""

    entity_id: str
    standing: Standing
    text: str


def overall() -> Standing:
    """Return the worst standing of all active providers; EXPIRED where there is none to sign on through."""
    active = providers.active()
    return max((of_provider(each) for each in active), default=Standing.EXPIRED)


def of_provider(provider: Provider) -> Standing:
    """Return how one provider stands."""
    return max((each.standing for each in _ends(provider)), default=Standing.OK)


def notices() -> list[Notice]:
    """Return what to warn admins of, the worst first; one query."""
    found = [notice for provider in providers.active() for notice in _ends(provider)]
    return sorted([*found, *_failing()], key=lambda each: -each.standing)


def _ends(provider: Provider) -> Iterator[Notice]:
    now = datetime.now(UTC)
    name, entity_id = provider.label, provider.entity_id
    if provider.expired:
        yield Notice(entity_id, Standing.EXPIRED, f"The metadata of {name} have expired: nobody signs on through it.")
    elif provider.valid_until and provider.valid_until <= now + WARN_BEFORE:
        yield Notice(entity_id, Standing.EXPIRING, f"The metadata of {name} expire on {_day(provider.valid_until)}.")
    ends = sorted(each.not_valid_after_utc for each in provider.certificates)
    if ends[-1] <= now:
        yield Notice(entity_id, Standing.EXPIRED, f"All signing certificates of {name} have expired.")
        return
    for end in ends:
        if now < end <= now + WARN_BEFORE:
            yield Notice(entity_id, Standing.EXPIRING, f"A signing certificate of {name} expires on {_day(end)}.")


def _failing() -> Iterator[Notice]:
    old = datetime.now(UTC) - FAILING_FOR
    rows = IdentityProvider.objects.filter(is_active=True, refreshed_at__lte=old).exclude(refresh_error="")
    for row in rows.only("name", "entity_id", "refresh_error"):
        text = f"The metadata of {row.name} have not been refreshed for more than a day: {row.refresh_error}"
        yield Notice(row.entity_id, Standing.EXPIRING, text)


def _day(when: datetime) -> str:
    return when.strftime("%Y-%m-%d")
