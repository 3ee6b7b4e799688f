"""`manage.py loadteams`: all of a file or nothing, told line by line."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command

from teams import audit
from teams.models import AuditEvent, AwsAccount, Domain, Team
from teams.signals import access_changed
from tests.factories import make_team

pytestmark = pytest.mark.django_db

ROLE = "arn:aws:iam::111122223333:role/{}"


def entry(role: str = "team1", **changes: Any) -> dict[str, Any]:
    settings = {"ExecutionRole": ROLE.format(role), "SecurityGroups": ["sg-12345678"]}
    tags = [{"Key": "Cost", "Value": "42"}]
    found = {"DomainId": "d-abc123", "SessionExpiration": "28800", "Tags": tags, "UserSettings": settings, **changes}
    return {key: value for key, value in found.items() if value is not None}


def tag(key: str) -> dict[str, str]:
    return {"Key": key, "Value": "1"}


@pytest.fixture(name="load")
def _load(tmp_path: Path) -> Callable[..., list[str]]:
    """Return a function that writes a file, loads it and returns the lines that were printed."""

    def load(document: Any, *options: str) -> list[str]:
        path, out = tmp_path / "teams.json", StringIO()
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        call_command("loadteams", str(path), *options, stdout=out)
        return out.getvalue().splitlines()

    return load


@pytest.fixture(name="sent")
def _sent() -> Iterator[list[frozenset[int]]]:
    """Collect the team ids of every `access_changed`."""
    sent: list[frozenset[int]] = []

    def receive(team_ids: frozenset[int], **kwargs: object) -> None:
        sent.append(team_ids)

    access_changed.connect(receive)
    yield sent
    access_changed.disconnect(receive)


Load = Callable[..., list[str]]
Committed = Callable[[], AbstractContextManager[Any]]


def imported() -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action=AuditEvent.Action.IMPORTED).order_by("id"))


def nothing_was_kept() -> bool:
    return not (Team.objects.exists() or Domain.objects.exists() or AwsAccount.objects.exists() or imported())


def test_the_samples_file_makes_everything(load: Load, sent: list[frozenset[int]], committed: Committed) -> None:
    with committed():
        lines = load({"Team1": entry(), "Team2": entry("team2", SessionExpiration=43200, Tags=None)})
    assert lines == [
        "AWS account: 111122223333: new",
        "Domain: d-abc123 in eu-west-1: new",
        "Team1: new team “team1” in the domain d-abc123 in eu-west-1",
        "Team2: new team “team2” in the domain d-abc123 in eu-west-1",
    ]
    one, two = Team.objects.order_by("slug")
    assert (one.slug, one.saml_id, one.name, one.session_duration) == ("team1", "Team1", "Team1", 28800)
    assert one.execution_role_arn == ROLE.format("team1")
    assert one.user_settings == {"SecurityGroups": ["sg-12345678"]}
    assert dict(one.tags.values_list("key", "value")) == {"Cost": "42"}
    assert (two.session_duration, two.tags.count(), two.domain) == (43200, 0, one.domain)
    assert sent == [frozenset({one.pk, two.pk})]
    assert {event.actor for event in imported()} == {"system: loadteams"}
    assert [event.target for event in imported()] == [
        "AWS account: 111122223333", "domain: d-abc123 in eu-west-1", "team: team1", "team: team2"
    ]  # fmt: skip


def test_a_second_run_changes_nothing(load: Load, sent: list[frozenset[int]], committed: Committed) -> None:
    document = {"Team1": entry()}
    load(document)
    before = len(imported())
    with committed():
        assert load(document) == ["no changes"]
    assert len(imported()) == before
    assert not sent


def test_only_what_differs_is_changed_and_told(load: Load) -> None:
    load({"Team1": entry(), "Team2": entry("team2")})
    changed = entry(
        "other",
        SessionExpiration=43200,
        Tags=[{"Key": "Cost", "Value": "43"}, {"Key": "Unit", "Value": "x"}],
        UserSettings={"ExecutionRole": ROLE.format("other"), "SecurityGroups": ["sg-87654321"]},
        DomainId="d-other",
    )
    assert load({"Team1": changed, "Team2": entry("team2", Tags=[])}) == [
        "Domain: d-other in eu-west-1: new",
        "Team1: domain d-abc123 in eu-west-1 → d-other in eu-west-1",
        f"Team1: execution role {ROLE.format('team1')} → {ROLE.format('other')}",
        "Team1: session length 28800 → 43200",
        "Team1: tag Cost 42 → 43",
        "Team1: tag Unit added: x",
        "Team1: UserSettings changed: SecurityGroups",
        "Team2: tag Cost removed",
    ]
    last = imported()[-1]
    assert last.data == {"before": {"tags": {"Cost": "42"}}, "after": {"tags": {}}}


def test_what_the_file_does_not_say_is_left_alone(load: Load) -> None:
    load({"Team1": entry()})
    Team.objects.update(name="Renamed", description="By an admin", is_active=False)
    other = make_team("other")
    assert load({"Team1": entry(SessionExpiration=None, Tags=None)}) == ["no changes"]
    team = Team.objects.get(saml_id="Team1")
    assert (team.name, team.session_duration, team.tags.count()) == ("Renamed", 28800, 1)
    assert Team.objects.filter(pk=other.pk).exists()


def test_a_tag_changes_its_case(load: Load) -> None:
    load({"Team1": entry()})
    assert load({"Team1": entry(Tags=[{"Key": "COST", "Value": "42"}])}) == [
        "Team1: tag COST added: 42", "Team1: tag Cost removed"
    ]  # fmt: skip


def test_a_dry_run_tells_the_same_and_changes_nothing(
    load: Load, sent: list[frozenset[int]], committed: Committed
) -> None:
    with committed():
        dry = load({"Team1": entry()}, "--dry-run")
    assert dry[-1] == "Nothing was changed: this was a dry run."
    assert nothing_was_kept()
    assert not sent
    assert load({"Team1": entry()}) == dry[:-1]


def test_the_region_can_be_given(load: Load) -> None:
    load({"Team1": entry()}, "--region", "us-east-1")
    assert Domain.objects.get().region == "us-east-1"


def test_without_a_region_there_is_a_hint(load: Load, settings: LazySettings) -> None:
    settings.AWS_REGION = ""
    with pytest.raises(CommandError, match=r"Give --region or set AWS_REGION\."):
        load({"Team1": entry()})


def test_every_fault_is_told_at_once_and_nothing_is_changed(load: Load) -> None:
    document = {
        "Good": entry(),
        "A": entry(DomainId=None, Surprise=1, Other=2),
        "B": entry(SessionExpiration="soon"),
        "C": entry(SessionExpiration=60),
        "D": entry(UserSettings={"ExecutionRole": "nonsense"}),
        "E": entry(UserSettings={"ExecutionRole": ROLE.format("x"), "NoSuchMember": 1}),
        "F": entry(Tags=[tag("owner"), {"Key": "x"}, tag("a"), tag("A")]),
        "G": [],
        "H": entry(DomainId="D_1"),
        "I": entry(SessionExpiration=True, Tags={}),
        "J": entry(UserSettings=None),
        "good": entry(),
        "数据": entry(),
    }
    with pytest.raises(CommandError) as caught:
        load(document)
    text = str(caught.value)
    assert "nothing was changed" in text
    for line in (
        "A: Other: unknown key; known are DomainId, SessionExpiration, Tags, UserSettings.",
        "A: Surprise: unknown key",
        "A: DomainId: missing, or not a text.",
        "B: SessionExpiration: not a number of seconds.",
        "C: SessionExpiration: Ensure this value is greater than or equal to 1800.",
        "D: UserSettings.ExecutionRole: missing, or not the ARN of an IAM role.",
        "E: UserSettings: ",
        "F: Tags[0]: The portal sets this tag itself.",
        'F: Tags[1]: must be an object {"Key": "…", "Value": "…"} of two texts.',
        "F: Tags[3]: the key “A” appears twice; case does not count.",
        "G: This must be an object with DomainId and UserSettings.",
        "H: DomainId: ",
        "I: SessionExpiration: not a number of seconds.",
        "I: Tags: not a list.",
        "J: UserSettings: missing, or not an object.",
        "good: This gives the same slug as “Good”: good.",
        "数据: No slug can be made from this name.",
    ):
        assert f"\n  {line}" in text
    assert nothing_was_kept()


def test_a_slug_that_another_team_has_is_told(load: Load) -> None:
    make_team("team1", saml_id="somebody-else")
    with pytest.raises(CommandError, match="The slug team1 is taken by the team with the SAML id “somebody-else”"):
        load({"Team1": entry()})


def test_a_region_that_is_none_is_told_for_its_team(load: Load) -> None:
    with pytest.raises(CommandError, match="Team1: A Region looks like"):
        load({"Team1": entry()}, "--region", "Ireland")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "This is not valid JSON: Expecting property name enclosed in double quotes in line 1, column 2."),
        ("", "This is not valid JSON"),
        ("[]", "The file must hold one JSON object"),
        ('{"Team1": {}, "Team1": {}}', "“Team1” appears twice in one object."),
        ('{"Te\\u0000am": {}}', "a character in it that is no text"),
        ('{"Team1": {"SessionExpiration": NaN}}', "NaN is not a number in JSON."),
    ],
)
def test_a_file_that_is_none_gets_one_clear_line(load: Load, text: str, message: str) -> None:
    with pytest.raises(CommandError) as caught:
        load(text)
    assert message in str(caught.value)
    assert caught.value.returncode == 1


def test_a_file_that_cannot_be_read_gets_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"no\.json cannot be read: No such file or directory\."):
        call_command("loadteams", str(tmp_path / "no.json"))
    with pytest.raises(CommandError, match="cannot be read: Is a directory"):
        call_command("loadteams", str(tmp_path))
    (tmp_path / "latin.json").write_bytes(b'{"T\xe9am": {}}')
    with pytest.raises(CommandError, match="is not a text in UTF-8"):
        call_command("loadteams", str(tmp_path / "latin.json"))


def test_a_byte_order_mark_does_not_matter(load: Load) -> None:
    assert load("\ufeff" + json.dumps({"Team1": entry()}))[-1].startswith("Team1: new team")


def test_an_empty_file_changes_nothing(load: Load) -> None:
    assert load({}) == ["no changes"]


def test_no_team_without_its_audit_row(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("no audit")

    monkeypatch.setattr(audit, "record", broken)
    with pytest.raises(RuntimeError):
        load({"Team1": entry()})
    assert not Team.objects.exists()
    assert not AwsAccount.objects.exists()
