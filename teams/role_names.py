"""Roles by a naming convention: what a mapping's template stands for, and whether IAM could have such a role."""

from typing import Any

from django.db.models import CharField, F, Func, Q, QuerySet, Value
from django.db.models.functions import Coalesce, NullIf

from teams import shapes
from teams.models import Group, RoleMapping

# IAM's own limit, which SageMaker's definition of an ARN does not know.
MAX_NAME = 64


def _filled(text: Any, mark: str, column: Any) -> Func:
    return Func(text, Value(mark), column, function="REPLACE", output_field=CharField())


# What a membership's group stands for in a template: its name, its id where it has none.
_GROUP = Coalesce(NullIf(F("group__name"), Value("")), F("group__external_id"))
_OF_TEAM = _filled(
    _filled(F("mapping__execution_role_arn"), "{account}", F("team__domain__account__account_id")),
    "{team}",
    F("team__slug"),
)
# The ARN that a membership's mapping gives. A group's name comes last: braces in it stand for nothing.
EXPANDED = _filled(_OF_TEAM, "{group}", _GROUP)


def expand(template: str, *, account: str, team: str, group: str) -> str:
    """Return the ARN that a template gives in the account with this id, for this slug and this group's name."""
    return template.replace("{account}", account).replace("{team}", team).replace("{group}", group)


def for_group(mapping: RoleMapping, group: Group) -> str:
    """Return the ARN with which members of `group` work by this mapping; the team's own where it gives none."""
    if not mapping.execution_role_arn:
        return mapping.team.execution_role_arn
    account = mapping.team.domain.account.account_id
    return expand(mapping.execution_role_arn, account=account, team=mapping.team.slug, group=str(group))


def faults(arn: str, *, account: str) -> list[str]:
    """Return one sentence for each reason why no profile in the account with this id can have this role."""
    found = shapes.faults("RoleArn", arn)
    name = arn.rpartition("/")[2]
    if not found and not name:
        found.append("It ends where the role's name should begin.")
    if not found and len(name) > MAX_NAME:
        found.append(f"The role's name has {len(name)} characters; IAM allows {MAX_NAME}.")
    if not found and f"::{account}:" not in arn:
        found.append("This role belongs to another account than the team's domain; AWS would refuse it.")
    return found


def known_groups(*, source: str, group: str) -> QuerySet[Group]:
    """Return the groups on record that a mapping of this source (empty: any) and this id or exact name is about."""
    if not group:
        return Group.objects.none()
    named = Group.objects.filter(Q(external_id=group) | Q(name=group))
    return named.filter(source=source) if source else named
