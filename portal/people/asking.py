"""The page on which a person asks to join teams, and sees what became of it."""

from datetime import timedelta
from http import HTTPStatus

from django.contrib import messages
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from portal.people.forms import ReasonForm, key, valid
from portal.views import HttpResponseSeeOther, signed_on
from teams import grants, owners, requests
from teams.models import AccessRequest, Team, User
from teams.owners import NotAllowedError
from teams.wording import one_line

SHOWN = 200
# What was decided longer ago is no news.
RECENT = timedelta(days=90)
RECENT_SHOWN = 10


@require_http_methods(["GET", "HEAD", "POST"])
@signed_on
def request_page(request: HttpRequest, user: User) -> HttpResponse:
    """Teams to ask for, one's own requests, and the buttons of both; a refused form comes back with what was typed."""
    if request.method != "POST":
        return _page(request, user)
    if request.POST.get("do") == "withdraw":
        return _withdraw(request, user)
    return _ask(request, user)


def _ask(request: HttpRequest, user: User) -> HttpResponse:
    team = Team.objects.filter(slug=one_line(request.POST.get("team", "")), is_active=True, is_requestable=True).first()
    if team is None:
        # Hidden or not there at all: nobody learns which.
        raise Http404
    try:
        requests.ask(user=user, team=team, reason=valid(ReasonForm(request.POST))["reason"])
    except NotAllowedError as error:
        typed = {"slug": team.slug, "fault": str(error), "reason": request.POST.get("reason", "")}
        return _page(request, user, typed=typed, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    messages.success(request, f"You have asked to join {team}. You will hear from its owners.")
    return HttpResponseSeeOther(reverse("request"))


def _withdraw(request: HttpRequest, user: User) -> HttpResponse:
    wanted = get_object_or_404(AccessRequest, user=user, pk=key(request.POST.get("request", "")))
    try:
        requests.withdraw(request=wanted, by=user)
        messages.success(request, "Your request was withdrawn.")
    except NotAllowedError as error:
        messages.error(request, str(error))
    return HttpResponseSeeOther(reverse("request"))


def _page(
    request: HttpRequest, user: User, *, typed: dict[str, str] | None = None, status: HTTPStatus = HTTPStatus.OK
) -> HttpResponse:
    own = AccessRequest.objects.filter(user=user).select_related("team")
    pending = list(own.filter(state=AccessRequest.State.PENDING))
    decided = own.exclude(state=AccessRequest.State.PENDING).filter(decided_at__gt=timezone.now() - RECENT)
    query = one_line(request.GET.get("q", ""))
    teams = owners.requestable(user.pk).exclude(pk__in=[each.team_id for each in pending]).order_by("name", "pk")
    if query:
        teams = teams.filter(Q(name__icontains=query) | Q(description__icontains=query) | Q(slug=query))
    found = list(teams[: SHOWN + 1])
    context = {
        "person": user,
        "teams": found[:SHOWN],
        "more": len(found) > SHOWN,
        "query": query,
        "pending": pending,
        "decided": decided.order_by("-decided_at")[:RECENT_SHOWN],
        "typed": typed,
        "reason_length": grants.REASON_LENGTH,
    }
    return render(request, "portal/request.html", context, status=status)
