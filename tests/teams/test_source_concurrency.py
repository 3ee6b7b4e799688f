"""Whole statements, pushes and sign-ons of the same people at once: nobody waits for ever, and the rows agree."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from teams import access, memberships, users
from teams.memberships import GroupRef, Member, Person, SourceObservation, UserObservation
from teams.models import AuditEvent, GroupMembership, Membership, User
from tests.factories import make_mapping, make_team

pytestmark = pytest.mark.django_db(transaction=True)

PEOPLE = [f"user{number}" for number in range(12)]
ROUNDS = 6
SOURCE = "identity-center:main"


def whole(members: list[str]) -> None:
    memberships.apply_source(
        SourceObservation(
            SOURCE,
            "default",
            [GroupRef("staff", "Staff")],
            [Member("staff", each, each) for each in members],
            [Person(each, active=True) for each in PEOPLE],
            complete=True,
        )
    )


def sign_on(subject: str) -> None:
    user = users.sign_on(realm="default", subject=subject, name=None, email=None, groups=None)
    until = timezone.now() + timedelta(hours=1)
    memberships.apply(UserObservation(user, "saml", groups=frozenset({GroupRef("saml-staff")}), valid_until=until))


def push(joined: list[str]) -> None:
    ids = list(User.objects.filter(subject__in=joined).values_list("pk", flat=True))
    memberships.change_group("scim:okta", GroupRef("g"), joined=ids)
    memberships.change_group("scim:okta", GroupRef("g"), left=ids)


def test_everybody_gets_through_and_the_rows_agree() -> None:
    make_mapping("Staff", make_team("one"))
    make_mapping("saml-staff", make_team("two"))
    make_mapping("g", make_team("three"))
    failures: list[BaseException] = []

    def run(work: Callable[[int], None]) -> None:
        try:
            for number in range(ROUNDS):
                work(number)
        except BaseException as error:  # noqa: BLE001  (told by the main thread)
            failures.append(error)
        finally:
            connection.close()

    jobs: list[Callable[[int], None]] = [
        lambda number: whole(PEOPLE[number:]),
        lambda number: whole(PEOPLE[: len(PEOPLE) - number]),
        lambda number: sign_on(PEOPLE[number]),
        lambda number: sign_on(PEOPLE[-1 - number]),
        lambda number: push(PEOPLE[number : number + 4]),
    ]
    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert not any(thread.is_alive() for thread in threads)
    assert failures == []

    whole(PEOPLE[:5])
    assert User.objects.count() == len(PEOPLE)
    slugs = {user.subject: {each.team.slug for each in access.for_user(user)} for user in User.objects.all()}
    assert {subject for subject, found in slugs.items() if "one" in found} == set(PEOPLE[:5])
    assert {subject for subject, found in slugs.items() if "two" in found} == {*PEOPLE[:6], *PEOPLE[-6:]}
    assert not any("three" in found for found in slugs.values())
    added = AuditEvent.objects.filter(action="membership_added").count()
    removed = AuditEvent.objects.filter(action="membership_removed").count()
    assert added - removed == Membership.objects.count()
    assert GroupMembership.objects.filter(group__source=SOURCE).count() == 5
