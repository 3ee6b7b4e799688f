"""Who somebody is in IAM Identity Center: their user name, for which a profile is made, and their id, for assignments.

What the directories' own tables know comes first; a directory that knows people by something else than the user name is
asked for it with one call.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from provisioning.aws.errors import Invalid, NotFound
from provisioning.directory.stores import store_of
from provisioning.models import Directory, DirectoryPerson, Profile
from teams.models import Domain, User

Subject = Directory.Subject
_ID = re.compile(r"([0-9a-f]{10}-)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class UnknownPersonError(Exception):
    """Nobody can tell who the person is in IAM Identity Center; the message says what to do about it."""


@dataclass(frozen=True)
class Known:
    """A user of a directory; an empty name is one that the directory has to be asked for."""

    directory: Directory
    user_id: str
    user_name: str = ""


def user_name(user: User, domain: Domain) -> str:
    """Return the user name in IAM Identity Center for which a person's profile in a domain is made.

    Makes a call where a directory has to be asked. Raises UnknownPersonError and what `aws.errors` names.
    """
    match domain.sso_user_attribute:
        case Domain.SsoUser.SUBJECT:
            return user.subject
        case Domain.SsoUser.EMAIL:
            if not user.email:
                raise UnknownPersonError(
                    "Profiles in this domain are made for mail addresses, and this person has none on record."
                )
            return user.email
    known = find(user, domain)
    return user.subject if known is None else known.user_name


def assignable(profile: Profile) -> Known:
    """Return the directory's user for whom a profile was made.

    Raises UnknownPersonError and what `aws.errors` names.
    """
    known = find(profile.user, profile.domain)
    if known is None:
        raise UnknownPersonError(
            f"No directory here knows “{profile.user.username}”, so that nobody can assign them to the domain's "
            "application. Set up the directory of this Identity Center instance, or synchronise it; or assign people "
            "there and switch the assignments off on the domain's page."
        )
    if known.user_name.casefold() != profile.sso_user.casefold():
        raise UnknownPersonError(
            f"The directory {known.directory.slug} knows this person as “{known.user_name}”, and the profile is made "
            f"for “{profile.sso_user}”. Change “user name in IAM Identity Center” on the domain's page."
        )
    return known


def find(user: User, domain: Domain) -> Known | None:
    """Return the directory's user that a person is, with the name, None when no directory knows them.

    Raises UnknownPersonError when several do.
    """
    found = list(_known(user))
    if len(found) > 1:
        # An application belongs to the account of its Identity Center instance.
        owner = domain.application_arn.split(":")[4] if domain.application_arn.count(":") > 4 else ""
        found = [each for each in found if _account_id(each.directory) == owner] or found
    if len(found) > 1:
        found = [each for each in found if each.directory.source == user.known_by] or found
    if len(found) > 1:
        slugs = ", ".join(each.directory.slug for each in found)
        raise UnknownPersonError(
            f"Several directories know this person, and nobody can tell which one counts: {slugs}."
        )
    return _named(found[0]) if found else None


def _known(user: User) -> Iterator[Known]:
    for directory in (
        Directory.objects.filter(realm=user.realm, is_active=True).select_related("account").order_by("pk")
    ):
        if directory.subject_attribute == Subject.USER_ID:
            if _ID.fullmatch(user.subject):
                yield Known(directory, user.subject)
            continue
        rows = DirectoryPerson.objects.filter(directory=directory, subject=user.subject)
        # A subject that several users have belongs to nobody.
        ids = list(rows.values_list("external_id", flat=True)[:2])
        if len(ids) == 1:
            name = user.subject if directory.subject_attribute == Subject.USER_NAME else ""
            yield Known(directory, ids[0], name)


def _named(known: Known) -> Known | None:
    """Return a user with the name, None when the directory does not know them any more."""
    if known.user_name:
        return known
    store = store_of(known.directory)
    try:
        found = store.describe_user(known.user_id)
    except Invalid:
        return None
    except NotFound as error:
        if not store.is_gone(error, "USER"):
            raise
        return None
    return Known(known.directory, known.user_id, found.user_name) if found.user_name else None


def _account_id(directory: Directory) -> str:
    return directory.account.account_id if directory.account else ""
