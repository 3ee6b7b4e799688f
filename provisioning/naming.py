"""Names of Studio user profiles: a pure function of (realm, subject, team), so that every process finds the same name.

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


def _hash(*parts: str) -> str:
    # JSON keeps the borders between the parts, whatever characters they hold.
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:HASH_LENGTH]


def _readable(text: str) -> str:
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_text.lower()).strip("-")
