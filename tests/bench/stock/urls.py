"""The addresses of the project to compare with."""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path


def home(_request: HttpRequest) -> HttpResponse:
    """Answer that somebody has arrived."""
    return HttpResponse("signed on")


urlpatterns = [path("", home), path("saml2/", include("djangosaml2.urls"))]
