"""Teams from the AWS sample's file `user-profile-metadata.json`: all of it, or nothing.

The file is an object of teams by SAML team id: `{"Team1": {"DomainId": "d-…", "SessionExpiration": "43200",
"Tags": [{"Key": …, "Value": …}], "UserSettings": {"ExecutionRole": "arn:aws:iam::…", …}}}`. What an entry does not say
is left as it is; teams that the file does not name are left alone.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils.text import slugify

from teams import audit, form_versions, snapshots
from teams.models import AuditEvent, AwsAccount, Domain, Team, TeamTag
from teams.signals import send_access_changed

ACTOR = "system: loadteams"
KEYS = frozenset({"DomainId", "SessionExpiration", "Tags", "UserSettings"})
_ROLE_ACCOUNT = re.compile(r"^arn:aws[a-z-]*:iam::([0-9]{12}):role/")
# What the file calls the columns of the models.
_PATHS = {
    "domain": "DomainId",
    "domain_id": "DomainId",
    "execution_role_arn": "UserSettings.ExecutionRole",
    "user_settings": "UserSettings",
    "session_duration": "SessionExpiration",
    "account_id": "UserSettings.ExecutionRole",
}
_LABELS = {
    "domain": "domain",
    "execution_role_arn": "execution role",
    "session_duration": "session length",
}


class ImportRefusedError(Exception):
    """The file has faults; `problems` holds one line for each, and nothing was changed."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass
class Entry:
    """One team of the file; None is what the file does not say."""

    key: str
    domain_id: str
    role_arn: str
    account_id: str
    settings: dict[str, Any]
    session_duration: int | None
    tags: dict[str, str] | None

    @property
    def slug(self) -> str:
        """The slug of a team that is made from this entry."""
        return slugify(self.key).replace("_", "-")[:40].strip("-")


@dataclass
class Import:
    """One run: collects what it did, line by line, and every fault, each with its team and path."""

    region: str
    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    team_ids: set[int] = field(default_factory=set)

    def fault(self, key: str, path: str, message: str) -> None:
        """Note a fault of one team; an empty path means the team as a whole."""
        self.problems.append(": ".join(part for part in (key, path, message) if part))

    def faults(self, key: str, error: ValidationError) -> None:
        """Note what a model's validation found."""
        for name, messages in error.message_dict.items():
            for message in messages:
                self.fault(key, _PATHS.get(name, ""), message)


def load(document: Any, *, region: str, dry_run: bool = False) -> list[str]:
    """Make the teams agree with a file, and return one line for each thing that was changed.

    `document` is the parsed file and `region` the Region of its domains. With `dry_run` everything happens but is
    rolled back. Raises ImportRefusedError, with nothing changed, when anything in the file is not right.
    """
    run = Import(region)
    with transaction.atomic(), audit.context(actor=ACTOR):
        for entry in _entries(document, run):
            _load_team(entry, run)
        if run.problems:
            raise ImportRefusedError(run.problems)
        send_access_changed(team_ids=run.team_ids)
        transaction.set_rollback(dry_run)
    return run.lines


def _entries(document: Any, run: Import) -> list[Entry]:
    if not isinstance(document, dict):
        raise ImportRefusedError(["The file must hold one JSON object: team ids with what belongs to each."])
    entries = [entry for key, value in document.items() if (entry := _entry(key, value, run))]
    by_slug: dict[str, str] = {}
    for entry in entries:
        if not entry.slug:
            run.fault(entry.key, "", "No slug can be made from this name.")
        elif other := by_slug.get(entry.slug):
            run.fault(entry.key, "", f"This gives the same slug as “{other}”: {entry.slug}.")
        by_slug.setdefault(entry.slug, entry.key)
    return entries


def _entry(key: str, value: Any, run: Import) -> Entry | None:
    if not isinstance(value, dict):
        run.fault(key, "", "This must be an object with DomainId and UserSettings.")
        return None
    before = len(run.problems)
    for unknown in sorted(value.keys() - KEYS):
        run.fault(key, unknown, f"unknown key; known are {', '.join(sorted(KEYS))}.")
    domain_id = value.get("DomainId")
    if not isinstance(domain_id, str) or not domain_id:
        run.fault(key, "DomainId", "missing, or not a text.")
    settings = value.get("UserSettings")
    role_arn = settings.get("ExecutionRole") if isinstance(settings, dict) else None
    match = _ROLE_ACCOUNT.match(role_arn) if isinstance(role_arn, str) else None
    if not isinstance(settings, dict):
        run.fault(key, "UserSettings", "missing, or not an object.")
    elif match is None:
        run.fault(key, "UserSettings.ExecutionRole", "missing, or not the ARN of an IAM role.")
    duration, tags = _duration(key, value, run), _tags(key, value, run)
    if len(run.problems) > before or match is None or not isinstance(settings, dict):
        return None
    rest = {name: item for name, item in settings.items() if name != "ExecutionRole"}
    return Entry(key, str(domain_id), match.string, match[1], rest, duration, tags)


def _duration(key: str, value: dict[str, Any], run: Import) -> int | None:
    found = value.get("SessionExpiration")
    if found is None:
        return None
    if isinstance(found, str) and re.fullmatch(r"[0-9]{1,9}", found):
        return int(found)
    if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < 10**9:
        return found
    run.fault(key, "SessionExpiration", "not a number of seconds.")
    return None


def _tags(key: str, value: dict[str, Any], run: Import) -> dict[str, str] | None:
    found = value.get("Tags")
    if found is None:
        return None
    tags: dict[str, str] = {}
    if not isinstance(found, list):
        run.fault(key, "Tags", "not a list.")
        return None
    for index, tag in enumerate(found):
        path = f"Tags[{index}]"
        if not _is_tag(tag):
            run.fault(key, path, 'must be an object {"Key": "…", "Value": "…"} of two texts.')
        elif tag["Key"].lower() in {each.lower() for each in tags}:
            run.fault(key, path, f"the key “{tag['Key']}” appears twice; case does not count.")
        else:
            _check(TeamTag(key=tag["Key"], value=tag["Value"]), key, run, path=path, exclude={"team"})
            tags[tag["Key"]] = tag["Value"]
    return tags


def _is_tag(tag: Any) -> bool:
    if not isinstance(tag, dict) or tag.keys() != {"Key", "Value"}:
        return False
    return all(isinstance(text, str) for text in tag.values())


def _load_team(entry: Entry, run: Import) -> None:
    account = _row(AwsAccount(account_id=entry.account_id, name=entry.account_id), {"account_id"}, entry, run)
    if account is None:
        return
    identity = {"account", "region", "domain_id"}
    domain = _row(Domain(account=account, region=run.region, domain_id=entry.domain_id), identity, entry, run)
    if domain is None:
        return
    team = Team.objects.select_for_update().filter(saml_id=entry.key).first()
    before = snapshots.take(team) if team else {}
    if team is None:
        team = Team(slug=entry.slug, saml_id=entry.key, name=entry.key)
        if other := Team.objects.filter(slug=entry.slug).first():
            run.fault(entry.key, "", f"The slug {entry.slug} is taken by the team with the SAML id “{other.saml_id}”.")
            return
    team.domain, team.execution_role_arn, team.user_settings = domain, entry.role_arn, entry.settings
    if entry.session_duration is not None:
        team.session_duration = entry.session_duration
    if not _check(team, entry.key, run):
        return
    team.save()
    _save_tags(team, entry.tags)
    _tell(entry.key, team, before, run)


def _row(row: Any, identity: set[str], entry: Entry, run: Import) -> Any:
    """Return the row with the identity of `row`, made and audited where there is none; None when it has faults."""
    known = type(row).objects.filter(**{name: getattr(row, name) for name in identity}).first()
    if known is not None:
        return known
    if not _check(row, entry.key, run):
        return None
    row.save()
    run.lines.append(f"{_capitalised(snapshots.target(row))}: new")
    changes = {"before": {}, "after": snapshots.take(row)}
    audit.record(AuditEvent.Action.IMPORTED, target=snapshots.target(row), data=changes)
    return row


def _check(row: models.Model, key: str, run: Import, *, path: str = "", exclude: set[str] | None = None) -> bool:
    try:
        row.full_clean(exclude=exclude)
    except ValidationError as error:
        if path:
            for message in error.messages:
                run.fault(key, path, message)
        else:
            run.faults(key, error)
        return False
    return True


def _save_tags(team: Team, tags: dict[str, str] | None) -> None:
    if tags is None:
        return
    known = {tag.key: tag for tag in team.tags.all()}
    team.tags.exclude(key__in=tags).delete()
    for key, value in tags.items():
        if key not in known:
            TeamTag.objects.create(team=team, key=key, value=value)
        elif known[key].value != value:
            team.tags.filter(key=key).update(value=value)


def _tell(key: str, team: Team, before: snapshots.Snapshot, run: Import) -> None:
    after = snapshots.take(team)
    changes = snapshots.difference(before, after)
    if not changes:
        return
    form_versions.raise_for(team, before, after)
    run.team_ids.add(team.pk)
    audit.record(AuditEvent.Action.IMPORTED, target=snapshots.target(team), team=team.slug, data=changes)
    if not before:
        run.lines.append(f"{key}: new team “{team.slug}” in the domain {snapshots.name(team.domain)}")
        return
    old, new = changes["before"], changes["after"]
    for name in new:
        if name == "tags":
            run.lines += [f"{key}: {line}" for line in _tag_lines(old[name], new[name])]
        elif name == "user_settings":
            members = sorted(each for each in old[name] | new[name] if old[name].get(each) != new[name].get(each))
            run.lines.append(f"{key}: UserSettings changed: {', '.join(members)}")
        else:
            run.lines.append(f"{key}: {_LABELS[name]} {old[name]} → {new[name]}")


def _tag_lines(old: dict[str, str], new: dict[str, str]) -> list[str]:
    lines = []
    for key in sorted(old.keys() | new.keys()):
        if key not in old:
            lines.append(f"tag {key} added: {new[key]}")
        elif key not in new:
            lines.append(f"tag {key} removed")
        elif old[key] != new[key]:
            lines.append(f"tag {key} {old[key]} → {new[key]}")
    return lines


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]
