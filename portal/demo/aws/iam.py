"""IAM: execution roles can be looked at. They are made in Python (`State.add_execution_role`), not through the API."""

import json
from typing import Any
from urllib.parse import quote

from portal.demo.aws.errors import ApiError
from portal.demo.aws.rows import digest
from portal.demo.aws.service import Context, Service


def get_role(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """GetRole: knows the execution roles of the caller's account."""
    name = params["RoleName"]
    roles = context.state.accounts[context.caller.account].execution_roles
    arn = next((each for each in roles if each.rsplit("/", 1)[-1] == name), None)
    if arn is None:
        raise ApiError("NoSuchEntity", f"The role with name {name} cannot be found.", 404)
    return {"Role": _described(arn, roles[arn])}


def _described(arn: str, role: dict[str, Any]) -> dict[str, Any]:
    path, _, name = arn.partition(":role")[2].rpartition("/")
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
            for service in role["services"]
        ],
    }
    return {
        "Path": f"{path}/",
        "RoleName": name,
        "RoleId": f"AROADEMO{digest(arn)[:13].upper()}",
        "Arn": arn,
        "CreateDate": 0,
        "AssumeRolePolicyDocument": quote(json.dumps(trust)),
        "Tags": [{"Key": key, "Value": value} for key, value in role["tags"].items()],
    }


SERVICE = Service(
    name="iam",
    operations={"GetRole": get_role},
    reads=frozenset({"GetRole"}),
    codes={
        "AccessDeniedException": "AccessDenied",
        "ValidationException": "ValidationError",
        "ThrottlingException": "Throttling",
        "UnrecognizedClientException": "InvalidClientTokenId",
        "ExpiredTokenException": "ExpiredToken",
        "UnknownOperationException": "InvalidAction",
    },
)
