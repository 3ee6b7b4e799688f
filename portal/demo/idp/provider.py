"""What the identity provider does with a request and a choice, apart from HTTP."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from portal.demo.idp import authn_request, pages
from portal.demo.idp.keys import Keys
from portal.demo.idp.messages import encode, metadata, response_for
from portal.demo.idp.people import PEOPLE, Application, Person
from portal.demo.idp.personality import Personality
from portal.demo.idp.signer import make_response

SESSION_LENGTH = timedelta(hours=8)


class RefusalError(Exception):
    """A page that says why not; the status is an HTTP status code."""

    def __init__(self, title: str, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.title, self.text, self.status = title, text, status


@dataclass
class Provider:
    """What the server knows: its own address, its keys, the one portal that it serves, and how it behaves."""

    url: str
    keys: Keys
    portal_url: str
    personality: Personality = field(default_factory=Personality)
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def entity_id(self) -> str:
        """The provider's name in SAML: where its metadata are."""
        return f"{self.url}/metadata"

    @property
    def acs_url(self) -> str:
        """The only address that responses are sent to."""
        return f"{self.portal_url}/saml2/acs/"

    def metadata(self) -> bytes:
        """What the portal must know about this provider."""
        return metadata(self.entity_id, f"{self.url}/sso", [self.keys.certificate_pem])

    def ask(self, parameters: Mapping[str, str], *, deflated: bool) -> str:
        """Return the page to choose whom to be, which carries the request along. Raises RefusalError."""
        request = self._read(parameters.get("SAMLRequest", ""), deflated=deflated)
        return pages.choose({"in_response_to": request.id, "RelayState": parameters.get("RelayState", "")})

    def answer(self, parameters: Mapping[str, str], application: Application) -> str:
        """Return the page that posts the signed response for the person chosen. Raises RefusalError."""
        person = PEOPLE.get(parameters.get("person", ""))
        if person is None:
            raise RefusalError("Nobody of that name", "Choose one of the people on the page.")
        if not application.admits(person):
            text = f"{person.name} is not assigned to “{application.name}”."
            raise RefusalError("Not your application", text, 403)
        fields = {"SAMLResponse": encode(self._sign(person, application, parameters.get("in_response_to") or None))}
        if relay_state := parameters.get("RelayState"):
            fields["RelayState"] = relay_state
        return pages.post_to(self.acs_url, fields, person)

    def _read(self, text: str, *, deflated: bool) -> authn_request.AuthnRequest:
        try:
            request = authn_request.read(text, deflated=deflated)
        except authn_request.UnreadableError as error:
            raise RefusalError("This request cannot be read", str(error)) from error
        if request.issuer != f"{self.portal_url}/saml2/metadata/":
            raise RefusalError("Unknown application", f"This provider serves {self.portal_url} only.", 403)
        if request.acs_url not in {"", self.acs_url}:
            raise RefusalError("Wrong address", f"Responses go to {self.acs_url} only.", 403)
        return request

    def _sign(self, person: Person, application: Application, in_response_to: str | None) -> bytes:
        answer = response_for(
            issuer=self.entity_id,
            portal_url=self.portal_url,
            name_id=person.email,
            attributes=application.attributes(person),
            in_response_to=in_response_to,
        )
        answer = replace(answer, session_not_on_or_after=datetime.now(UTC) + SESSION_LENGTH)
        return make_response(self.keys, self.personality.spoil(answer))
