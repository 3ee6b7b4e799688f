"""The pages of the demo identity provider. No inline script or style: its Content-Security-Policy forbids both."""

from collections.abc import Mapping
from html import escape

from portal.demo.idp.people import APPLICATIONS, PEOPLE, Application, Person

_LAYOUT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · Demo identity provider</title>
<link rel="stylesheet" href="/static/idp.css">
<link rel="icon" href="/static/idp.svg" type="image/svg+xml">
</head>
<body>
<header><p class="brand"><img src="/static/idp.svg" alt="" width="28" height="28">Demo identity provider</p>
<p class="note">Made-up people, no passwords. It stands in for your company’s sign-on.</p></header>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""


def _page(title: str, body: str) -> str:
    return _LAYOUT.format(title=escape(title), body=body)


def choose(hidden: Mapping[str, str]) -> str:
    """The page a service provider sends people to: whom do you want to be?"""
    buttons = "\n".join(_person_button(person) for person in PEOPLE.values())
    return _page(
        "Whom do you want to be?",
        f"""<p class="lead">Studio Portal asks who you are.</p>
<form method="post" action="/choose" class="people">
{_hidden(hidden)}
{buttons}
</form>""",
    )


def home() -> str:
    """The start page, where sign-on begins at the identity provider: a person and an application."""
    people = "\n".join(_person_radio(person, checked=not number) for number, person in enumerate(PEOPLE.values()))
    applications = "\n".join(_application_button(application) for application in APPLICATIONS.values())
    return _page(
        "Your applications",
        f"""<form method="post" action="/launch">
<fieldset><legend>You are</legend>
<div class="people">
{people}
</div></fieldset>
<fieldset><legend>Open</legend>
<div class="applications">
{applications}
</div></fieldset>
</form>""",
    )


def post_to(acs_url: str, fields: Mapping[str, str], person: Person) -> str:
    """The page that carries the signed response to the service provider, by itself where scripts run."""
    return _page(
        f"Signing on as {person.name}",
        f"""<form method="post" action="{escape(acs_url)}" data-autosubmit>
{_hidden(fields)}
<p class="lead">You are taken back to Studio Portal.</p>
<button class="primary">Continue to Studio Portal</button>
</form>
<script src="/static/submit.js" defer></script>""",
    )


def error(title: str, text: str) -> str:
    """What went wrong, and the way back."""
    return _page(title, f'<p class="lead">{escape(text)}</p>\n<p><a href="/">Back to the start page</a></p>')


def _hidden(fields: Mapping[str, str]) -> str:
    return "\n".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in fields.items()
    )


def _card(name: str, about: str) -> str:
    return f'<span class="name">{escape(name)}</span><span class="about">{escape(about)}</span>'


def _person_button(person: Person) -> str:
    return f'<button class="card" name="person" value="{person.id}">{_card(person.name, person.about)}</button>'


def _person_radio(person: Person, *, checked: bool) -> str:
    state = " checked" if checked else ""
    return (
        f'<label class="card"><input type="radio" name="person" value="{person.id}"{state}>'
        f"<span>{_card(person.name, person.about)}</span></label>"
    )


def _application_button(application: Application) -> str:
    card = _card(application.name, application.about)
    return f'<button class="card" name="application" value="{application.id}">{card}</button>'
