"""What happens when a sign-on is refused: a page, a log line and, within bounds, an audit row."""

import logging
from functools import lru_cache
from http import HTTPStatus

from django.conf import settings
from django.db import Error as DatabaseError
from django.http import HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse

from portal import throttle
from portal.saml import flood
from portal.saml.causes import Cause, Page, Refused, logout_page, page
from teams import audit
from teams.models import AuditEvent

logger = logging.getLogger(__name__)

# Stands in the page that is made once for all, where each refusal has its own.
_REFERENCE = "000000000000"


def answer(refused: Refused) -> HttpResponse:
    """Log and audit a refusal and return its page; the database and the cache may both be down.

    What nobody vouches for counts against its network, and leaves a row a minute for each network and cause.
    """
    reference = audit.current().request_id[:12]
    if refused.cause is Cause.TOO_MANY:
        return _too_many(reference)
    _note("Sign-on", AuditEvent.Action.SIGN_ON, refused, reference)
    return error_page(page(refused.cause), reference)


def answer_logout(refused: Refused) -> HttpResponse:
    """Log and audit a refused logout message as `answer` does a sign-on, and return its page."""
    reference = audit.current().request_id[:12]
    _note("Logout", AuditEvent.Action.SIGN_OUT, refused, reference)
    return error_page(logout_page(refused.cause), reference)


def _note(what: str, action: AuditEvent.Action, refused: Refused, reference: str) -> None:
    cause, issuer = refused.cause.value, refused.issuer
    logger.warning("%s refused: %s, issuer %s, reference %s", what, cause, issuer or "unknown", reference)
    reason = f"{cause}, reference {reference}"
    data = {"issuer": issuer} if issuer else {}
    if refused.trusted:
        _record(action, refused.subject, reason, data)
    else:
        flood.count()
        throttle.audit_now_and_then(action, about=cause, reason=reason, data=data)


def error_page(told: Page, reference: str) -> HttpResponse:
    """Return a page that says what the person can do."""
    context = {
        "status": int(told.status),
        "title": told.title,
        "message": told.message,
        "reference": reference,
        "action_url": reverse("landing"),
        "action_label": "Start again",
        "support_contact": settings.SUPPORT_CONTACT,
    }
    return HttpResponse(render_to_string("portal/error.html", context), status=told.status)


def method_not_allowed(allowed: list[str]) -> HttpResponse:
    """Return the page for somebody who opens the address of the assertion consumer service."""
    told = Page(
        "Nothing to see here",
        "This address takes the identity provider's answer. Start from the portal instead.",
        HTTPStatus.METHOD_NOT_ALLOWED,
    )
    response = error_page(told, audit.current().request_id[:12])
    response["Allow"] = ", ".join(allowed)
    return response


def _too_many(reference: str) -> HttpResponse:
    body = _too_many_page().replace(_REFERENCE, reference)
    return HttpResponse(body, status=HTTPStatus.TOO_MANY_REQUESTS, headers={"Retry-After": str(flood.WINDOW_SECONDS)})


@lru_cache(maxsize=1)
def _too_many_page() -> str:
    return error_page(page(Cause.TOO_MANY), _REFERENCE).content.decode()


def _record(action: AuditEvent.Action, subject: str, reason: str, data: dict[str, str]) -> None:
    try:
        audit.record(
            action,
            outcome=AuditEvent.Outcome.REFUSED,
            actor="anonymous",
            target=subject,
            reason=reason,
            data=data,
        )
    except DatabaseError as error:
        logger.error("A refusal could not be audited: %s", type(error).__name__)  # noqa: TRY400
