"""Queries that are written once give the rows for the values of each time, and for the moment of each time."""

from datetime import timedelta

import pytest
from django.utils import timezone

from teams import access
from teams.models import Membership
from teams.prepared import Prepared
from tests.factories import make_team, make_user

pytestmark = pytest.mark.django_db


def test_each_time_has_its_own_values_and_its_own_now(monkeypatch: pytest.MonkeyPatch) -> None:
    alice, bob, team = make_user(), make_user(), make_team("one")
    now = timezone.now()
    Membership.objects.create(user=alice, team=team, source="saml", valid_until=now + timedelta(hours=1))
    query = Prepared(
        lambda: Membership.objects.filter(access.live(), user_id=-1, team__slug="?").values_list("user_id"),
        user=-1,
        slug="?",
    )
    assert query.rows(user=alice.pk, slug="one") == [(alice.pk,)]
    assert query.rows(user=alice.pk, slug="two") == []
    assert query.rows(user=bob.pk, slug="one") == []
    monkeypatch.setattr(timezone, "now", lambda: now + timedelta(hours=2))
    assert query.rows(user=alice.pk, slug="one") == []
