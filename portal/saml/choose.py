"""The page on which people choose how to sign on, where there is more than one way."""

from dataclasses import dataclass
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from portal.saml.providers import Provider


@dataclass(frozen=True)
class Choice:
    """One way: a provider's name, or the name of the team that it is for."""

    label: str
    url: str


def page(request: HttpRequest, offered: list[Provider], next_path: str) -> HttpResponse:
    """Return the page with a link for each provider; every link goes on to `next_path` after sign-on."""
    login = reverse("saml2_login")
    choices = [
        Choice(each.label, f"{login}?{urlencode({'idp': each.entity_id, 'next': next_path})}") for each in offered
    ]
    context = {"choices": choices, "support_contact": settings.SUPPORT_CONTACT}
    return render(request, "portal/choose_provider.html", context)
