"""Access that is given by hand, until a day: by an owner of the team or a portal admin, never by the person."""

from datetime import date, datetime, time, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from teams import audit, memberships, owners
from teams.models import AuditEvent, Farewell, Grant, Team, User
from teams.owners import NotAllowedError
from teams.signals import send_mail_due
from teams.wording import one_line

REASON_LENGTH = 500
USUAL_DAYS = 90
# How long a farewell waits for a mail server before nobody needs it any more.
FAREWELL_DAYS = 3


def give(*, user: User, team: Team, until: datetime, reason: str, by: User) -> Grant:
    """Give a person access to a team until a moment; whoever has been given it already has it until then instead.

    Raises NotAllowedError when `by` may not give it, for an end that is over or too far away, and without a reason.
    """
    reason = worded(reason)
    with transaction.atomic():
        user, team = enter(user.pk), team_now(team)
        check(user=user, team=team, until=until, by=by)
        audit.record(
            AuditEvent.Action.ACCESS_GIVEN,
            target=user.username,
            team=team.slug,
            reason=reason,
            data={"until": until.isoformat()},
            actor=by.username,
        )
        return put(user=user, team=team, until=until, reason=reason, by=by)


def put(*, user: User, team: Team, until: datetime, reason: str, by: User, told: bool = False) -> Grant:
    """Write down what was decided and audited, in the caller's transaction, which has entered and checked.

    `told` says that the person learns of it in another way than by the mail about what was given.
    """
    now = timezone.now()
    # Nobody need be reminded of what they have just been told.
    short = until - now <= timedelta(days=settings.ACCESS_REMINDER_DAYS)
    values = {
        "reason": reason,
        "given_by": by.username,
        "given_at": now,
        "valid_until": until,
        "person_told_at": now if told else None,
        "reminded_at": now if short else None,
        "mail_after": now,
    }
    grant, _created = Grant.objects.update_or_create(user=user, team=team, defaults=values)
    memberships.give(user, team, until=until)
    send_mail_due()
    return grant


def take_back(*, user: User, team: Team, by: User, reason: str) -> None:
    """Take back what was given by hand; access by groups stays. Raises NotAllowedError where there is nothing."""
    reason = worded(reason)
    with transaction.atomic():
        user, team = enter(user.pk), team_now(team)
        require_decider(by, team)
        given, _ = Grant.objects.filter(user=user, team=team).delete()
        if not memberships.take_back(user, team, reason=reason) and not given:
            raise NotAllowedError(f"{user} has no access to {team} that was given by hand.")
        audit.record(
            AuditEvent.Action.ACCESS_TAKEN, target=user.username, team=team.slug, reason=reason, actor=by.username
        )
        Farewell.objects.create(user=user, team=team, reason=reason)
        send_mail_due()


def expire() -> int:
    """Delete the words about what has ended, with the evidence, and old farewells; return how much had ended."""
    now = timezone.now()
    with transaction.atomic():
        memberships.share()
        ended, _ = Grant.objects.filter(valid_until__lte=now).delete()
        Farewell.objects.filter(taken_at__lte=now - timedelta(days=FAREWELL_DAYS)).delete()
    memberships.expire()
    return ended


def check(*, user: User, team: Team, until: datetime, by: User) -> None:
    """Raise NotAllowedError unless `by` may give this person access to this team until then."""
    require_decider(by, team)
    if by.pk == user.pk:
        raise NotAllowedError("Nobody gives access to themselves; ask another owner or a portal admin.")
    if not user.is_active:
        raise NotAllowedError(f"{user} is not active any more.")
    if not team.is_active:
        raise NotAllowedError(f"The team {team} is not active.")
    if until <= timezone.now():
        raise NotAllowedError("The end of the access must be in the future.")
    if timezone.localdate(until) > last_day():
        raise NotAllowedError(f"Access can be given for {settings.ACCESS_MAX_DAYS} days at most.")


def require_decider(by: User, team: Team) -> None:
    """Raise NotAllowedError unless `by` owns the team or is a portal admin, and is active."""
    if not owners.decides(by, team):
        raise NotAllowedError("Only owners of the team and portal admins may do this.")


def enter(user_id: int) -> User:
    """Return the person as they are now, locked behind the gate of `memberships` until the transaction ends."""
    memberships.share()
    user = User.objects.select_for_update(no_key=True).filter(pk=user_id).first()
    if user is None:
        raise NotAllowedError("This person is no longer known here.")
    return user


def team_now(team: Team) -> Team:
    """Return the team as it is now."""
    found = Team.objects.filter(pk=team.pk).first()
    if found is None:
        raise NotAllowedError("This team is no longer there.")
    return found


def worded(reason: str) -> str:
    """Return a reason on one line, without invisible characters. Raises NotAllowedError when it is empty or long."""
    text = one_line(reason)
    if not text:
        raise NotAllowedError("Give a reason.")
    if len(text) > REASON_LENGTH:
        raise NotAllowedError(f"A reason has {REASON_LENGTH} characters at most.")
    return text


def last_day() -> date:
    """Return the last day until which access can be given today."""
    return timezone.localdate() + timedelta(days=settings.ACCESS_MAX_DAYS)


def usual_day() -> date:
    """Return the last day that forms offer."""
    return timezone.localdate() + timedelta(days=min(USUAL_DAYS, settings.ACCESS_MAX_DAYS))


def end_of(day: date) -> datetime:
    """Return the last second of a day in the portal's time zone: “until Friday” has Friday in it."""
    return timezone.make_aware(datetime.combine(day, time(23, 59, 59)))


def find_person(who: str) -> User:
    """Return the active person with exactly this user name, or else with this mail address, whatever its case.

    Raises NotAllowedError when there is none, or when several people have the address.
    """
    who = one_line(who)
    active = User.objects.filter(is_active=True)
    named = active.filter(username=who).first() if who else None
    if named is not None:
        return named
    found = list(active.filter(email__iexact=who)[:2]) if "@" in who else []
    if len(found) > 1:
        raise NotAllowedError("Several people have this mail address; give the user name.")
    if not found:
        raise NotAllowedError("Nobody here has this user name or mail address; people are known once they signed on.")
    return found[0]
