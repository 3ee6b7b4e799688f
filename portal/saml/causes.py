"""Why a sign-on is refused: one code per check for the log and the audit, and what the person is told."""

from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus


class Cause(StrEnum):
    """The check that refused; each value is used by one check only and has a test of its own."""

    # The form
    TOO_MANY = "too_many"
    NO_MESSAGE = "no_message"
    FORM_TYPE = "form_type"
    TOO_LARGE = "too_large"
    NOT_BASE64 = "not_base64"
    NOT_DEFLATED = "not_deflated"
    # The XML, before any signature is looked at
    NOT_UTF8 = "not_utf8"
    NOT_XML = "not_xml"
    DTD = "dtd"
    PROCESSING_INSTRUCTION = "processing_instruction"
    TOO_DEEP = "too_deep"
    TOO_MANY_NODES = "too_many_nodes"
    TOO_MANY_ATTRIBUTES = "too_many_attributes"
    TOO_MANY_NAMESPACES = "too_many_namespaces"
    # The shape of the response
    NOT_A_RESPONSE = "not_a_response"
    NOT_A_LOGOUT = "not_a_logout"
    STATUS = "status"
    VERSION = "version"
    ENCRYPTED = "encrypted"
    NO_SP_KEY = "encrypted_but_saml_sp_key_is_not_set"
    LOGOUT_WITHOUT_KEY = "logout_but_saml_sp_key_is_not_set"
    ENCRYPTION_SHAPE = "encryption_shape"
    ENCRYPTION_ALGORITHM = "encryption_algorithm"
    DECRYPTION = "decryption"
    ASSERTION_COUNT = "assertion_count"
    STRUCTURE = "structure"
    BAD_ID = "bad_id"
    DUPLICATE_ID = "duplicate_id"
    # Who says it
    ISSUER_MISSING = "issuer_missing"
    ISSUER_MISMATCH = "issuer_mismatch"
    ISSUER_UNKNOWN = "issuer_unknown"
    METADATA_EXPIRED = "metadata_expired"
    NOT_SIGNED = "not_signed"
    SIGNATURE_PLACE = "signature_place"
    SIGNATURE_SHAPE = "signature_shape"
    SIGNATURE_ALGORITHM = "signature_algorithm"
    SIGNATURE_INVALID = "signature_invalid"
    CERTIFICATE_EXPIRED = "certificate_expired"
    # Whether it is meant for us, now
    DESTINATION = "destination"
    BAD_TIME = "bad_time"
    ISSUE_INSTANT = "issue_instant"
    NO_CONDITIONS = "no_conditions"
    UNKNOWN_CONDITION = "unknown_condition"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    NO_AUDIENCE = "no_audience"
    AUDIENCE = "audience"
    NO_BEARER = "no_bearer"
    RECIPIENT = "recipient"
    BEARER_NOT_BEFORE = "bearer_not_before"
    BEARER_NO_END = "bearer_no_end"
    BEARER_EXPIRED = "bearer_expired"
    NO_AUTHN_STATEMENT = "no_authn_statement"
    SESSION_ENDED = "session_ended"
    # Whether this browser asked for it
    UNSOLICITED = "unsolicited"
    IN_RESPONSE_TO_MISMATCH = "in_response_to_mismatch"
    IN_RESPONSE_TO_UNKNOWN = "in_response_to_unknown"
    # Whom it names
    SUBJECT_MISSING = "subject_missing"
    SUBJECT_AMBIGUOUS = "subject_ambiguous"
    SUBJECT_BLANK = "subject_blank"
    SUBJECT_TOO_LONG = "subject_too_long"
    SUBJECT_CHARACTERS = "subject_characters"
    SUBJECT_TRANSIENT = "subject_transient"
    SUBJECT_UNUSABLE = "subject_unusable"
    NESTED_VALUE = "nested_value"
    # Whether it is used for the first time
    REPLAYED = "replayed"
    REQUEST_USED = "request_used"
    # After the checks
    INACTIVE = "inactive"
    CACHE_DOWN = "cache_down"
    DATABASE_DOWN = "database_down"
    METADATA_MISSING = "metadata_missing"
    NO_SIGN_ON_ADDRESS = "no_sign_on_address"
    UNEXPECTED = "unexpected"


class Refused(Exception):  # noqa: N818  (a refusal is an outcome, not an error of ours)
    """A sign-on that does not happen.

    `issuer` is set once the issuer is known to be one of ours, `trusted` once its signature has been verified,
    `subject` once a trusted issuer has named somebody. The text of the exception is the cause alone.
    """

    def __init__(self, cause: Cause, *, issuer: str = "", trusted: bool = False, subject: str = "") -> None:
        super().__init__(cause.value)
        self.cause = cause
        self.issuer = issuer
        self.trusted = trusted
        self.subject = subject


@dataclass(frozen=True)
class Page:
    """What the person reads, and the status that the page is sent with."""

    title: str
    message: str
    status: HTTPStatus = HTTPStatus.FORBIDDEN


_TITLE = "You are not signed on"
_ADMINS = "If it happens again, give the reference below to your administrator."

_DEFAULT = Page(_TITLE, f"The identity provider's answer was not accepted. Start again from the portal. {_ADMINS}")
_CONFIGURATION = Page(
    _TITLE,
    "The identity provider and the portal do not agree on their settings. Your administrator can repair this; "
    "give them the reference below.",
)
_CLOCK = Page(
    _TITLE,
    "The identity provider's answer is too old or not valid yet. Start again from the portal; if it happens again, one "
    "of the clocks may be wrong: give the reference below to your administrator.",
)
_AGAIN = Page(
    _TITLE,
    "This sign-on was started in another browser, took longer than ten minutes, or has been used already, for example "
    f"by going back or reloading. Start again from the portal. {_ADMINS}",
)
_SUBJECT = Page(
    _TITLE,
    "The identity provider did not say clearly who you are. Your administrator can repair this in the application's "
    "attribute mappings; give them the reference below.",
)
_UNAVAILABLE = Page(
    "Sign-on is not possible right now",
    f"The portal cannot finish a sign-on at the moment. Try again in a few minutes. {_ADMINS}",
    HTTPStatus.SERVICE_UNAVAILABLE,
)

_PAGES: dict[Cause, Page] = {
    Cause.TOO_MANY: Page(
        _TITLE,
        "Too many messages that are no sign-on come from your network. Start again from the portal, or wait a minute: "
        f"a real answer of your identity provider is still accepted. {_ADMINS}",
        HTTPStatus.TOO_MANY_REQUESTS,
    ),
    Cause.STATUS: Page(
        _TITLE,
        "The identity provider did not sign you on: it was cancelled, or you may not use this application. Try again, "
        "or ask whoever looks after your account to assign the application to you.",
    ),
    Cause.UNSOLICITED: Page(
        _TITLE,
        "Sign-on must start here, not at the identity provider. Open the portal's address and sign on from there.",
    ),
    Cause.INACTIVE: Page(
        "Your account is switched off",
        "An administrator has switched off your account in this portal. Ask them if that is wrong.",
    ),
    Cause.SUBJECT_TRANSIENT: Page(
        _TITLE,
        "The identity provider sent a name for you that changes with every sign-on. Your administrator can map a "
        "lasting user attribute instead; give them the reference below.",
    ),
    **dict.fromkeys(
        (Cause.NOT_YET_VALID, Cause.EXPIRED, Cause.BEARER_EXPIRED, Cause.ISSUE_INSTANT, Cause.SESSION_ENDED), _CLOCK
    ),
    **dict.fromkeys((Cause.IN_RESPONSE_TO_UNKNOWN, Cause.REPLAYED, Cause.REQUEST_USED), _AGAIN),
    **dict.fromkeys(
        (
            Cause.ISSUER_UNKNOWN,
            Cause.DESTINATION,
            Cause.RECIPIENT,
            Cause.AUDIENCE,
            Cause.NO_AUDIENCE,
            Cause.ENCRYPTED,
            Cause.NO_SP_KEY,
            Cause.ENCRYPTION_SHAPE,
            Cause.ENCRYPTION_ALGORITHM,
            Cause.DECRYPTION,
            Cause.NOT_SIGNED,
            Cause.SIGNATURE_ALGORITHM,
            Cause.CERTIFICATE_EXPIRED,
            Cause.METADATA_EXPIRED,
            Cause.NO_SIGN_ON_ADDRESS,
        ),
        _CONFIGURATION,
    ),
    **dict.fromkeys(
        (
            Cause.SUBJECT_MISSING,
            Cause.SUBJECT_AMBIGUOUS,
            Cause.SUBJECT_BLANK,
            Cause.SUBJECT_TOO_LONG,
            Cause.SUBJECT_CHARACTERS,
            Cause.SUBJECT_UNUSABLE,
            Cause.NESTED_VALUE,
        ),
        _SUBJECT,
    ),
    **dict.fromkeys((Cause.CACHE_DOWN, Cause.DATABASE_DOWN, Cause.METADATA_MISSING), _UNAVAILABLE),
}


_LOGOUT = (
    "The logout was not completed",
    (
        "The portal did not accept the identity provider's logout message, and it changed nothing here. To be sure, "
        f"use “Sign out” in the portal, sign out of your company account, and close the browser. {_ADMINS}"
    ),
)


def logout_page(cause: Cause) -> Page:
    """Return the page for a refused logout message."""
    return Page(*_LOGOUT, status=page(cause).status)


def page(cause: Cause) -> Page:
    """Return the page for a cause; it never tells which check an attacker has to get past."""
    return _PAGES.get(cause, _DEFAULT)
