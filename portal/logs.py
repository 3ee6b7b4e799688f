"""Log filters: every line tells its request, and no line tells a secret."""

import logging

from teams import context, scrubbing


class RequestFilter(logging.Filter):
    """Puts the id of the current request on every record, `-` outside of one."""

    def filter(self, record: logging.LogRecord) -> bool:
        # Django logs the outcome of a request when its context has ended, but hands the request over.
        request = getattr(record, "request", None)
        of_request = getattr(request, "META", {}).get("REQUEST_ID", "")
        record.request_id = context.current().request_id or of_request or "-"
        return True


class SecretsFilter(logging.Filter):
    """Scrubs presigned URLs, assertions, tokens and credentials from the message and the traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = scrubbing.scrub_text(record.getMessage()), ()
        if record.exc_info:
            text = logging.Formatter().formatException(record.exc_info)
            record.exc_info, record.exc_text = None, scrubbing.scrub_text(text)
        return True
