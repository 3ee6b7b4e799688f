"""What the workers do about access that ends."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from portal import tasks
from portal.celery import app
from teams import access, grants
from teams.models import AuditEvent, Grant, Membership, User
from tests.factories import make_team, make_user

pytestmark = pytest.mark.django_db


def test_access_ends_by_itself_and_the_sweep_clears_it_away() -> None:
    user, ada = make_user("charlie"), make_user("ada", role=User.Role.ADMIN)
    until = timezone.now() + timedelta(days=30)
    grants.give(user=user, team=make_team("team1"), until=until, reason="r", by=ada)
    tasks.expire_access()
    assert len(access.for_user(user)) == 1

    Grant.objects.update(valid_until=timezone.now())
    Membership.objects.update(valid_until=timezone.now())
    tasks.expire_access()
    assert (Grant.objects.count(), Membership.objects.count(), access.for_user(user)) == (0, 0, [])
    event = AuditEvent.objects.get(action="membership_removed")
    assert (event.actor, event.target, event.team, event.reason) == (
        "system: expire_access",
        "charlie",
        "team1",
        "expired",
    )


def test_every_task_of_the_schedule_is_there() -> None:
    app.loader.import_default_modules()
    assert {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()} <= app.tasks.keys()
