"""A launch: authorise again, mint one URL, ask once more, record it. In SSO mode: authorise again, record, go.

A measured path: one query before the one call of AWS, the same query after it, one audit row.

Where the account has a role, the URL is minted in a session of it that is named after the person, unless the account's
row says otherwise; once an hour and person that takes a call of STS more.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, FilteredRelation, OuterRef, Q, QuerySet
from django.utils import timezone

from provisioning import desired, places, queue, sso_domains
from provisioning.aws.client import Account, Session, warm
from provisioning.aws.errors import AlreadyExists, Denied, Invalid, NotFound
from provisioning.aws.studio import Presigned, Studio
from provisioning.costs import budgets, months
from provisioning.database import give_back_connection
from provisioning.models import Profile
from provisioning.naming import session_name
from teams import access, audit
from teams.models import AuditEvent, Domain, Membership, User
from teams.prepared import Prepared

# How often, and within which time, a profile that AWS does not open is looked at again before it counts as failed.
MAX_LOOKS = 3
LOOK_AGAIN_WITHIN = timedelta(minutes=10)


class NotReady(Exception):  # noqa: N818  (a turn of the story, not a fault)
    """AWS says that the profile is gone or not in service; a worker has been asked to make it good."""


@dataclass(frozen=True)
class Target:
    """What one person may open: the team, the profile as the portal knows it, and the role it must have now.

    `session` is that of the account's role in which the URL is minted; None: the portal's own. `landing_uri` and
    `space_name` are where Studio opens, empty: as it likes. `budget_spent` says that a budget keeps the person out
    until the month turns or an admin lifts it.
    """

    user_id: int
    team_id: int
    slug: str
    session_duration: int
    url_lifetime: int
    account: Account
    account_id: str
    region: str
    domain_id: str
    execution_role_arn: str
    profile_id: int | None
    profile_name: str
    ready: bool
    session: Session | None = None
    # In SSO mode nothing is minted: people enter at the domain's own address, empty in IAM mode.
    address: str = ""
    landing_uri: str = ""
    space_name: str = ""
    # The places in Studio that the team's settings close.
    closed: frozenset[str] = frozenset()
    budget_spent: bool = False


def find(user: User, slug: str) -> Target | None:
    """Return this person's way into a team, or None when it is not theirs, whether or not it exists.

    `ready` is true only for a profile in the team's present domain with the role that the mappings give now, and in SSO
    mode once the domain's address is known.
    """
    row = _fetch(user.pk, slug)
    if row is None:
        return None
    address = sso_domains.door_of(row["auth_mode"], row["real_auth_mode"], row["address"])
    ready = (
        row["state"] == Profile.State.READY
        and row["profile_role"] == row["role"]
        and row["profile_domain"] == row["domain_pk"]
        and bool(address or row["auth_mode"] != Domain.AuthMode.SSO)
    )
    return Target(
        user_id=user.pk,
        team_id=row["team_id"],
        slug=slug,
        session_duration=row["session_duration"],
        url_lifetime=row["url_lifetime"],
        account=Account(row["role_arn"], row["external_id"], row["uses_source_identity"]),
        account_id=row["account_id"],
        region=row["region"],
        domain_id=row["domain_id"],
        execution_role_arn=row["role"],
        profile_id=row["profile_id"],
        profile_name=row["profile_name"] or "",
        ready=ready,
        session=_session(user, slug, row),
        address=address,
        landing_uri=row["landing_uri"],
        space_name=row["space_name"],
        closed=places.closed(row["hidden_apps"], row["web_portal"]),
        budget_spent=row["budget_spent"],
    )


def _session(user: User, slug: str, row: dict[str, Any]) -> Session | None:
    if not (row["role_arn"] and row["names_sessions"]):
        return None
    tags = (("team", slug), ("user", desired.tag_value(user.username))) if row["session_tags"] else ()
    return Session(session_name(user.username), tags)


def open_studio(target: Target) -> Presigned:
    """Mint a URL with one call of AWS, and one of STS where the person's session is to be begun or renewed.

    No database connection is held meanwhile. A space that AWS does not know or open is left out with a second call:
    Studio without it is better than none.

    Raises NotReady when AWS has no such profile or it is not in service, after asking a worker to look, and what
    `aws.errors` names for every other failure.
    """
    give_back_connection()
    studio = Studio(target.account, target.region, "launch", target.session)
    try:
        return _mint(studio, target)
    except NotFound as error:
        _look_again(target, error)
    except AlreadyExists as error:
        # ResourceInUse: the profile is busy with a change.
        _look_again(target, error)
    except Invalid as error:
        if not _tells_of_status(error.message):
            raise
        _look_again(target, error)
    raise NotReady


def _mint(studio: Studio, target: Target) -> Presigned:
    def mint(space: str) -> Presigned:
        return studio.presigned_url(
            target.domain_id,
            target.profile_name,
            session_duration=target.session_duration,
            url_lifetime=target.url_lifetime,
            landing_uri=target.landing_uri,
            space=space,
        )

    try:
        return mint(target.space_name)
    except (NotFound, Invalid, AlreadyExists, Denied):
        # Whether it is the space or the profile that is missing, busy or forbidden is not documented.
        if not target.space_name:
            raise
    return mint("")


def is_still_theirs(target: Target) -> bool:
    """Whether the person may still open the team with this role; ask it once AWS has answered, which can take long."""
    row = _fetch(target.user_id, target.slug)
    return row is not None and row["role"] == target.execution_role_arn


def record_thrown_away(target: Target, presigned: Presigned) -> None:
    """Write the audit row of a URL that nobody gets, because access ended or changed while AWS made it."""
    audit.record(
        AuditEvent.Action.LAUNCH,
        outcome=AuditEvent.Outcome.FAILED,
        target=target.profile_name,
        team=target.slug,
        reason="Access ended or changed while AWS was asked; the URL was thrown away.",
        aws_request_id=presigned.request_id,
    )


def record(target: Target, presigned: Presigned) -> None:
    """Write the audit row of a launch, without the URL; call it before the redirect, so that no launch goes untold."""
    audit.record(
        AuditEvent.Action.LAUNCH,
        target=target.profile_name,
        team=target.slug,
        aws_request_id=presigned.request_id,
        data={
            "account": target.account_id,
            "region": target.region,
            "domain": target.domain_id,
            "profile": target.profile_name,
            "execution_role": target.execution_role_arn,
            "session_seconds": target.session_duration,
            **_arrival(target, presigned),
            # What CloudTrail has of it.
            **({"session_name": target.session.name} if target.session else {}),
        },
    )


def record_entry(target: Target) -> None:
    """Write the audit row of a launch in SSO mode; call it before the redirect to the domain's address."""
    audit.record(
        AuditEvent.Action.LAUNCH,
        target=target.profile_name,
        team=target.slug,
        data={
            "how": "SSO domain",
            "account": target.account_id,
            "region": target.region,
            "domain": target.domain_id,
            "profile": target.profile_name,
            "execution_role": target.execution_role_arn,
        },
    )


def _arrival(target: Target, presigned: Presigned) -> dict[str, str]:
    """Return what the log says of where Studio opens; nothing where that is left to Studio."""
    told = {"landing": target.landing_uri, "space": presigned.space}
    if target.space_name != presigned.space:
        told["space_not_opened"] = target.space_name
    return {name: value for name, value in told.items() if value}


def warm_clients() -> None:
    """Make the clients that launches will need, so that no person waits for them; call it when a process has started.

    One query, no call of AWS. The connection is given back.
    """
    targets = {(Account.of(domain.account), domain.region) for domain in Domain.objects.select_related("account")}
    give_back_connection()
    warm(targets)


def _tells_of_status(message: str) -> bool:
    """Whether AWS's words say that the profile is not in service; the code for that is not documented."""
    text = message.lower().replace(" ", "")
    return any(word in text for word in ("inservice", "pending", "updating", "deleting", "userprofilestatus"))


def _look_again(target: Target, error: NotFound | AlreadyExists | Invalid) -> None:
    if target.profile_id is None:
        return
    now = timezone.now()
    told: dict[str, Any] = {
        "target": target.profile_name,
        "team": target.slug,
        "reason": error.message,
        "aws_request_id": error.request_id,
        "data": {"domain": target.domain_id, "code": error.code},
    }
    # Only the first of many clicks finds it ready, and only that one is worth a line in the log.
    rows = Profile.objects.filter(pk=target.profile_id, state=Profile.State.READY)
    if _looked_often(target, now):
        with transaction.atomic():
            reason = f"AWS describes the profile as in service, and does not open it. {error.message}"[:500]
            if rows.update(
                state=Profile.State.FAILED, error_code=error.code, error=reason, due_at=None, changed_at=now
            ):
                audit.record(AuditEvent.Action.PROFILE_FAILED, outcome=AuditEvent.Outcome.FAILED, **told)
        return
    with transaction.atomic():
        # By its ARN the worker knows a busy one again, whatever the tags of its team are by now.
        gone = {"arn": ""} if isinstance(error, NotFound) else {}
        if rows.update(state=Profile.State.WANTED, due_at=now, changed_at=now, **gone):
            audit.record(AuditEvent.Action.PROFILE_MISSING, **told)
    profile_id = target.profile_id
    transaction.on_commit(lambda: queue.enqueue_ensure(profile_id))


def _looked_often(target: Target, now: datetime) -> bool:
    """Whether looking did not help several times in a row: page and worker would go round for ever."""
    action = AuditEvent.Action
    last = AuditEvent.objects.filter(
        target=target.profile_name,
        action__in=(action.PROFILE_MISSING, action.LAUNCH),
        outcome=AuditEvent.Outcome.SUCCESS,
        at__gt=now - LOOK_AGAIN_WITHIN,
    ).order_by("-id")[:MAX_LOOKS]
    return [event.action for event in last] == [action.PROFILE_MISSING] * MAX_LOOKS


_USER = -1
_SLUG = "the slug"
_MONTH = "the month"
_COLUMNS = {
    "team_id": F("team_id"),
    "session_duration": F("team__session_duration"),
    "url_lifetime": F("team__url_lifetime"),
    "domain_pk": F("team__domain_id"),
    "domain_id": F("team__domain__domain_id"),
    "region": F("team__domain__region"),
    "account_id": F("team__domain__account__account_id"),
    "role_arn": F("team__domain__account__role_arn"),
    "external_id": F("team__domain__account__external_id"),
    "uses_source_identity": F("team__domain__account__uses_source_identity"),
    "names_sessions": F("team__domain__account__names_sessions"),
    "session_tags": F("team__domain__account__session_tags"),
    "auth_mode": F("team__domain__auth_mode"),
    "real_auth_mode": F("team__domain__real_auth_mode"),
    "address": F("team__domain__url"),
    "landing_uri": F("team__landing_uri"),
    "space_name": F("team__space_name"),
    "hidden_apps": F(f"team__{places.HIDDEN_APPS}"),
    "web_portal": F(f"team__{places.WEB_PORTAL}"),
    "profile_id": F("own__id"),
    "profile_name": F("own__name"),
    "state": F("own__state"),
    "profile_role": F("own__execution_role_arn"),
    "profile_domain": F("own__domain_id"),
    "budget_spent": Exists(
        budgets.refusing(budgets.marked_month(_MONTH), team=OuterRef("team_id"), user=OuterRef("user_id"))
    ),
}
_NAMES = (*_COLUMNS, "role")


def _query() -> QuerySet[Membership, tuple[Any, ...]]:
    own = FilteredRelation("team__profiles", condition=Q(team__profiles__user_id=_USER))
    return (
        Membership.objects.filter(access.live(), user_id=_USER, team__slug=_SLUG)
        .alias(own=own)
        .order_by(*access.DECIDES)
        .values_list(*_COLUMNS.values(), access.ROLE)[:1]
    )


_TARGET = Prepared(_query, user=_USER, slug=_SLUG, month=_MONTH)


def _fetch(user_id: int, slug: str) -> dict[str, Any] | None:
    rows = _TARGET.rows(user=user_id, slug=slug, month=months.of(timezone.now()))
    return dict(zip(_NAMES, rows[0], strict=True)) if rows else None
