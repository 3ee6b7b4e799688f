"""Requests to join a team: asked by a person, decided once by somebody else, or withdrawn."""

from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from teams import access, audit, grants
from teams.models import AccessRequest, AuditEvent, Membership, Team, User
from teams.owners import NotAllowedError
from teams.signals import send_mail_due

# Of one person: requests that wait, and requests a day, withdrawn ones included: each is a mail to somebody.
MAX_WAITING = 10
MAX_A_DAY = 20

State = AccessRequest.State


def ask(*, user: User, team: Team, reason: str) -> AccessRequest:
    """Ask for a team that is listed for request. Raises NotAllowedError, which says why, where that cannot be."""
    reason = grants.worded(reason)
    with transaction.atomic():
        user, team = grants.enter(user.pk), grants.team_now(team)
        _check_ask(user, team)
        request = AccessRequest.objects.create(user=user, team=team, reason=reason)
        _record(AuditEvent.Action.ACCESS_REQUESTED, request, by=user, reason=reason)
        send_mail_due()
    return request


def approve(*, request: AccessRequest, by: User, until: datetime, reason: str = "") -> None:
    """Let the person in until a moment. Raises NotAllowedError where `by` may not, or somebody else was faster."""
    reason = grants.worded(reason) if reason.strip() else ""
    with transaction.atomic():
        request = _locked(request)
        grants.check(user=request.user, team=request.team, until=until, by=by)
        _decide(request, State.APPROVED, by=by, reason=reason)
        data = {"until": until.isoformat(), "request": request.reason}
        _record(AuditEvent.Action.ACCESS_APPROVED, request, by=by, reason=reason, data=data)
        # The mail about the decision tells of the access too.
        grants.put(user=request.user, team=request.team, until=until, reason=request.reason, by=by, told=True)


def refuse(*, request: AccessRequest, by: User, reason: str) -> None:
    """Turn a request down. Raises NotAllowedError where `by` may not, or somebody else was faster."""
    reason = grants.worded(reason)
    with transaction.atomic():
        request = _locked(request)
        grants.require_decider(by, request.team)
        if by.pk == request.user_id:
            raise NotAllowedError("Nobody decides on their own request; withdraw it instead.")
        _decide(request, State.REFUSED, by=by, reason=reason)
        _record(AuditEvent.Action.ACCESS_REFUSED, request, by=by, reason=reason, data={"request": request.reason})
        send_mail_due()


def withdraw(*, request: AccessRequest, by: User) -> None:
    """Take one's own request back. Raises NotAllowedError for anybody else's, and once it is decided."""
    with transaction.atomic():
        request = _locked(request)
        if by.pk != request.user_id:
            raise NotAllowedError("Only who asked can withdraw a request.")
        _decide(request, State.WITHDRAWN, by=by, reason="")
        _record(AuditEvent.Action.ACCESS_WITHDRAWN, request, by=by, reason="")


def _check_ask(user: User, team: Team) -> None:
    if not user.is_active:
        raise NotAllowedError("Your account is not active.")
    if not (team.is_active and team.is_requestable):
        raise NotAllowedError("This team cannot be asked for.")
    if Membership.objects.filter(access.live(), user=user, team=team).exists():
        raise NotAllowedError(f"You are in the team {team} already.")
    own = AccessRequest.objects.filter(user=user)
    if own.filter(team=team, state=State.PENDING).exists():
        raise NotAllowedError(f"You have asked for the team {team} already.")
    if own.filter(state=State.PENDING).count() >= MAX_WAITING:
        raise NotAllowedError(f"{MAX_WAITING} of your requests are waiting; withdraw one first.")
    if own.filter(asked_at__gt=timezone.now() - timedelta(days=1)).count() >= MAX_A_DAY:
        raise NotAllowedError("You have asked very often today; try again tomorrow.")


def _locked(request: AccessRequest) -> AccessRequest:
    """Return a request that is still undecided, locked; the person's row comes first, as in `ask`."""
    grants.enter(request.user_id)
    rows = AccessRequest.objects.select_for_update(of=("self",)).select_related("user", "team")
    found = rows.filter(pk=request.pk).first()
    if found is None:
        raise NotAllowedError("This request is no longer there.")
    if found.state != State.PENDING:
        raise NotAllowedError(f"This request has been {found.get_state_display()} already.")
    return found


def _decide(request: AccessRequest, state: AccessRequest.State, *, by: User, reason: str) -> None:
    now = timezone.now()
    request.state, request.decided_at, request.decided_by, request.decision = state, now, by.username, reason
    request.mail_after = now
    request.save(update_fields=["state", "decided_at", "decided_by", "decision", "mail_after"])


def _record(
    action: AuditEvent.Action, request: AccessRequest, *, by: User, reason: str, data: dict[str, str] | None = None
) -> None:
    audit.record(
        action,
        target=request.user.username,
        team=request.team.slug,
        reason=reason,
        data=data,
        actor=by.username,
    )
