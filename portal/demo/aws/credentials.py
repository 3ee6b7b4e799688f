"""Who is calling: read from the SigV4 Authorization header. The signature itself is not verified."""

import re
from dataclasses import dataclass, field
from email.message import Message

from portal.demo.aws.errors import ApiError
from portal.demo.aws.rows import Session, digest
from portal.demo.aws.state import State

# "AKIADEMO" and an account number of twelve digits; all noughts stand for the portal's home account.
_DEMO_KEY = re.compile(r"AKIADEMO(\d{12})")
_HEADER = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>\w{16,128})/(?P<date>\d{8})/(?P<region>[a-z0-9-]+)/(?P<service>[a-z0-9-]+)"
    r"/aws4_request,\s*SignedHeaders=(?P<signed>[a-z0-9;-]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)
_USER = "studio-portal"


@dataclass(frozen=True)
class Caller:
    """The identity behind a request: `session_name` is empty for long-lived keys."""

    account: str
    region: str
    arn: str
    user_id: str
    session_name: str = ""
    source_identity: str = ""
    tags: dict[str, str] = field(default_factory=dict)


def identify(state: State, headers: Message, service: str) -> Caller:
    """Return who signed the request for `service`.

    Raises ApiError for a missing or malformed signature, a scope of another service, unknown or expired keys.
    """
    header = headers.get("Authorization")
    if not header:
        raise ApiError("MissingAuthenticationTokenException", "Missing Authentication Token", 403)
    found = _HEADER.fullmatch(header)
    if (
        not found
        or "host" not in found["signed"].split(";")
        or not headers.get("X-Amz-Date", "").startswith(found["date"])
    ):
        raise ApiError("IncompleteSignatureException", "Authorization header is not a complete SigV4 signature", 403)
    if found["service"] != service:
        message = f"Credential should be scoped to correct service: '{service}'."
        raise ApiError("InvalidSignatureException", message, 403)
    token = headers.get("X-Amz-Security-Token", "")
    session = state.sessions.get(found["key"])
    if session:
        return _assumed(session, found["region"], token, state.clock.now())
    demo = _DEMO_KEY.fullmatch(found["key"])
    account = demo and (state.home_account if not int(demo[1]) else demo[1])
    if not account or token or account not in state.accounts:
        raise _unrecognized()
    return Caller(account, found["region"], f"arn:aws:iam::{account}:user/{_USER}", "AIDADEMOSTUDIOPORTAL")


def _assumed(session: Session, region: str, token: str, now: float) -> Caller:
    if digest(token) != session.token_digest:
        raise _unrecognized()
    if now >= session.expires:
        raise ApiError("ExpiredTokenException", "The security token included in the request is expired", 403)
    account, role = session.role_arn.split(":")[4], session.role_arn.rsplit("/", 1)[-1]
    return Caller(
        account=account,
        region=region,
        arn=f"arn:aws:sts::{account}:assumed-role/{role}/{session.session_name}",
        user_id=f"AROADEMO{digest(session.role_arn)[:13].upper()}:{session.session_name}",
        session_name=session.session_name,
        source_identity=session.source_identity,
        tags=session.tags,
    )


def _unrecognized() -> ApiError:
    return ApiError("UnrecognizedClientException", "The security token included in the request is invalid.", 403)
