"""What a trusted provider signs and is still refused: not for us, not now, not asked for, about nobody."""

from portal.saml.causes import Cause
from tests.portal.saml.conftest import ACS, ISSUER, PORTAL
from tests.portal.saml.hostile.building import AUDIENCE
from tests.portal.saml.hostile.cases import (
    ASSERTION,
    AUDIENCE_PATH,
    AUTHN,
    CONDITIONS,
    CONFIRMATION,
    DATA,
    RESTRICTION,
    add,
    attr,
    content,
    drop,
    each,
    said,
    text,
)

C = Cause
NS = "urn:oasis:names:tc:SAML:2.0"
SIGNED_RESPONSE = ("response", "both")

STATUS = [
    said(f"status: {name}", content("samlp:Status", xml), C.STATUS)
    for name, xml in {
        "requester": f'<samlp:StatusCode Value="{NS}:status:Requester"/>',
        "success inside of a failure": f'<samlp:StatusCode Value="{NS}:status:Responder">'
        f'<samlp:StatusCode Value="{NS}:status:Success"/></samlp:StatusCode>',
        "failure inside of a success": f'<samlp:StatusCode Value="{NS}:status:Success">'
        f'<samlp:StatusCode Value="{NS}:status:AuthnFailed"/></samlp:StatusCode>',
        "failure and success": f'<samlp:StatusCode Value="{NS}:status:Responder"/>'
        f'<samlp:StatusCode Value="{NS}:status:Success"/>',
        "success in other letters": f'<samlp:StatusCode Value="{NS}:status:success"/>',
        "success with a blank": f'<samlp:StatusCode Value=" {NS}:status:Success"/>',
        "no value": "<samlp:StatusCode/>",
        "no code": "<samlp:StatusMessage>Success</samlp:StatusMessage>",
        "code of another namespace": f'<saml:StatusCode Value="{NS}:status:Success"/>',
    }.items()
]

ADDRESSES = {
    "other host": "https://evil.example/saml2/acs/",
    "other port": ACS.replace(":8000", ":8001"),
    "no port": ACS.replace(":8000", ""),
    "https": ACS.replace("http:", "https:"),
    "capitals": ACS.replace("/saml2/", "/SAML2/"),
    "capitals in the scheme": ACS.replace("http:", "HTTP:"),
    "no last slash": ACS.rstrip("/"),
    "two slashes": f"{ACS}/",
    "query": f"{ACS}?x=1",
    "fragment": f"{ACS}#x",
    "user": ACS.replace("//", "//evil@"),
    "longer host": ACS.replace("127.0.0.1", "127.0.0.1.evil.example"),
    "dots": ACS.replace("/acs/", "/x/../acs/"),
    "path only": "/saml2/acs/",
    "portal": PORTAL,
    "our name": AUDIENCE,
    "blank": " ",
    "empty": "",
}
ADDRESSED = [
    said(f"destination: {name}", attr("", "Destination", value), C.DESTINATION) for name, value in ADDRESSES.items()
]
ADDRESSED += [
    said(f"recipient: {name}", attr(DATA, "Recipient", value), C.RECIPIENT) for name, value in ADDRESSES.items()
]
ADDRESSED += [
    said("destination: none", attr("", "Destination", None), C.DESTINATION, modes=SIGNED_RESPONSE),
    said("recipient: none", attr(DATA, "Recipient", None), C.RECIPIENT),
]

_OURS = f"<saml:Audience>{AUDIENCE}</saml:Audience>"
_THEIRS = "<saml:Audience>https://other.example/sp</saml:Audience>"
AUDIENCES = [
    said("audience: another portal", text(AUDIENCE_PATH, "https://other.example/sp"), C.AUDIENCE),
    said("audience: capitals", text(AUDIENCE_PATH, AUDIENCE.upper()), C.AUDIENCE),
    said("audience: no last slash", text(AUDIENCE_PATH, AUDIENCE.rstrip("/")), C.AUDIENCE),
    said("audience: longer", text(AUDIENCE_PATH, f"{AUDIENCE}x"), C.AUDIENCE),
    said("audience: shorter", text(AUDIENCE_PATH, PORTAL), C.AUDIENCE),
    said("audience: two in one text", text(AUDIENCE_PATH, f"https://other.example {AUDIENCE}"), C.AUDIENCE),
    said("audience: empty", text(AUDIENCE_PATH, ""), C.AUDIENCE),
    said(
        "audience: two restrictions, one not ours",
        add(CONDITIONS, f"<saml:AudienceRestriction>{_THEIRS}</saml:AudienceRestriction>"),
        C.AUDIENCE,
    ),
    said(
        "audience: first restriction not ours",
        add(CONDITIONS, f"<saml:AudienceRestriction>{_THEIRS}</saml:AudienceRestriction>", 0),
        C.AUDIENCE,
    ),
    said("audience: a restriction without audience", content(RESTRICTION, ""), C.AUDIENCE),
    said("audience: no restriction", drop(RESTRICTION), C.NO_AUDIENCE),
    said(
        "audience: in the advice only",
        each(drop(RESTRICTION), add(ASSERTION, f"<saml:Advice>{_OURS}</saml:Advice>", 3)),
        C.NO_AUDIENCE,
        C.STRUCTURE,
    ),
    said("audience: nested", content(AUDIENCE_PATH, f"https://other.example{_OURS}"), C.NESTED_VALUE),
]

LIMITS = [
    said("conditions: none", drop(CONDITIONS), C.NO_CONDITIONS),
    said(
        "conditions: over",
        each(attr(CONDITIONS, "NotBefore", "@-3600s"), attr(CONDITIONS, "NotOnOrAfter", "@-240s")),
        C.EXPIRED,
    ),
    said("conditions: not yet", attr(CONDITIONS, "NotBefore", "@240s"), C.NOT_YET_VALID),
    said(
        "conditions: end before start",
        each(attr(CONDITIONS, "NotBefore", "@60s"), attr(CONDITIONS, "NotOnOrAfter", "@-60s")),
        C.BAD_TIME,
    ),
    said(
        "conditions: end at start",
        each(attr(CONDITIONS, "NotBefore", "@60s"), attr(CONDITIONS, "NotOnOrAfter", "@60s")),
        C.BAD_TIME,
    ),
    said("conditions: unknown one", add(CONDITIONS, "<saml:Condition/>"), C.UNKNOWN_CONDITION),
    said(
        "conditions: typed one",
        add(CONDITIONS, '<saml:Condition xsi:type="saml:OneTimeUseType"/>'),
        C.UNKNOWN_CONDITION,
    ),
    said(
        "conditions: delegation",
        add(
            CONDITIONS,
            f'<saml:Condition><x:Delegate xmlns:x="{NS}:conditions:delegation"/></saml:Condition>',
        ),
        C.UNKNOWN_CONDITION,
    ),
    said("conditions: one of another namespace", add(CONDITIONS, '<x:DoNotUse xmlns:x="urn:x"/>'), C.UNKNOWN_CONDITION),
    said(
        "conditions: two",
        add(
            ASSERTION,
            f"<saml:Conditions><saml:AudienceRestriction>{_OURS}</saml:AudienceRestriction></saml:Conditions>",
            3,
        ),
        C.STRUCTURE,
    ),
    said("bearer: over", attr(DATA, "NotOnOrAfter", "@-240s"), C.BEARER_EXPIRED),
    said("bearer: no end", attr(DATA, "NotOnOrAfter", None), C.BEARER_NO_END),
    said("bearer: a start", attr(DATA, "NotBefore", "@-300s"), C.BEARER_NOT_BEFORE),
    said("bearer: no data", drop(DATA), C.BEARER_NO_END),
    said("bearer: no confirmation", drop(CONFIRMATION), C.NO_BEARER),
    said("bearer: no method", attr(CONFIRMATION, "Method", None), C.NO_BEARER, C.STRUCTURE),
    said("bearer: holder of key", attr(CONFIRMATION, "Method", f"{NS}:cm:holder-of-key"), C.NO_BEARER),
    said("bearer: sender vouches", attr(CONFIRMATION, "Method", f"{NS}:cm:sender-vouches"), C.NO_BEARER),
    said("bearer: SAML 1.1", attr(CONFIRMATION, "Method", "urn:oasis:names:tc:SAML:1.0:cm:bearer"), C.NO_BEARER),
    said("bearer: capitals", attr(CONFIRMATION, "Method", f"{NS}:cm:Bearer"), C.NO_BEARER),
    said("issued: two hours ago", attr(ASSERTION, "IssueInstant", "@-7200s"), C.ISSUE_INSTANT),
    said("issued: in ten minutes", attr(ASSERTION, "IssueInstant", "@600s"), C.ISSUE_INSTANT),
    said("issued: never", attr(ASSERTION, "IssueInstant", None), C.ISSUE_INSTANT),
    said("response issued: two hours ago", attr("", "IssueInstant", "@-7200s"), C.ISSUE_INSTANT),
    said("response issued: in ten minutes", attr("", "IssueInstant", "@600s"), C.ISSUE_INSTANT),
    said("response issued: never", attr("", "IssueInstant", None), C.ISSUE_INSTANT),
    said("session: over", attr(AUTHN, "SessionNotOnOrAfter", "@-10s"), C.SESSION_ENDED),
    said("session: nobody signed on", drop(AUTHN), C.NO_AUTHN_STATEMENT),
    said("session: begins in an hour", attr(AUTHN, "AuthnInstant", "@3600s"), C.NOT_YET_VALID),
    said("session: no beginning", attr(AUTHN, "AuthnInstant", None), C.BAD_TIME),
    said(
        "session: two, one over",
        add(ASSERTION, '<saml:AuthnStatement AuthnInstant="@0s" SessionNotOnOrAfter="@-3600s"/>'),
        C.SESSION_ENDED,
        C.STRUCTURE,
    ),
]

_TIMES = {
    "empty": "",
    "a word": "never",
    "a number": "1893456000",
    "a date": "2030-01-01",
    "a blank for T": "2030-01-01 00:00:00Z",
    "small letters": "2030-01-01t00:00:00z",
    "basic form": "20300101T000000Z",
    "a thirteenth month": "2030-13-01T00:00:00Z",
    "the 30th of February": "2030-02-30T00:00:00Z",
    "hour 24 and a minute": "2030-01-01T24:01:00Z",
    "a leap second": "2030-06-30T23:59:60Z",
    "five digits of year": "12030-01-01T00:00:00Z",
    "before the calendar": "0000-01-01T00:00:00Z",
    "out of the calendar by its zone": "9999-12-31T23:59:59-14:00",
    "a zone of a day": "2030-01-01T00:00:00+24:00",
    "a zone without colon": "2030-01-01T00:00:00+0100",
    "a point without fraction": "2030-01-01T00:00:00.Z",
    "other digits": "٢٠٣٠-01-01T00:00:00Z",
    "a week": "2030-W01-1T00:00:00Z",
    "two": "2030-01-01T00:00:00Z 2031-01-01T00:00:00Z",
}
TIMES = [
    said(f"time of {where}: {name}", attr(path, "NotOnOrAfter", value), C.BAD_TIME, modes=modes)
    for where, path, modes in (("conditions", CONDITIONS, ("response", "assertion")), ("bearer", DATA, ("both",)))
    for name, value in _TIMES.items()
]

ANSWERS = [
    said(
        "answer: to nobody here",
        each(attr("", "InResponseTo", "_x"), attr(DATA, "InResponseTo", "_x")),
        C.IN_RESPONSE_TO_UNKNOWN,
    ),
    said("answer: only the response says so", attr("", "InResponseTo", "_x"), C.IN_RESPONSE_TO_MISMATCH),
    said("answer: only the assertion says so", attr(DATA, "InResponseTo", "_x"), C.IN_RESPONSE_TO_MISMATCH),
    said(
        "answer: two requests",
        each(attr("", "InResponseTo", "_x"), attr(DATA, "InResponseTo", "_y")),
        C.IN_RESPONSE_TO_MISMATCH,
    ),
    said("answer: empty", each(attr("", "InResponseTo", ""), attr(DATA, "InResponseTo", "")), C.IN_RESPONSE_TO_UNKNOWN),
]

ISSUERS = [
    said(
        "issuer: unknown",
        each(text("saml:Issuer", "https://evil.example"), text("saml:Assertion/saml:Issuer", "https://evil.example")),
        C.ISSUER_UNKNOWN,
    ),
    said(
        "issuer: another for the assertion",
        text("saml:Assertion/saml:Issuer", "https://evil.example"),
        C.ISSUER_MISMATCH,
    ),
    said("issuer: another for the response", text("saml:Issuer", "https://evil.example"), C.ISSUER_MISMATCH),
    said("issuer: none", drop("saml:Assertion/saml:Issuer"), C.ISSUER_MISSING),
    said("issuer: empty", text("saml:Assertion/saml:Issuer", " "), C.ISSUER_MISSING),
    said("issuer: two", add(ASSERTION, "<saml:Issuer>https://evil.example</saml:Issuer>", 1), C.ISSUER_MISSING),
    said(
        "issuer: capitals",
        each(text("saml:Issuer", ISSUER.upper()), text("saml:Assertion/saml:Issuer", ISSUER.upper())),
        C.ISSUER_UNKNOWN,
    ),
    said(
        "issuer: nested", content("saml:Assertion/saml:Issuer", f"<saml:Issuer>{ISSUER}</saml:Issuer>"), C.NESTED_VALUE
    ),
    said(
        "issuer: a longer one",
        each(text("saml:Issuer", f"{ISSUER}/"), text("saml:Assertion/saml:Issuer", f"{ISSUER}/")),
        C.ISSUER_UNKNOWN,
    ),
]


SAYING = [*STATUS, *ADDRESSED, *AUDIENCES, *LIMITS, *TIMES, *ANSWERS, *ISSUERS]
