"""Values are checked against SageMaker's own model, in sentences that people can act upon."""

import time
from typing import Any

import pytest
from botocore.model import ListShape, MapShape, Shape, StructureShape

from provisioning.aws import shapes
from provisioning.aws.shapes import MAX_FAULTS, faults


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        ("RoleArn", "arn:aws:iam::123456789012:role/Team1"),
        ("RoleArn", "arn:aws-us-gov:iam::123456789012:role/path/to/Team1"),
        ("DomainId", "d-abc123"),
        ("TagKey", "Kostenstelle Ä/1"),
        ("TagValue", ""),
        ("UserSettings", {}),
        ("UserSettings", {"SecurityGroups": ["sg-1"], "StudioWebPortal": "ENABLED"}),
        ("UserSettings", {"JupyterLabAppSettings": {"DefaultResourceSpec": {"InstanceType": "ml.t3.medium"}}}),
    ],
)
def test_good_values(shape: str, value: Any) -> None:
    assert faults(shape, value) == []


IDLE = "JupyterLabAppSettings.AppLifecycleManagement.IdleSettings.IdleTimeoutInMinutes"


def idle(value: Any) -> dict[str, Any]:
    return {"JupyterLabAppSettings": {"AppLifecycleManagement": {"IdleSettings": {"IdleTimeoutInMinutes": value}}}}


@pytest.mark.parametrize(
    ("shape", "value", "sentence"),
    [
        ("RoleArn", "", "Must not be empty."),
        ("RoleArn", "x", "“x” is not the ARN of an IAM role, like arn:aws:iam::123456789012:role/name."),
        ("RoleArn", "arn:aws:iam::12345678901٣:role/x", "is not the ARN of an IAM role"),
        ("RoleArn", "arn:aws:iam::123456789012:role/x\n", "is not the ARN of an IAM role"),
        ("RoleArn", None, "Null is not a text."),
        ("RoleArn", 12, "12 is not a text."),
        ("DomainId", "", "Must not be empty."),
        ("DomainId", "D-ABC", "is not the id of a Studio domain"),
        ("DomainId", "d-" + "a" * 62, "has 64 characters; at most 63 are allowed."),
        ("TagKey", "", "Must not be empty."),
        ("TagKey", "a*b", "holds a character that tags may not have"),
        ("TagValue", "x" * 257, "has 257 characters; at most 256 are allowed."),
        ("TagValue", "a\x00b", "holds a character that tags may not have"),
        ("UserSettings", [], "This is not a JSON object."),
        ("UserSettings", "text", "“text” is not a JSON object."),
        ("UserSettings", idle(30), f"{IDLE}: 30 is less than 60."),
        ("UserSettings", idle(525601), f"{IDLE}: 525601 is more than 525600."),
        ("UserSettings", idle("60"), f"{IDLE}: “60” is not a whole number."),
        ("UserSettings", idle(True), f"{IDLE}: true is not a whole number."),
        ("UserSettings", idle(60.5), f"{IDLE}: 60.5 is not a whole number."),
        ("UserSettings", {"SecurityGroup": []}, "SecurityGroup: SageMaker has no such member. Did you mean Security"),
        ("UserSettings", {"zzzzzz": 1}, "zzzzzz: SageMaker has no such member."),
        ("UserSettings", {"SecurityGroups": ["sg-1"] * 6}, "SecurityGroups: 6 entries; at most 5."),
        ("UserSettings", {"SecurityGroups": "sg-1"}, "SecurityGroups: “sg-1” is not a list."),
        ("UserSettings", {"SecurityGroups": ["sg_1"]}, "SecurityGroups[0]: “sg_1” is not the id of a security group"),
        (
            "UserSettings",
            {"StudioWebPortal": "enabled"},
            "StudioWebPortal: “enabled” is not one of SageMaker's values. Choose from ENABLED, DISABLED.",
        ),
        (
            "UserSettings",
            {"JupyterLabAppSettings": {"DefaultResourceSpec": {"InstanceType": "ml.t3.medum"}}},
            "Did you mean ml.t3.medium?",
        ),
        (
            "UserSettings",
            {"SpaceStorageSettings": {"DefaultEbsStorageSettings": {"DefaultEbsVolumeSizeInGb": 5}}},
            "SpaceStorageSettings.DefaultEbsStorageSettings.MaximumEbsVolumeSizeInGb: is required.",
        ),
    ],
)
def test_faults_name_the_path_and_the_remedy(shape: str, value: Any, sentence: str) -> None:
    found = faults(shape, value)
    assert len(found) == 1
    assert sentence in found[0]


def test_every_fault_is_told_up_to_a_bound() -> None:
    assert len(faults("UserSettings", {"a1": 1, "a2": 2, "a3": 3})) == 3
    assert len(faults("UserSettings", {f"a{number}": 1 for number in range(1000)})) == MAX_FAULTS


def test_long_values_are_not_repeated_in_full() -> None:
    assert len(faults("RoleArn", "x" * 2000)[0]) < 200


def test_a_value_made_to_keep_a_pattern_busy_is_refused_soon() -> None:
    hostile = "https://" + "a" * 1000 + "!"
    started = time.monotonic()
    settings = {"JupyterLabAppSettings": {"CodeRepositories": [{"RepositoryUrl": hostile}]}}
    assert len(faults("UserSettings", settings)) == 1
    assert time.monotonic() - started < 5


def test_every_pattern_of_the_user_settings_can_be_read() -> None:
    patterns = {shape.metadata.get("pattern") for shape in reachable(shapes._shape("UserSettings"))} - {None}
    assert len(patterns) > 10
    for pattern in patterns:
        shapes._pattern(pattern)


def reachable(shape: Shape) -> list[Shape]:
    found = [shape]
    if isinstance(shape, StructureShape):
        found += [each for member in shape.members.values() for each in reachable(member)]
    elif isinstance(shape, ListShape):
        found += reachable(shape.member)
    elif isinstance(shape, MapShape):
        found += reachable(shape.key) + reachable(shape.value)
    return found
