"""A door for checks against AWS's own service model, which only the floor above can read.

`provisioning` registers the check when Django starts, so that models here validate with AWS's rules without importing
anything of AWS.
"""

from collections.abc import Callable
from typing import Any

from django.core.exceptions import ImproperlyConfigured, ValidationError

from teams import tag_templates

# Takes the name of a SageMaker shape (`RoleArn`, `DomainId`, `TagKey`, `TagValue`, `UserSettings`) and a value, returns
# one sentence per fault, none if the value is good.
Check = Callable[[str, Any], list[str]]

_check: Check | None = None


def register(check: Check) -> None:
    """Install the check; called once from `provisioning.apps`."""
    global _check
    _check = check


def faults(shape: str, value: Any) -> list[str]:
    """Return one sentence for each way in which `value` is not a valid `shape` of SageMaker.

    Raises ImproperlyConfigured when no check is registered: nothing is ever accepted unchecked.
    """
    if _check is None:
        raise ImproperlyConfigured("No check of AWS shapes is registered; is provisioning in INSTALLED_APPS?")
    return _check(shape, value)


def validate_role_arn(value: str) -> None:
    """Django validator for the ARN of an IAM role."""
    _validate("RoleArn", value)


def validate_role_template(value: str) -> None:
    """Django validator for the ARN of an IAM role in which {account}, {team} and {group} may stand for their values."""
    tried = value
    for name, example in {"account": "0" * 12, "team": "team", "group": "group"}.items():
        tried = tried.replace(f"{{{name}}}", example)
    if "{" in tried or "}" in tried:
        raise ValidationError("Only {account}, {team} and {group} may stand in braces.")
    _validate("RoleArn", tried)


def validate_domain_id(value: str) -> None:
    """Django validator for the id of a Studio domain."""
    _validate("DomainId", value)


def validate_space_name(value: str) -> None:
    """Django validator for the name of a space."""
    _validate("SpaceName", value)


def validate_tag_key(value: str) -> None:
    """Django validator for the key of a tag; the prefix `aws:` is AWS's own."""
    _validate("TagKey", value)
    if value.lower().startswith("aws:"):
        raise ValidationError("Tag keys that begin with “aws:” are reserved by AWS.")


def validate_tag_value(value: str) -> None:
    """Django validator for the value of a tag."""
    _validate("TagValue", value)


def validate_tag_template(value: str) -> None:
    """Django validator for the value of a tag in which names may stand in braces; which names, the model says."""
    _validate("TagValue", tag_templates.outside(value))


def validate_user_settings(value: Any) -> None:
    """Django validator for a team's `UserSettings`, a JSON object of SageMaker's members."""
    _validate("UserSettings", value)


def _validate(shape: str, value: Any) -> None:
    found = faults(shape, value)
    if found:
        raise ValidationError(found)
