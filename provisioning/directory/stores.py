"""What all readings of a directory share: the way to it, its people's subjects, its mapped groups, its failures."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from provisioning.aws.client import Account
from provisioning.aws.errors import AwsError, Paced
from provisioning.aws.identity import IdentityStore, UserRow
from provisioning.models import Directory, DirectoryPerson, DirectorySync
from teams import memberships
from teams.memberships import RemovalLimit
from teams.models import RoleMapping

Subject = Directory.Subject
_BATCH = 1000

_UNLISTED = """
    WITH listed AS MATERIALIZED (
        SELECT listed.person ->> 0 AS id
        FROM provisioning_directorypage page, jsonb_array_elements(page.rows) AS listed (person)
        WHERE page.sync_id = %(sync)s AND page.kind = 'users' AND listed.person ->> 1 <> ''
    )
    DELETE FROM provisioning_directoryperson p
    WHERE p.directory_id = %(directory)s AND NOT p.external_id = ANY(%(but)s::text[])
      AND NOT EXISTS (SELECT FROM listed WHERE listed.id = p.external_id)
"""


def account_of(directory: Directory) -> Account:
    """Return how to act in the directory's account."""
    row = directory.account
    return Account.of(row) if row else Account()


def store_of(directory: Directory) -> IdentityStore:
    """Return the directory's identity store; makes no call."""
    return IdentityStore(account_of(directory), directory.region, directory.identity_store_id)


def limit_of(directory: Directory) -> RemovalLimit:
    """Return how many people may lose something at once."""
    return RemovalLimit(share=directory.limit_share / 100, number=directory.limit_number)


def lock(directory_id: int) -> Directory:
    """Return the directory, with its row locked until the transaction ends: first of all locks.

    Whoever applies something of a directory holds it. Raises Directory.DoesNotExist.
    """
    return Directory.objects.select_for_update(no_key=True).get(pk=directory_id)


def subject_of(directory: Directory, user: UserRow) -> str:
    """Return the subject with which this user signs on; empty where the directory does not tell it."""
    match directory.subject_attribute:
        case Subject.USER_ID:
            return user.user_id
        case Subject.USER_NAME:
            return user.user_name
        case Subject.EMAIL:
            return user.email
        case _:
            # Of several nobody knows which one.
            return user.external_ids[0] if len(user.external_ids) == 1 else ""


def remember(directory: Directory, subjects: Mapping[str, str]) -> None:
    """Keep the subjects of users by id, where they are not the ids themselves."""
    if directory.subject_attribute == Subject.USER_ID:
        return
    rows = [
        DirectoryPerson(directory=directory, external_id=user_id, subject=subject)
        for user_id, subject in sorted(subjects.items())
    ]
    DirectoryPerson.objects.bulk_create(
        rows, _BATCH, update_conflicts=True, unique_fields=["directory", "external_id"], update_fields=["subject"]
    )


def subjects_of(directory: Directory, user_ids: Collection[str]) -> dict[str, str]:
    """Return the known subjects of users by id. A subject that several users have belongs to nobody: it is empty."""
    if directory.subject_attribute == Subject.USER_ID:
        return {user_id: user_id for user_id in user_ids}
    people = DirectoryPerson.objects.filter(directory=directory)
    found = dict(people.filter(external_id__in=user_ids).values_list("external_id", "subject"))
    shared = Counter(people.filter(subject__in=set(found.values())).values_list("subject", flat=True))
    return {user_id: subject if shared[subject] == 1 else "" for user_id, subject in found.items()}


def forget_subject(directory: Directory, user_id: str, *, but: str) -> list[str]:
    """Forget the subject of a user who is gone or has the one in `but` now; return the ids of others who have it."""
    people = DirectoryPerson.objects.filter(directory=directory)
    rows = people.filter(external_id=user_id).exclude(subject=but)
    subjects = list(rows.values_list("subject", flat=True))
    rows.delete()
    return list(people.filter(subject__in=subjects).values_list("external_id", flat=True)) if subjects else []


def forget_unlisted(sync: DirectorySync, *, but: Collection[str]) -> None:
    """Forget the subjects of users whom a synchronisation has not found with one, except for these ids.

    Else somebody who was deleted and made anew would share their subject with themselves.
    """
    if sync.directory.subject_attribute == Subject.USER_ID:
        return
    with connection.cursor() as cursor:
        cursor.execute(_UNLISTED, {"directory": sync.directory_id, "sync": sync.pk, "but": list(but)})


def mapped(source: str, groups: Mapping[str, str]) -> set[str]:
    """Return the ids of those groups (name by id) that a role mapping for this source names by id or by name."""
    named = set(
        RoleMapping.objects.filter(Q(source="") | Q(source=source))
        .order_by()
        .values_list("group", flat=True)
        .distinct()
    )
    return {group_id for group_id, name in groups.items() if group_id in named or (name and name in named)}


def forget_access(directory: Directory, groups: Iterable[str]) -> None:
    """Take back what the directory's groups give: it is to be deleted."""
    with transaction.atomic():
        for group in groups:
            memberships.drop_group(directory.source, group)


def note_failure(directory_id: int, error: AwsError) -> None:
    """Remember since when reading fails, and why; the portal's own pace is no failure."""
    if not isinstance(error, Paced):
        Directory.objects.filter(pk=directory_id).update(
            failing_since=Coalesce("failing_since", timezone.now()), last_error=told(error)
        )


def note_progress(directory_id: int) -> None:
    """Remember that reading works again."""
    Directory.objects.filter(pk=directory_id, failing_since__isnull=False).update(failing_since=None, last_error="")


def told(error: AwsError) -> str:
    """Return an error in a sentence that fits its column."""
    return f"{error.code}: {error.message}"[:500]
