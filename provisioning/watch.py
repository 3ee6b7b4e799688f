"""The watch over a domain in which many profiles are being made: one list a second, by whoever is asked first, and
more while a person waits.

What it finds in service is ready at once, without a call of its own; anything else that is no longer pending is made
due for a step that looks closer. A watch that dies with its worker is taken up by the next create or by the sweep, and
a row that nobody watches becomes due by itself.
"""

import logging
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.utils import timezone

from provisioning import crowd, limits, queue
from provisioning.aws.client import Account
from provisioning.aws.errors import AwsError, Denied
from provisioning.aws.studio import Listed, Studio
from provisioning.database import give_back_connection
from provisioning.ensure import settle
from provisioning.models import Profile
from provisioning.rows import free
from teams.models import Domain

logger = logging.getLogger(__name__)

WATCH = "provisioning.tasks.watch_domain"
SECONDS = 1.0
# A little less than the pause between two looks, so that the next one is not taken for a second one.
TURN = 0.9
# Clocks differ: what is older than the oldest create by so much is none of those that are waited for.
MARGIN = timedelta(minutes=5)
SHORTEST = 0.05
MOST_PAGES = 20


def hint(domain_id: int, *, countdown: float = SECONDS) -> None:
    """Ask a worker to look at a domain."""
    queue.enqueue(WATCH, domain_id, countdown=countdown)


def look(domain_id: int) -> float | None:
    """Look once at the profiles that are being made in a domain; after how many seconds somebody should look again.

    Does nothing when somebody else has just looked: then the next look is theirs to ask for.
    """
    begun = time.monotonic()
    rows = Profile.objects.filter(free(), crowd.watched(), domain=domain_id)
    if not limits.turn(f"watch:{domain_id}", TURN * _pause(rows)):
        return None
    waiting = {name.lower(): (pk, since) for pk, name, since in rows.values_list("pk", "name", "changed_at")}
    if not waiting:
        return None
    domain = Domain.objects.select_related("account").get(pk=domain_id)
    oldest = min(since for _, since in waiting.values())
    pending: list[int] = []
    try:
        for profile, request_id in _newest(domain, oldest):
            if found := waiting.pop(profile.name.lower(), None):
                if profile.status == "Pending":
                    pending.append(found[0])
                else:
                    _take(found[0], profile, request_id)
            if not waiting:
                break
    except Denied as error:
        logger.warning("The profiles of %s cannot be listed (%s); each is described.", domain.domain_id, error.message)
        Profile.objects.filter(free(), crowd.watched(), domain=domain_id).update(due_at=timezone.now())
    except AwsError as error:
        logger.info("The profiles of %s could not be listed: %s", domain.domain_id, error.message)
    _leave_pending(pending)
    if not rows.exists():
        return None
    # What was found has taken its time, and the others have not become less impatient meanwhile.
    return max(_pause(rows) - (time.monotonic() - begun), SHORTEST)


def _pause(rows: QuerySet[Profile]) -> float:
    """Return the seconds between two looks: few while AWS is at a profile for which a person has begun to wait."""
    now = timezone.now()
    prompt = timedelta(seconds=crowd.PROMPT_FOR)
    waited_for = rows.filter(asked_at__gt=now - crowd.PATIENCE, changed_at__gt=now - prompt)
    return crowd.PROMPT if waited_for.exists() else SECONDS


def _newest(domain: Domain, oldest: datetime) -> Iterator[tuple[Listed, str]]:
    studio = Studio(Account.of(domain.account), domain.region, first=True)
    token = ""
    for _ in range(MOST_PAGES):
        give_back_connection()
        page = studio.newest_profiles(domain.domain_id, token)
        for profile in page.profiles:
            yield profile, page.request_id
        token = page.next_token
        last = page.profiles[-1].created if page.profiles else None
        if not token or (last is not None and last < oldest - MARGIN):
            return


def _take(profile_id: int, listed: Listed, request_id: str) -> None:
    if listed.status == "InService":
        following = settle(profile_id, request_id)
        if following.seconds is None:
            return
    else:
        Profile.objects.filter(crowd.watched(), pk=profile_id).update(due_at=timezone.now())
    queue.enqueue_ensure(profile_id)


def _leave_pending(profile_ids: list[int]) -> None:
    """Let what a list shows as pending not become due by itself, unless its time is over."""
    now = timezone.now()
    rows = Profile.objects.filter(free(), crowd.watched(), pk__in=profile_ids, deadline_at__gt=now)
    soon = timedelta(seconds=crowd.UNWATCHED)
    rows.filter(due_at__gt=now, due_at__lt=now + soon / 2).update(due_at=now + soon)
