"""The page behind a presigned URL: it opens once, and tells as whom Studio was entered."""

from html import escape
from pathlib import Path

from portal.demo.aws import working
from portal.demo.aws.rows import Ticket, digest
from portal.demo.aws.state import State
from portal.demo.aws.wire import Reply

_HERE = Path(__file__).parent
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/studio.css">
</head>
<body>
<header><p>AWS stand-in for demonstrations and tests</p></header>
<main>
<h1>{title}</h1>
{content}
</main>
</body>
</html>
"""
TITLE = "Amazon SageMaker Studio (stand-in)"
REFUSED = "This link cannot be opened"


def studio(state: State, token: str) -> Reply:
    """Open the URL with `token`: the Studio page the first time, 403 ever after and for anything unknown or expired."""
    with state.lock:
        ticket = state.tickets.pop(digest(token), None)
    if ticket is None:
        return refused()
    if ticket.expires <= state.clock.now():
        state.save()
        return refused()
    if state.people_work:
        with state.lock:
            working.begin(state, ticket)
    state.save()
    rows = "".join(
        f'<div><dt>{label}</dt><dd id="{name}">{escape(value)}</dd></div>' for name, label, value in _facts(ticket)
    )
    return _html(200, TITLE, f"<p>This is where Studio would start, with these rights:</p>\n<dl>{rows}</dl>")


def domain(state: State, domain_id: str) -> Reply:
    """Show the address of a domain in SSO mode, where IAM Identity Center would ask who it is; 404 for any other."""
    found = state.domain(domain_id)
    if found is None or found.auth_mode != "SSO":
        return not_found()
    rows = (
        ("account", "AWS account", found.account),
        ("region", "Region", found.region),
        ("domain", "Domain", found.name),
    )
    told = "".join(f'<div><dt>{label}</dt><dd id="{name}">{escape(value)}</dd></div>' for name, label, value in rows)
    text = "<p>This is where IAM Identity Center would sign people on, and Studio would start.</p>"
    return _html(200, f"Studio of domain {domain_id} (SSO)", f"{text}\n<dl>{told}</dl>")


def refused() -> Reply:
    """Return the page for a URL that opens nothing."""
    return _html(
        403, REFUSED, "<p>It has been used before, or has expired. Go back to the portal and open Studio again.</p>"
    )


def not_found() -> Reply:
    """Return the page for any other path."""
    return _html(404, "Nothing here", "<p>This server answers AWS API calls and opens presigned URLs.</p>")


def stylesheet() -> Reply:
    """Return the style sheet of these pages."""
    headers = {"Cache-Control": "max-age=300", "X-Content-Type-Options": "nosniff"}
    return Reply(200, (_HERE / "studio.css").read_bytes(), "text/css; charset=utf-8", headers)


def _facts(ticket: Ticket) -> list[tuple[str, str, str]]:
    rows = [
        ("account", "AWS account", ticket.account),
        ("region", "Region", ticket.region),
        ("domain", "Domain", ticket.domain_id),
        ("profile", "User profile", ticket.profile),
        ("execution-role", "Execution role", ticket.execution_role),
        ("session-name", "Link made by session", ticket.session_name),
        ("session-length", "Session length", _length(ticket.session_seconds)),
    ]
    optional = [("space", "Space", ticket.space), ("landing-uri", "Landing page", ticket.landing_uri)]
    return rows + [row for row in optional if row[2]]


def _length(seconds: int) -> str:
    hours, minutes = divmod(seconds // 60, 60)
    words = [f"{hours} h" if hours else "", f"{minutes} min" if minutes else ""]
    return f"{seconds} seconds ({' '.join(word for word in words if word)})"


def _html(status: int, title: str, content: str) -> Reply:
    body = _PAGE.format(title=escape(title), content=content).encode()
    return Reply(status, body, "text/html; charset=utf-8", dict(_HEADERS))
