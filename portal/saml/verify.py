"""A response, checked from the form field to the person it names, in the order that refuses cheap things first."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from django.conf import settings
from lxml import etree

from portal.saml import conditions, encrypted, envelope, grammar, identity, replay, state, structure, terms, times
from portal.saml.causes import Cause, Refused
from portal.saml.identity import Identity
from portal.saml.providers import Provider, default_provider, provider_for
from portal.saml.session_name import SessionName
from portal.saml.state import Outstanding, SamlStateStore

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Verified:
    """A sign-on that passed every check and has been spent. `outstanding` is None where it began at the provider."""

    provider: Provider
    identity: Identity
    session_until: datetime | None
    outstanding: Outstanding | None
    session_name: SessionName | None = None


def verify(field: str, store: SamlStateStore) -> Verified:
    """Return who signs on with this SAMLResponse in the browser with this state; raise `Refused`, and nothing else."""
    issuer, trusted, subject = "", False, ""
    try:
        root = envelope.parse(envelope.decode(field, settings.SAML_MAX_MESSAGE_BYTES))
        if encrypted.is_sealed(root):
            encrypted.check_response(root)
            provider = _provider(encrypted.issuer_of(root))
            issuer = provider.entity_id
            signed = encrypted.open_response(root, provider.certificates)
        else:
            assertion = structure.check_response(root)
            provider = _provider(structure.issuer_of(root, assertion))
            issuer = provider.entity_id
            signed = structure.verify_signatures(root, assertion, provider.certificates)
        trusted = True
        _check_signed_issuer(signed, issuer)
        now = datetime.now(UTC)
        lifetime = _check_addressed(root, signed, now)
        outstanding = _outstanding(root, signed, provider, store)
        person = terms.within(identity.read(signed.assertion, provider.attributes), provider)
        subject = person.subject
        for part in (root, signed.assertion):
            grammar.check(part)
        replay.spend_assertion(
            issuer=issuer, assertion_id=signed.assertion.get("ID", ""), now=now, until=lifetime.replay_until
        )
        if outstanding:
            replay.spend_request(outstanding.request_id)
    except Refused as refused:
        raise Refused(refused.cause, issuer=issuer, trusted=trusted, subject=subject) from None
    except Exception as error:  # noqa: BLE001  (fail closed, and never with a 500)
        # A message that surprises us is refused like any other; its content stays out of the log.
        logger.error("A SAML response raised %s.", type(error).__name__)  # noqa: TRY400
        raise Refused(Cause.UNEXPECTED, issuer=issuer, trusted=trusted, subject=subject) from None
    return Verified(
        provider=provider,
        identity=person,
        session_until=lifetime.session_until,
        outstanding=outstanding,
        session_name=SessionName.read(signed.assertion),
    )


def acs_url() -> str:
    """Return the address that responses must be meant for."""
    return f"{settings.PORTAL_URL}/saml2/acs/"


def _provider(issuer: str) -> Provider:
    provider = provider_for(issuer)
    if provider is None:
        raise Refused(Cause.ISSUER_UNKNOWN if default_provider() else Cause.METADATA_MISSING)
    if provider.expired:
        raise Refused(Cause.METADATA_EXPIRED)
    return provider


def _check_signed_issuer(signed: structure.Signed, issuer: str) -> None:
    """What named the certificates must be what they signed."""
    outer = signed.assertion if signed.response is None else signed.response
    if structure.issuer_of(outer, signed.assertion) != issuer:
        raise Refused(Cause.ISSUER_MISMATCH)


def _check_addressed(root: etree._Element, signed: structure.Signed, now: datetime) -> conditions.Lifetime:
    # Where the response is not signed, what it says can only refuse.
    response = root if signed.response is None else signed.response
    conditions.check_destination(response, acs_url=acs_url(), required=signed.response is not None)
    times.check_issue_instant(response, now)
    return conditions.check_assertion(signed.assertion, acs_url=acs_url(), audience=settings.SAML_ENTITY_ID, now=now)


def _outstanding(
    root: etree._Element, signed: structure.Signed, provider: Provider, store: SamlStateStore
) -> Outstanding | None:
    """Return the request of this browser that is answered, None for a sign-on that the provider may begin itself."""
    response = root if signed.response is None else signed.response
    request_id = conditions.in_response_to([response], signed.assertion)
    if request_id is None:
        if not provider.allow_unsolicited:
            raise Refused(Cause.UNSOLICITED)
        return None
    outstanding = state.find(store, request_id)
    if outstanding is None or outstanding.issuer != provider.entity_id:
        raise Refused(Cause.IN_RESPONSE_TO_UNKNOWN)
    return outstanding
