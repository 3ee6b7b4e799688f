"""The button with which a person stops an app of their own."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from portal.views import HttpResponseSeeOther, signed_on
from provisioning import running
from provisioning.models import RunningApp
from provisioning.running import own
from teams.models import User


@require_http_methods(["GET", "HEAD", "POST"])
@signed_on
def stop_app(request: HttpRequest, user: User, app_id: int) -> HttpResponse:
    """Have an app stopped. 404 for one that is not this person's, whether it exists or not."""
    if request.method != "POST":
        # A reloaded page, or one that sign-on came back to: stopping takes a click.
        return redirect("landing")
    app = own.find(user, app_id)
    if app is None:
        raise Http404
    if running.stop(app, by=user.username, reason=RunningApp.Reason.PERSON):
        messages.success(request, f"{own.words(app)} is being stopped. That takes a minute or two.")
    else:
        messages.info(request, f"{own.words(app)} is being stopped already, or is over.")
    return HttpResponseSeeOther(reverse("landing"))
