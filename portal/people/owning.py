"""The page of a team's owners: who is in it, who asks, and giving and taking access by hand."""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from portal.people import roster
from portal.people.forms import ApproveForm, GiveForm, ReasonForm, key, valid
from portal.views import HttpResponseSeeOther, signed_on
from provisioning.costs import report
from teams import grants, owners, requests
from teams.models import AccessRequest, Team, User
from teams.owners import NotAllowedError
from teams.wording import one_line

WAITING_SHOWN = 100
SPENDERS_SHOWN = 50


@dataclass(frozen=True)
class Typed:
    """A form that was not taken: which one, why, and what had been typed."""

    place: str
    fault: str
    data: QueryDict


@require_http_methods(["GET", "HEAD", "POST"])
@signed_on
def people_page(request: HttpRequest, user: User, slug: str) -> HttpResponse:
    """The people of a team; 404 for everybody but its owners, portal admins and, to read, auditors."""
    team = Team.objects.filter(slug=slug).first()
    if team is None:
        raise Http404
    decides = owners.decides(user, team)
    if not decides and user.role != User.Role.AUDITOR:
        raise Http404
    if request.method != "POST":
        return _page(request, user, team, decides=decides)
    if not decides:
        raise PermissionDenied
    act = ACTIONS.get(request.POST.get("do", ""))
    if act is None:
        raise Http404
    try:
        done = act(request.POST, team, user)
    except NotAllowedError as error:
        typed = Typed(_place(request.POST), str(error), request.POST)
        return _page(request, user, team, decides=True, typed=typed, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    messages.success(request, done)
    return HttpResponseSeeOther(reverse("people", args=[slug]))


def _give(data: QueryDict, team: Team, by: User) -> str:
    values = valid(GiveForm(data))
    person = grants.find_person(values["who"])
    grants.give(user=person, team=team, until=values["until"], reason=values["reason"], by=by)
    return f"{person} has access to {team} until {_day(values)}."


def _take_back(data: QueryDict, team: Team, by: User) -> str:
    values = valid(ReasonForm(data))
    person = User.objects.filter(pk=key(data.get("user", ""))).first()
    if person is None:
        raise Http404
    grants.take_back(user=person, team=team, by=by, reason=values["reason"])
    return f"What was given to {person} by hand was taken back."


def _approve(data: QueryDict, team: Team, by: User) -> str:
    values = valid(ApproveForm(data))
    wanted = _request(data, team)
    requests.approve(request=wanted, by=by, until=values["until"], reason=values["reason"])
    return f"{wanted.user} has access to {team} until {_day(values)}."


def _refuse(data: QueryDict, team: Team, by: User) -> str:
    values = valid(ReasonForm(data))
    wanted = _request(data, team)
    requests.refuse(request=wanted, by=by, reason=values["reason"])
    return f"The request of {wanted.user} was refused."


ACTIONS: dict[str, Callable[[QueryDict, Team, User], str]] = {
    "give": _give,
    "take_back": _take_back,
    "approve": _approve,
    "refuse": _refuse,
}


def _day(values: dict[str, Any]) -> str:
    return f"{timezone.localtime(values['until']):%-d %B %Y}"


def _request(data: QueryDict, team: Team) -> AccessRequest:
    """Return the request that a form is about; one for another team is none."""
    rows = AccessRequest.objects.select_related("user")
    found = rows.filter(pk=key(data.get("request", "")), team=team).first()
    if found is None:
        raise Http404
    return found


def _place(data: QueryDict) -> str:
    """Name the form, so that the page shows the fault in its place."""
    match data.get("do"):
        case "take_back":
            return f"member-{data.get('user')}"
        case "approve" | "refuse" as do:
            return f"{do}-{data.get('request')}"
        case _:
            return "give"


def _page(
    request: HttpRequest,
    user: User,
    team: Team,
    *,
    decides: bool,
    typed: Typed | None = None,
    status: HTTPStatus = HTTPStatus.OK,
) -> HttpResponse:
    query = one_line(request.GET.get("q", ""))
    found = roster.read(team, query)
    waiting = list(owners.waiting(team)[: WAITING_SHOWN + 1])
    context = {
        "person": user,
        "team": team,
        "decides": decides,
        "members": found.members,
        "more": found.more,
        "query": query,
        "waiting": waiting[:WAITING_SHOWN],
        "more_waiting": len(waiting) > WAITING_SHOWN,
        "costs": report.of_team(team, most=SPENDERS_SHOWN),
        "typed": typed,
        # The row may be gone by now; then the fault has no place of its own.
        "lost": typed is not None and typed.place not in _places(found.members, waiting),
        "today": timezone.localdate(),
        "usual_day": grants.usual_day(),
        "last_day": grants.last_day(),
        "reason_length": grants.REASON_LENGTH,
    }
    return render(request, "portal/people.html", context, status=status)


def _places(members: list[roster.Member], waiting: list[AccessRequest]) -> set[str]:
    asked = {f"{do}-{each.pk}" for each in waiting for do in ("approve", "refuse")}
    return {"give", *asked, *(f"member-{member.user.pk}" for member in members)}
