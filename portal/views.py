"""The pages that people see: landing, launch, progress, sign-out and errors."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from http import HTTPStatus
from typing import Concatenate, ParamSpec
from urllib.parse import quote

from django.conf import settings
from django.contrib.auth import logout
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from portal import breakglass as emergency
from portal import single_sign_on, throttle
from portal.saml import evidence, logout_views
from portal.saml import logout as saml_logout
from portal.spent import budget_spent
from provisioning import crowd, landings, launch, profiles, sso
from provisioning import tiles as tiles_of
from provisioning.aws.errors import AwsError, Denied, Throttled, Transient
from provisioning.models import Profile
from provisioning.places import LANDINGS
from provisioning.running import own
from provisioning.tiles import TeamTile
from teams import access, audit, owners, users
from teams.models import AuditEvent, Team, User

logger = logging.getLogger(__name__)

P = ParamSpec("P")

LABELS: dict[str, str] = {
    Profile.State.READY: "Ready",
    Profile.State.CREATING: "Being prepared",
    Profile.State.WANTED: "Being prepared",
    Profile.State.FAILED: "Needs attention",
    Profile.State.CONFLICT: "Needs attention",
}
PREPARING = frozenset({Profile.State.WANTED, Profile.State.CREATING})
TROUBLE = frozenset({Profile.State.FAILED, Profile.State.CONFLICT})


class HttpResponseSeeOther(HttpResponseRedirect):
    """A 303: whatever the method was, go on with GET."""

    status_code = HTTPStatus.SEE_OTHER


@dataclass(frozen=True)
class Tile:
    """One team on the landing page."""

    team: TeamTile
    state: str
    detail: str

    @property
    def state_label(self) -> str:
        """The state in a word or two; a spent budget is in the way whatever the profile's state is."""
        if self.team.budget_spent:
            return "Budget spent"
        return LABELS.get(self.state, "Not prepared yet")

    @property
    def open_url(self) -> str:
        """Where the button posts to."""
        return reverse("open", args=[self.team.slug])

    @property
    def ready(self) -> bool:
        """Whether one click goes straight to Studio."""
        return self.state == Profile.State.READY


def signed_on(
    view: Callable[Concatenate[HttpRequest, User, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Hand the signed-on person to the view; send everybody else to sign on, also the page around an htmx poll."""

    @wraps(view)
    def wrapper(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if isinstance(request.user, User):
            return view(request, request.user, *args, **kwargs)
        target = f"{settings.LOGIN_URL}?next={quote(request.path)}"
        if request.headers.get("HX-Request"):
            return HttpResponse(status=HTTPStatus.NO_CONTENT, headers={"HX-Redirect": target})
        return HttpResponseSeeOther(target)

    return never_cache(wrapper)


@never_cache
@require_safe
def landing(request: HttpRequest) -> HttpResponse:
    """One tile for each team of the person who is signed on; who nobody is signed on, the way to do so."""
    user = request.user
    if not isinstance(user, User):
        return render(request, "portal/signed_out.html")
    context: dict[str, object] = {"person": user, "support_contact": settings.SUPPORT_CONTACT}
    whole = not request.headers.get("HX-Request")
    if whole:
        # A poll takes the tiles only.
        context["overview"] = owners.overview(user)
        context["apps"] = own.of(user)
    found, context["costs"] = tiles_of.for_user(user, whole)
    tiles = [_tile(each) for each in found]
    if not tiles:
        return render(request, "portal/no_team.html", context)
    preparing = any(tile.state in PREPARING for tile in tiles)
    context |= {"tiles": tiles, "preparing": preparing, "slugs": {tile.team.slug for tile in tiles}}
    page = render(request, "portal/landing.html", context)
    return single_sign_on.led_out(page, through_identity_center=any(tile.team.single_sign_on for tile in tiles))


def _tile(team: TeamTile) -> Tile:
    if team.budget_spent:
        return Tile(team, "spent", "Studio does not open until next month, unless an administrator lifts the budget.")
    detail = _explain(team.state, team.due_at) if team.state in TROUBLE else ""
    return Tile(team, _shown(team.state) or "none", detail)


def _shown(state: str | None) -> str | None:
    """Return the state as it concerns a person with access: what was being retired is being prepared again."""
    return Profile.State.WANTED if state in {Profile.State.RETIRING, Profile.State.RETIRED} else state


def _explain(state: str | None, due_at: datetime | None, error_code: str | None = "") -> str:
    """Say what is wrong in words for the person; the exact error is for admins."""
    if error_code in sso.CONFLICTS:
        return "AWS has another profile in the way of yours in this team’s domain. An administrator has to look at it."
    if state == Profile.State.CONFLICT:
        return "AWS has a profile of this name that the portal did not make. An administrator has to look at it."
    if due_at is not None:
        return "AWS did not create your profile yet. The portal keeps trying."
    return "AWS did not create your profile. Try again, or ask for help if it keeps failing."


@require_http_methods(["GET", "HEAD", "POST"])
@signed_on
def open_studio(request: HttpRequest, user: User, slug: str) -> HttpResponse:
    """Launch: authorise again, then go to Studio, or to the page that shows how far the profile is.

    404 for a team that is not this person's, whether it exists or not.
    """
    if request.method != "POST":
        # A reloaded page, or one that sign-on came back to: minting a URL takes a click.
        return redirect("landing")
    target = launch.find(user, slug)
    if target is None:
        return _not_theirs(user, slug)
    if target.budget_spent:
        return budget_spent(request, user, target)
    landing = request.POST.get("landing", "")
    try:
        target = landings.choose(target, landing=landing, space=request.POST.get("space", ""))
    except landings.NoSuchPlaceError as error:
        return _error(
            HTTPStatus.NOT_FOUND, "Studio does not open there", str(error), action_url="/",
            action_label="Back to your teams",
        )  # fmt: skip
    if not target.ready:
        profiles.request(user_id=user.pk, team_id=target.team_id)
        return HttpResponseSeeOther(_progress_url(slug, landing))
    if target.address:
        return single_sign_on.enter(target)
    try:
        presigned = launch.open_studio(target)
    except launch.NotReady:
        return HttpResponseSeeOther(_progress_url(slug, landing))
    except AwsError as error:
        return _launch_failed(request, target, error)
    if not launch.is_still_theirs(target):
        launch.record_thrown_away(target, presigned)
        return HttpResponseSeeOther(reverse("progress", args=[slug]))
    launch.record(target, presigned)
    response = HttpResponseSeeOther(presigned.url)
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "no-referrer"
    return response


def _progress_url(slug: str, landing: str) -> str:
    """Return the address of the progress page, which goes on to the place that was asked for."""
    return reverse("progress", args=[slug]) + (f"?landing={landing}" if landing else "")


@require_safe
@signed_on
def team_link(request: HttpRequest, user: User, slug: str) -> HttpResponse:
    """The address of a team that people keep: a page that posts the launch by itself, once, or by its button.

    404 for a team that is not this person's, whether it exists or not.
    """
    found = access.find(user, slug)
    if found is None:
        return _not_theirs(user, slug)
    page = render(request, "portal/team_link.html", {"person": user, "team": found.team})
    return single_sign_on.led_out(page, through_identity_center=single_sign_on.is_entered(found.team.domain))


def _not_theirs(user: User, slug: str) -> HttpResponse:
    """404 for a team that this person may not open; by name only for who had a profile in it, raised for all others."""
    team = Team.objects.filter(slug=slug, profiles__user=user.pk).first()
    if team is None:
        raise Http404
    contact = team.contact or settings.SUPPORT_CONTACT
    message = (
        f"Nothing gives you access to {team} at the moment, so Studio does not open. If you still need it, "
        f"ask {contact or 'the people who run this portal'}."
    )
    return _error(
        HTTPStatus.NOT_FOUND,
        f"You no longer have access to {team}",
        message,
        action_url=reverse("landing"),
        action_label="Back to your teams",
    )


def _launch_failed(request: HttpRequest, target: launch.Target, error: AwsError) -> HttpResponse:
    reference = audit.current().request_id[:12]
    logger.warning("Launch of %s failed: %s: %s", target.profile_name, error.code, error.message)
    audit.record(
        AuditEvent.Action.LAUNCH,
        outcome=AuditEvent.Outcome.FAILED,
        target=target.profile_name,
        team=target.slug,
        reason=f"{error.code}: {error.message}",
        aws_request_id=error.request_id,
    )
    if isinstance(error, Throttled):
        message = "AWS is busy at the moment. Wait a few seconds and try again."
    elif isinstance(error, Transient):
        message = "AWS did not answer in time. Try again in a moment."
    elif isinstance(error, Denied):
        message = "AWS does not let the portal open this team's Studio. Trying again will not help; ask for help."
    else:
        message = "AWS did not open this team's Studio. Try again, or ask for help if it keeps failing."
    team = Team.objects.get(pk=target.team_id)
    context = {
        "person": request.user,
        "team": team,
        "message": message,
        "reference": reference,
        "support_contact": team.contact or settings.SUPPORT_CONTACT,
        # Without it the page offers no other try.
        "open_url": "" if isinstance(error, Denied) else reverse("open", args=[target.slug]),
    }
    return render(request, "portal/launch_failed.html", context, status=HTTPStatus.SERVICE_UNAVAILABLE)


@require_safe
@signed_on
def progress(request: HttpRequest, user: User, slug: str) -> HttpResponse:
    """How far the profile is: a page, or for an htmx poll the part of it that moves. Nothing is written here."""
    found = tiles_of.standing(user, slug)
    if found is None:
        return _not_theirs(user, slug)
    state = _shown(found.state) or Profile.State.WANTED
    waits = single_sign_on.waits_for(found) if state == Profile.State.READY else ""
    wrong = bool(waits) and single_sign_on.is_wrong(found)
    failed = wrong or state in TROUBLE
    landing = request.GET.get("landing", "")
    landing = landing if landing in LANDINGS else ""
    context = {
        "person": user,
        "team": found,
        "state": state,
        "label": LABELS[Profile.State.FAILED if wrong else state],
        "detail": waits or (_explain(state, found.due_at, found.error_code) if failed else ""),
        "waits": waits,
        "failed": failed,
        "ready": state == Profile.State.READY and not waits,
        "poll": _poll_every(found.changed_at) if state in PREPARING or (waits and not wrong) else "",
        "open_url": reverse("open", args=[slug]),
        "landing": landing,
        "progress_url": _progress_url(slug, landing),
        "support_contact": found.contact or settings.SUPPORT_CONTACT,
        "reference": audit.current().request_id[:12],
    }
    template = "portal/_progress.html" if request.headers.get("HX-Request") else "portal/progress.html"
    page = render(request, template, context)
    return single_sign_on.led_out(page, through_identity_center=single_sign_on.is_entered(found))


def _poll_every(changed_at: datetime | None) -> str:
    """Return how often the page asks: often at first, when most profiles become ready, then ever more rarely."""
    if changed_at is None:
        return "1s"
    waited = (timezone.now() - changed_at).total_seconds()
    return "300ms" if waited < crowd.PROMPT_FOR else "1s" if waited < 60 else "3s"


@require_http_methods(["POST"])
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session here, whatever happens then, and go on to the identity provider to end the one there."""
    known = request.session.get(saml_logout.SESSION_KEY)
    if isinstance(request.user, User):
        with transaction.atomic():
            audit.record(AuditEvent.Action.SIGN_OUT, target=request.user.username, data={"how": "here"})
            evidence.end(request.user, request.session)
    logout(request)
    outgoing = saml_logout.leave(known, request.saml_session)  # type: ignore[attr-defined]
    return HttpResponseSeeOther(reverse("landing")) if outgoing is None else logout_views.send(request, outgoing)


@require_http_methods(["POST"])
@signed_on
def sign_out_everywhere(request: HttpRequest, user: User) -> HttpResponse:
    """End this person's sessions in every browser, this one included."""
    users.end_sessions(user)
    logout(request)
    return HttpResponseSeeOther(reverse("landing"))


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def breakglass(request: HttpRequest) -> HttpResponse:
    """The other end of `manage.py breakglass`: what follows a link only looks at it, the button uses it."""
    token = request.POST.get("token", "") if request.method == "POST" else request.GET.get("token", "")
    try:
        if request.method == "POST":
            emergency.sign_on(request, token)
            return HttpResponseSeeOther(reverse("admin:index"))
        ticket = emergency.look(token)
    except emergency.RefusedError as refused:
        logger.warning("A one-time sign-on was refused: %s", refused)
        throttle.audit_now_and_then(
            AuditEvent.Action.SIGN_ON, about=str(refused), reason=str(refused), data={"by": "one-time sign-on"}
        )
        message = f"{refused} Make a new one with manage.py breakglass."
        return _error(HTTPStatus.FORBIDDEN, "You are not signed on", message)
    return render(request, "portal/breakglass.html", {"ticket": ticket, "token": token})


def _error(status: HTTPStatus, title: str, message: str, **more: str) -> HttpResponse:
    context = {
        "status": int(status),
        "title": title,
        "message": message,
        "reference": audit.current().request_id[:12],
        **more,
    }
    return HttpResponse(render_to_string("portal/error.html", context), status=status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400: the request cannot be read."""
    return _error(HTTPStatus.BAD_REQUEST, "Bad request", "The portal could not read this request.")


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403: signed on, but not allowed."""
    return _error(
        HTTPStatus.FORBIDDEN,
        "Not allowed",
        "Your account may not open this page.",
        action_url="/",
        action_label="Back to your teams",
    )


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404: no such page, or a team that is not this person's."""
    return _error(
        HTTPStatus.NOT_FOUND,
        "Page not found",
        "There is nothing here, or it is not yours to open.",
        action_url="/",
        action_label="Back to your teams",
    )


def server_error(request: HttpRequest) -> HttpResponse:
    """500: our fault; the reference finds the log line."""
    return _error(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Something went wrong",
        "The portal could not finish this request. It has been noted; try again in a moment.",
        action_url="/",
        action_label="Back to your teams",
    )


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403: a form that was open too long, or cookies that are switched off."""
    return _error(
        HTTPStatus.FORBIDDEN,
        "Please try that again",
        "This page was open too long, or your browser does not accept cookies. Go back to your teams and try again.",
        action_url="/",
        action_label="Back to your teams",
    )
