"""STS: AssumeRole and GetCallerIdentity."""

import secrets
from typing import Any

from portal.demo.aws.errors import ApiError
from portal.demo.aws.rows import Role, Session, digest
from portal.demo.aws.service import Context, Service

DEFAULT_SECONDS = 3600
CHAINED_SECONDS = 3600


def assume_role(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Hand out keys of a role. A missing role, missing trust and a wrong external id are refused in the same words."""
    role = _trusted(context, params)
    seconds = params.get("DurationSeconds", DEFAULT_SECONDS)
    if context.caller.session_name and seconds > CHAINED_SECONDS:
        raise ApiError(
            "ValidationException",
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
        )
    if seconds > role.max_session:
        raise ApiError(
            "ValidationException", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        )
    token = secrets.token_urlsafe(96)
    session = Session(
        access_key="ASIA" + secrets.token_hex(8).upper(),
        token_digest=digest(token),
        role_arn=role.arn,
        session_name=params["RoleSessionName"],
        expires=float(int(context.now) + seconds),
        source_identity=params.get("SourceIdentity", context.caller.source_identity),
        tags={tag["Key"]: tag["Value"] for tag in params.get("Tags", ())},
    )
    _forget_expired(context)
    context.state.sessions[session.access_key] = session
    return _described(session, token)


def get_caller_identity(context: Context, params: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001
    """Say who calls."""
    return {"UserId": context.caller.user_id, "Account": context.caller.account, "Arn": context.caller.arn}


def _trusted(context: Context, params: dict[str, Any]) -> Role:
    arn = params["RoleArn"]
    parts = arn.split(":")
    account = context.state.accounts.get(parts[4]) if len(parts) > 5 else None
    role = account.roles.get(arn) if account else None
    known = context.caller.source_identity
    changes_source = bool(known) and params.get("SourceIdentity", known) != known
    if (
        role is None
        or changes_source
        or (role.external_id is not None and params.get("ExternalId") != role.external_id)
    ):
        message = f"User: {context.caller.arn} is not authorized to perform: sts:AssumeRole on resource: {arn}"
        raise ApiError("AccessDenied", message, 403)
    return role


def _forget_expired(context: Context) -> None:
    sessions = context.state.sessions
    # An hour longer than they are good for: so long an expired key is told from an unknown one.
    for key in [key for key, session in sessions.items() if session.expires + 3600 < context.now]:
        del sessions[key]


def _described(session: Session, token: str) -> dict[str, Any]:
    account, name = session.role_arn.split(":")[4], session.role_arn.rsplit("/", 1)[-1]
    return {
        "Credentials": {
            "AccessKeyId": session.access_key,
            "SecretAccessKey": secrets.token_urlsafe(30),
            "SessionToken": token,
            "Expiration": session.expires,
        },
        "AssumedRoleUser": {
            "AssumedRoleId": f"AROADEMO{digest(session.role_arn)[:13].upper()}:{session.session_name}",
            "Arn": f"arn:aws:sts::{account}:assumed-role/{name}/{session.session_name}",
        },
        "SourceIdentity": session.source_identity or None,
    }


SERVICE = Service(
    name="sts",
    operations={"AssumeRole": assume_role, "GetCallerIdentity": get_caller_identity},
    reads=frozenset({"GetCallerIdentity"}),
    codes={
        "ValidationException": "ValidationError",
        "ThrottlingException": "Throttling",
        "UnrecognizedClientException": "InvalidClientTokenId",
        "MissingAuthenticationTokenException": "MissingAuthenticationToken",
        "IncompleteSignatureException": "IncompleteSignature",
        "InvalidSignatureException": "SignatureDoesNotMatch",
        "ExpiredTokenException": "ExpiredToken",
        "SerializationException": "MalformedInput",
        "UnknownOperationException": "InvalidAction",
    },
)
