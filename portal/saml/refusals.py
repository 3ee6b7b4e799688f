"""What happens when a sign-on is refused: a page, a log line and, within bounds, an audit row."""

import logging
from http import HTTPStatus

from django.conf import settings
from django.core.cache import cache
from django.db import Error as DatabaseError
from django.http import HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse

from portal.saml.causes import Cause, Page, Refused, page
from teams import audit
from teams.models import AuditEvent

logger = logging.getLogger(__name__)

# Requests that nobody vouches for leave at most one row for each address and cause in this many seconds.
ANONYMOUS_ROW_EVERY = 60


def answer(refused: Refused) -> HttpResponse:
    """Log and audit a refusal and return its page; the database and the cache may both be down."""
    reference = audit.current().request_id[:12]
    logger.warning(
        "Sign-on refused: %s, issuer %s, reference %s", refused.cause.value, refused.issuer or "unknown", reference
    )
    if refused.trusted or _first_this_minute(refused.cause):
        _record(refused, reference)
    return error_page(page(refused.cause), reference)


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


def _first_this_minute(cause: Cause) -> bool:
    try:
        return bool(cache.add(f"saml-refused:{audit.current().address}:{cause.value}", 1, timeout=ANONYMOUS_ROW_EVERY))
    except Exception as error:  # noqa: BLE001  (no bound, no row)
        logger.warning("An anonymous refusal is not audited: %s", type(error).__name__)
        return False


def _record(refused: Refused, reference: str) -> None:
    try:
        audit.record(
            AuditEvent.Action.SIGN_ON,
            outcome=AuditEvent.Outcome.REFUSED,
            actor="anonymous",
            target=refused.subject,
            reason=f"{refused.cause.value}, reference {reference}",
            data={"issuer": refused.issuer} if refused.issuer else {},
        )
    except DatabaseError as error:
        logger.error("A refusal could not be audited: %s", type(error).__name__)  # noqa: TRY400
