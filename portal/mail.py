"""Mail about access: the rows say what is still to be sent, and whoever sends it claims the row first.

A mail server that does not answer leaves the rows as they are for the next sweep; an address that it refuses keeps
nobody else's mail back. Only what went wrong is logged, never to whom or what.
"""

import logging
import smtplib
import time
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.dispatch import receiver
from django.utils import timezone

from portal import letters
from portal.letters import Kind, Row
from provisioning import queue
from provisioning.database import give_back_connection
from teams.signals import mail_due

logger = logging.getLogger(__name__)

SEND = "portal.tasks.send_mail"
# For how long a claim keeps others off, longer than any try takes, and how long after a failure the next try waits.
CLAIM = timedelta(minutes=5)
PAUSE = timedelta(minutes=2)
BATCH = 200
# A sweep that has taken so long leaves the rest to the next one.
SWEEP_SECONDS = 45.0


class UnavailableError(Exception):
    """The mail server takes nothing at the moment."""


class NotNowError(Exception):
    """The mail server does not take this message at the moment."""


@receiver(mail_due, dispatch_uid="portal.mail_due")
def hint(**_: Any) -> None:
    """Have a worker look; without mail there is nothing to look for."""
    if settings.MAIL_IS_ON:
        queue.enqueue(SEND, expires=50)


def send_due() -> int:
    """Send what is due; return how many rows were told of. Stops at a mail server that does not work."""
    if not settings.MAIL_IS_ON:
        return 0
    deadline = time.monotonic() + SWEEP_SECONDS
    done = 0
    for kind in letters.KINDS:
        for row in kind.due(timezone.now())[:BATCH]:
            if time.monotonic() > deadline:
                return done
            try:
                done += _send_claimed(kind, row)
            except UnavailableError as error:
                logger.warning("The mail server does not work (%s); mail waits.", error)
                return done
    return done


def _send_claimed(kind: Kind, row: Row) -> bool:
    """Claim a row, send its mail and note it; False where somebody else has the row, or where it has to wait."""
    claimed = timezone.now() + CLAIM
    rows = type(row)._default_manager
    if not rows.filter(pk=row.pk, mail_after=row.mail_after, **{kind.mark: None}).update(mail_after=claimed):
        return False
    message = kind.write(row)
    # Nobody holds a connection of the database while a mail server thinks.
    give_back_connection()
    try:
        if message is not None:
            deliver(message)
    except (UnavailableError, NotNowError) as error:
        rows.filter(pk=row.pk, mail_after=claimed).update(mail_after=timezone.now() + PAUSE)
        if isinstance(error, UnavailableError):
            raise
        logger.warning("A mail has to wait: %s", error)
        return False
    # Whoever changed the row meanwhile took the claim away: then the news is still to be told.
    rows.filter(pk=row.pk, mail_after=claimed).update(**{kind.mark: timezone.now(), "mail_after": timezone.now()})
    return True


def deliver(message: EmailMessage) -> None:
    """Hand one message to the mail server; one that it will never take is logged and dropped.

    Raises UnavailableError where no message would get through, NotNowError where this one may later.
    """
    try:
        message.send()
    except smtplib.SMTPRecipientsRefused as refused:
        codes = sorted({code for code, _text in refused.recipients.values()})
        if any(code < 500 for code in codes):
            raise NotNowError(f"no recipient was taken: {codes}") from None
        logger.warning("A mail was dropped, because no recipient was taken: %s", codes)
    except (smtplib.SMTPConnectError, smtplib.SMTPHeloError, smtplib.SMTPAuthenticationError) as error:
        raise UnavailableError(f"{type(error).__name__} {error.smtp_code}") from None
    except smtplib.SMTPSenderRefused as error:
        raise UnavailableError(f"the sender was refused: {error.smtp_code}") from None
    except smtplib.SMTPResponseException as error:
        if error.smtp_code < 500:
            raise NotNowError(f"{type(error).__name__} {error.smtp_code}") from None
        logger.warning("A mail was dropped: %s %s", type(error).__name__, error.smtp_code)
    except (smtplib.SMTPServerDisconnected, smtplib.SMTPNotSupportedError, OSError) as error:
        raise UnavailableError(type(error).__name__) from None
    except ValueError as error:
        logger.warning("A mail was dropped, because it cannot be written: %s", type(error).__name__)
