"""Many profiles at once: which rows wait for the list of their domain, and when those come back whose turn is later.

One list of a domain's newest profiles a second says of all of them what one Describe a second would say of each.
"""

import random
from datetime import timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from provisioning.models import Profile

State = Profile.State

# Above so many profiles that are wanted or being made in a domain it is worth a list.
FEW = 3
# A profile that is watched is described all the same after so many seconds, should nobody watch.
UNWATCHED = 25.0
# A person who clicked waits for so long that their profile goes first.
PATIENCE = timedelta(minutes=2)
# Seconds between two looks at a profile that AWS is making: while a person waits for it, and by how long it takes.
PROMPT, PROMPT_FOR = 0.3, 10.0
# Rows come back over so much of the time that all of them take: too many at a moment rather than too few.
SHARE = 0.5
SHORTEST, SHORTEST_FIRST, LONGEST = 2.0, 0.5, 300.0


def is_in(domain_id: int) -> bool:
    """Whether many profiles of a domain are wanted or being made."""
    busy = Profile.objects.filter(domain=domain_id, state__in=(State.WANTED, State.CREATING), due_at__isnull=False)
    return busy.order_by()[: FEW + 1].count() > FEW


def watched() -> Q:
    """Return the filter on rows whose profile AWS is making since our own create, which it has answered."""
    return Q(state=State.CREATING, managed=True) & ~Q(arn="") & ~Q(asked_role_arn="")


def domains() -> list[int]:
    """Return the domains that somebody should watch."""
    later = timezone.now() + timedelta(seconds=1)
    rows = Profile.objects.filter(watched(), due_at__gt=later)
    return list(rows.order_by().values_list("domain_id", flat=True).distinct())


def waits_for(profile: Profile) -> bool:
    """Whether a person waits for this profile."""
    return profile.asked_at is not None and timezone.now() < profile.asked_at + PATIENCE


def look_again_in(profile: Profile, waited: float) -> float:
    """Return after how many seconds a profile is looked at again at which AWS has been for `waited` seconds."""
    if waited < PROMPT_FOR and waits_for(profile):
        return PROMPT
    return 1.0 if waited < 15 else 2.0 if waited < 60 else 5.0


def pause(profile: Profile, seconds: float) -> float:
    """Return after how many seconds a row comes back whose turn is `seconds` away at least, spread over the crowd."""
    if waits_for(profile):
        return max(seconds, SHORTEST_FIRST)
    soon = timezone.now() + timedelta(seconds=LONGEST)
    others = Profile.objects.filter(domain=profile.domain_id, state=profile.state, due_at__lt=soon).order_by().count()
    longest = min(max(SHARE * others / settings.SAGEMAKER_CALLS_PER_SECOND, SHORTEST), LONGEST)
    return max(seconds, random.uniform(SHORTEST_FIRST, longest))
