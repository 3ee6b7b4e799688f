"""No log line tells a secret, not even in a traceback, and every line names its request."""

import io
import logging

import pytest
from django.test import RequestFactory

from portal.logs import RequestFilter, SecretsFilter
from teams import audit

SECRET = "eyJhbGciOi-very-secret"
URL = f"https://d-abc.studio.eu-west-1.sagemaker.aws/auth?token={SECRET}"


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def log(stream: io.StringIO) -> logging.Logger:
    handler = logging.StreamHandler(stream)
    handler.addFilter(RequestFilter())
    handler.addFilter(SecretsFilter())
    handler.setFormatter(logging.Formatter("[%(request_id)s] %(message)s"))
    logger = logging.Logger("test")
    logger.addHandler(handler)
    return logger


def test_message_and_arguments_are_scrubbed(log: logging.Logger, stream: io.StringIO) -> None:
    log.warning("opening %s for %s", URL, "alice")
    assert SECRET not in stream.getvalue()
    assert "for alice" in stream.getvalue()


def test_tracebacks_are_scrubbed(log: logging.Logger, stream: io.StringIO) -> None:
    try:
        raise ValueError(URL)
    except ValueError:
        log.exception("failed")
    assert SECRET not in stream.getvalue()
    assert "ValueError" in stream.getvalue()


def test_lines_name_their_request(log: logging.Logger, stream: io.StringIO) -> None:
    with audit.context(request_id="abc123"):
        log.warning("inside")
    log.warning("outside")
    assert stream.getvalue() == "[abc123] inside\n[-] outside\n"


def test_djangos_own_lines_name_their_request(log: logging.Logger, stream: io.StringIO, rf: RequestFactory) -> None:
    request = rf.get("/", REQUEST_ID="abc123")
    log.warning("Not Found: /", extra={"request": request})
    assert stream.getvalue() == "[abc123] Not Found: /\n"
