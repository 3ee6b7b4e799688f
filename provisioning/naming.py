"""Names that AWS sees, as pure functions, so that every process finds the same: of Studio user profiles, by (realm,
subject, team), and of sessions of a role, by user name.

SageMaker allows letters, digits and inner hyphens, at most 63 characters, and does not tell upper from lower case
(CreateUserProfileRequest in its service model).
"""

import hashlib
import json
import re
import unicodedata

from teams.models import DEFAULT_REALM

MAX_LENGTH = 63
HASH_LENGTH = 16

_PLAIN_SUBJECT = re.compile(r"[a-z0-9](?:-*[a-z0-9])*")
_PLAIN_TEAM = re.compile(r"[a-z0-9]+")
_HASH = re.compile(rf"[0-9a-f]{{{HASH_LENGTH}}}")
_TEAM_ROOM = 16

# RoleSessionName and SourceIdentity in the service model of STS; its \w is ASCII.
MAX_SESSION_NAME = 64
_PLAIN_SESSION = re.compile(rf"[A-Za-z0-9_+=,.@-]{{2,{MAX_SESSION_NAME}}}")
_NOT_IN_SESSIONS = re.compile(r"[^A-Za-z0-9_+=,.@-]+")
# What could be read as the changed name of somebody else, or as the portal itself, is changed too.
_RESERVED_SESSION = re.compile(rf".*-{_HASH.pattern}|studio-portal", re.IGNORECASE)


def profile_name(realm: str, subject: str, team_slug: str) -> str:
    """Return the profile name of one person in one team, lower case, at most 63 characters.

    It is `{subject}-{team}` where that is legal and can be read in one way only: the part after the last hyphen is the
    team, because the team's slug has no hyphen and does not look like a hash. Everybody else gets readable parts and a
    hash of the whole identity. Two identities never share a name, except by a collision of 64 bits of SHA-256.
    """
    plain = f"{subject}-{team_slug}"
    if (
        realm == DEFAULT_REALM
        and len(plain) <= MAX_LENGTH
        and _PLAIN_SUBJECT.fullmatch(subject)
        and _PLAIN_TEAM.fullmatch(team_slug)
        and not _HASH.fullmatch(team_slug)
    ):
        return plain
    team = _readable(team_slug)[:_TEAM_ROOM].strip("-") or "team"
    room = MAX_LENGTH - HASH_LENGTH - len(team) - 2
    person = _readable(subject)[:room].strip("-") or "user"
    return f"{person}-{team}-{_hash(realm, subject, team_slug)}"


def session_name(username: str) -> str:
    """Return the name of the sessions in which the portal acts for a person, 2 to 64 characters.

    It is the user name where AWS takes it as it is, else what is readable of it and a hash of the whole. Two user names
    never share one, except by a collision of 64 bits of SHA-256, and none is the portal's own.
    """
    if _PLAIN_SESSION.fullmatch(username) and not _RESERVED_SESSION.fullmatch(username):
        return username
    ascii_text = unicodedata.normalize("NFKD", username).encode("ascii", "ignore").decode()
    readable = _NOT_IN_SESSIONS.sub("-", ascii_text)[: MAX_SESSION_NAME - HASH_LENGTH - 1].strip("-") or "user"
    return f"{readable}-{_hash(username)}"


def _hash(*parts: str) -> str:
    # JSON keeps the borders between the parts, whatever characters they hold.
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:HASH_LENGTH]


def _readable(text: str) -> str:
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_text.lower()).strip("-")
