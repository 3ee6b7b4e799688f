"""Takes out of text and JSON what must never be stored or shown: presigned URLs, SAML messages, tokens, credentials.

Rather too much than too little: a sentence may lose a word, a secret never stays. Plain sentences about secrets (“the
token is missing”) stay readable, because a value counts as one only behind `=`, `:` or a scheme. Every expression works
in linear time: what repeats is bounded or possessive, and no two repeats that follow each other match the same text.
"""

import math
import re
from typing import Any

HIDDEN = "[hidden]"

# Names that announce a secret, by their ends: `aws_session_token` and `SessionToken` end in `token`.
_NAMES = (
    r"(?:tokens?|passw(?:or)?d|passphrase|pwd|secret(?:[_-]?access)?(?:[_-]?key)?|credentials?|private[_-]?key"
    r"|api[_-]?key|access[_-]?key(?:[_-]?id)?|SAML(?:Response|Request|Art)|AuthorizedUrl|X-Amz-[a-z-]{1,40}"
    r"|csrfmiddlewaretoken|sessionid|(?:portal|saml)_(?:session|csrf)|set-cookie|cookie|assertion)"
)
_NAME_AT_END = re.compile(_NAMES + r"\Z|authorization\Z", re.IGNORECASE)
_SEPARATOR = r"\\{0,4}[\"']?\s{0,8}(?:=>|[:=]|%3[ad])\s{0,8}"
_VALUE = r"(?P<value>\"(?:[^\"\\]|\\.)*+\"?|'(?:[^'\\]|\\.)*+'?|\\{1,4}[\"'][^\"'\\]*+|[^\s\"'&<>\\][^\s\"'&<>]*+)"
_NAMED = re.compile(rf"(?P<keep>{_NAMES}{_SEPARATOR}){_VALUE}", re.IGNORECASE | re.DOTALL)

# The rest of the line: a scheme and its credentials, or any number of cookies.
_HEADER = re.compile(rf"(?P<keep>(?:authorization|cookie){_SEPARATOR})[^\r\n]++", re.IGNORECASE)
# A scheme without its header, before what is no plain word.
_BEARER = re.compile(r"(?P<keep>\bBearer\s{1,8})(?=[a-z.-]{0,200}[0-9_~+/=]|[a-z.-]{24})[\w.~+/=-]++", re.IGNORECASE)

_URL = re.compile(r"https?://[^\s\"'<>]++", re.IGNORECASE)
_SECRET_URL = re.compile(
    r"\Ahttps?://[^/?#]*\.sagemaker\.(?:aws|amazonaws\.com(?:\.cn)?)(?::\d+)?/[^?]*+\?"
    r"|[?&;](?:amp;)?(?:token|X-Amz-|SAML(?:Response|Request)|Signature=)"
    r"|\A[^/]*+//[^/?#]*@",
    re.IGNORECASE,
)

# A SAML message, plain or escaped, to the end of the text: what follows it is nothing worth keeping.
_XML = re.compile(
    r"(?:<|&lt;|%3c|\\u003c)(?:[\w.-]{1,64}(?::|%3a))?"
    r"(?:(?:Encrypted)?Assertion|(?:Artifact|Logout)?Response|(?:Authn|Logout)Request|Encrypted(?:Data|Key|ID)|NameID"
    r"|Attribute(?:Statement|Value)?|Subject|Signature(?:Value)?|X509Certificate|CipherValue)(?=[\s/>&%\\]|\Z).*",
    re.IGNORECASE | re.DOTALL,
)
_PEM = re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)", re.DOTALL)
# `<saml`, `<?xml`, `<Response`, `<Assertion` and `<ns0:` in base64.
_SAML_BASE64 = re.compile(
    r"(?:PHNhbW|PD94bW|PFJlc3BvbnNl|PEFzc2VydGlv|PG5zM)[\w+/=%-]{20,}+(?:\s{1,2}[\w+/=%-]{16,}+)*+"
)
_WRAPPED_BASE64 = re.compile(r"(?<![\w+/])[A-Za-z0-9+/]{60,80}(?:(?:\r?\n|\\r\\n|\\n)[A-Za-z0-9+/=]{1,80})++")
_LONG_BASE64 = re.compile(r"[A-Za-z0-9+/_%-]{200,}+={0,2}")
_JWT = re.compile(r"\beyJ[\w-]{8,}+(?:\.[\w-]*+)++")
# Bearer tokens of the SCIM service, whole or cut.
_SCIM_TOKEN = re.compile(r"scimtok_[\w-]{5,}+")
_AWS_KEY = re.compile(r"(?<![A-Z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])")
_AWS_SESSION = re.compile(r"(?:IQoJb3JpZ2lu|FwoGZXIvYXdz|FQoGZXIvYXdz)[\w+/=%-]*+")

_WHOLE = (_PEM, _JWT, _SAML_BASE64, _WRAPPED_BASE64, _LONG_BASE64, _AWS_SESSION, _AWS_KEY, _SCIM_TOKEN)


def scrub_text(text: str) -> str:
    """Return `text` without presigned URLs, SAML messages, tokens and credentials."""
    text = _XML.sub(HIDDEN, text)
    text = _URL.sub(lambda match: HIDDEN if _SECRET_URL.search(match[0]) else match[0], text)
    text = _HEADER.sub(_keep_name, text)
    text = _NAMED.sub(_keep_quotes, text)
    text = _BEARER.sub(_keep_name, text)
    for pattern in _WHOLE:
        text = pattern.sub(HIDDEN, text)
    return text


def scrub(value: Any) -> Any:
    """Return a copy of a JSON value with every string scrubbed, and with nothing left of the values of secret names."""
    if isinstance(value, str):
        return storable(scrub_text(value))
    if isinstance(value, dict):
        return {storable(scrub_text(str(key))): _item(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [scrub(item) for item in value]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return scrub(str(value))


def storable(text: str) -> str:
    """Return `text` without what PostgreSQL cannot store: NUL and halves of characters."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def _item(key: str, item: Any) -> Any:
    if item in ("", None) or isinstance(item, bool) or not _NAME_AT_END.search(key):
        return scrub(item)
    return HIDDEN


def _keep_name(match: re.Match[str]) -> str:
    return match["keep"] + HIDDEN


def _keep_quotes(match: re.Match[str]) -> str:
    value = match["value"]
    bare = value.lstrip("\\")
    if bare[:1] not in {'"', "'"}:
        return match["keep"] + HIDDEN
    opening = value[: len(value) - len(bare) + 1]
    closing = bare[0] if opening == bare[0] and len(bare) > 1 and bare.endswith(bare[0]) else ""
    return match["keep"] + opening + HIDDEN + closing
