"""Nothing secret stays in a text or in JSON, plain sentences stay readable, and long texts cost little."""

import base64
import json
import string
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from teams.scrubbing import HIDDEN, scrub, scrub_text

READABLE = [
    "token is missing",
    "The token has expired; sign on again.",
    "bearer confirmation without NotOnOrAfter",
    "Bearer confirmation has no NotOnOrAfter.",
    "The password was changed.",
    "secret of the house",
    "SAMLResponse is not base64",
    "the assertion is 400 seconds old",
    "arn:aws:iam::123456789012:role/service-role/AmazonSageMaker-ExecutionRole-20240101T000000",
    "arn:aws:sagemaker:eu-west-1:123456789012:user-profile/d-abcdefghijkl/alice-team1",
    "https://wiki.example.com/teams?page=3#top",
    "https://d-abc.studio.eu-west-1.sagemaker.aws/",
    "An error occurred (ValidationException) when calling the CreateUserProfile operation: bad name",
    "alice@example.com of CN=Staff,OU=Groups,DC=example,DC=com",
    "2f1c9c3e-7a55-4a63-9d6e-0f6c1d0f8f5e",
    "x < 5 and y > 6",
    "Team1, token bucket, 12 tokens left",
]

HIDDEN_TEXTS = {
    "token=abc": "token=[hidden]",
    "?x=1&token=abc&y=2": "?x=1&token=[hidden]&y=2",
    '{"SessionToken": "x"}': '{"SessionToken": "[hidden]"}',
    "{'SecretAccessKey': 'a b\\'c'}": "{'SecretAccessKey': '[hidden]'}",
    '{\\"token\\": \\"abc\\"}': '{\\"token\\": \\"[hidden]\\"}',
    "aws_secret_access_key = abc/def+g": "aws_secret_access_key = [hidden]",
    "Password: hunter2 was wrong": "Password: [hidden] was wrong",
    "token%3Dabc": "token%3D[hidden]",
    "Authorization: Bearer x": "Authorization: [hidden]",
    "authorization: Basic YWxpY2U6c2VjcmV0\nnext": "authorization: [hidden]\nnext",
    "Cookie: a=b; portal_session=xyz\nHost: x": "Cookie: [hidden]\nHost: x",
    "Set-Cookie: portal_session=xyz; Secure": "Set-Cookie: [hidden]",
    "sent Bearer abc123 to it": "sent Bearer [hidden] to it",
    "opened https://d-x.studio.eu-west-1.sagemaker.aws/auth?token=eyJhbGci and left": "opened [hidden] and left",
    "https://d-x.studio.eu-west-1.sagemaker.aws/auth/?next=1": "[hidden]",
    "https://user:pw@example.com/": "[hidden]",
    "https://s3.amazonaws.com/b?X-Amz-Signature=abc": "[hidden]",
    "https://idp.example.com/sso?SAMLRequest=fZFN": "[hidden]",
    "got <saml:Assertion ID='x'>alice</saml:Assertion>": "got [hidden]",
    "got <ns0:Response><x/></ns0:Response> then": "got [hidden]",
    "got &lt;saml2:Assertion&gt;alice": "got [hidden]",
    "got <Assertion": "got [hidden]",
    "got %3Csamlp%3AResponse%20ID": "got [hidden]",
    "key AKIAIOSFODNN7EXAMPLE used": "key [hidden] used",
    "ASIAIOSFODNN7EXAMPLE": "[hidden]",
    "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY----- after": "[hidden] after",
    "-----BEGIN PRIVATE KEY-----\nabc": "[hidden]",
    "sent scimtok_Zm9vYmFyYmF6-_Zm9vYmFyYmF6cXV4Zm9vYmFy0 twice": "sent [hidden] twice",
    "jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln ends": "jwt [hidden] ends",
}


@pytest.mark.parametrize("text", READABLE)
def test_plain_sentences_stay(text: str) -> None:
    assert scrub_text(text) == text


@pytest.mark.parametrize(("text", "left"), HIDDEN_TEXTS.items())
def test_secrets_go(text: str, left: str) -> None:
    assert scrub_text(text) == left


@pytest.mark.parametrize("text", [*READABLE, *HIDDEN_TEXTS])
def test_doing_it_twice_changes_nothing_more(text: str) -> None:
    once = scrub_text(text)
    assert scrub_text(once) == once


def test_a_message_in_base64_goes_in_one_line_and_in_many() -> None:
    xml = "<samlp:Response ID='a'>" + "<saml:Attribute>alice@example.com</saml:Attribute>" * 20
    encoded = base64.b64encode(xml.encode()).decode()
    wrapped = "\n".join(encoded[at : at + 76] for at in range(0, len(encoded), 76))
    for message in (encoded, wrapped, quote(encoded), encoded[:120], repr(wrapped)):
        assert encoded[40:56] not in scrub_text(f"refused: {message} at once")


def test_any_long_base64_goes() -> None:
    body = base64.b64encode(bytes(range(256)) * 4).decode()
    assert scrub_text(f"before {body} after") == f"before {HIDDEN} after"


class TestJson:
    def test_the_value_of_a_secret_name_goes_whatever_it_is(self) -> None:
        assert scrub({"SessionToken": "x", "password": ["a", "b"], "Authorization": {"a": 1}, "pin_secret": 7}) == {
            "SessionToken": HIDDEN,
            "password": HIDDEN,
            "Authorization": HIDDEN,
            "pin_secret": HIDDEN,
        }

    def test_what_says_only_whether_there_is_a_secret_stays(self) -> None:
        kept = {"token": None, "password": "", "secret": True, "tokens_left": 5, "group": "token"}
        assert scrub(kept) == kept

    def test_texts_are_scrubbed_however_deep(self) -> None:
        assert scrub({"a": [("token=x", {"b": {"token=y"}})]}) == {"a": [["token=[hidden]", {"b": ["token=[hidden]"]}]]}

    def test_names_are_scrubbed_too(self) -> None:
        assert scrub({"token=abc": 1}) == {"token=[hidden]": 1}

    def test_other_types_become_what_json_can_say(self) -> None:
        made = scrub({"when": ValueError("token=x"), 3: float("inf"), "n": 1.5, "flag": False})
        assert made == {"when": "token=[hidden]", "3": "inf", "n": 1.5, "flag": False}
        json.dumps(made)


# Any secret that a token, key or signature can look like; long enough not to be part of the text around it.
SECRETS = st.text(alphabet=string.ascii_letters + string.digits + "._~+/-", min_size=12, max_size=80).filter(
    lambda text: any(each in string.digits for each in text) and not text.startswith(("-", "."))
)
PLACES: list[Callable[[str], str]] = [
    lambda secret: f"token={secret}",
    lambda secret: f"a=1&token={secret}&b=2",
    lambda secret: f"SAMLResponse={secret}",
    lambda secret: f"SAMLRequest: {secret}",
    lambda secret: json.dumps({"AuthorizedUrl": secret}),
    lambda secret: json.dumps(json.dumps({"Credentials": {"SessionToken": secret}})),
    lambda secret: json.dumps({"SecretAccessKey": secret}, indent=2),
    lambda secret: repr({"password": secret, "other": 1}),
    lambda secret: f"aws_secret_access_key={secret}",
    lambda secret: f"client_secret => '{secret}'",
    lambda secret: f"X-Amz-Security-Token: {secret}",
    lambda secret: f"Authorization: Bearer {secret}",
    lambda secret: f"Authorization: AWS4-HMAC-SHA256 Credential=A/b, Signature={secret}",
    lambda secret: f"{{'Authorization': 'Bearer {secret}'}}",
    lambda secret: f"Bearer {secret}",
    lambda secret: f"Cookie: portal_csrf=1; portal_session={secret}",
    lambda secret: f"https://d-x.studio.eu-west-1.sagemaker.aws/auth?token={secret}",
    lambda secret: f"https://d-x.studio.eu-west-1.sagemaker.aws/auth?next=%2F&amp;token={secret}",
    lambda secret: quote(f"https://d-x.studio.eu-west-1.sagemaker.aws/auth?token={secret}", safe=""),
    lambda secret: f"https://alice:{secret.replace('/', '')}@example.com/",
    lambda secret: f"<saml:Assertion ID='_1'><saml:Subject>{secret}</saml:Subject></saml:Assertion>",
    lambda secret: f"<ns0:Response>\n<ns1:Assertion>{secret}",
    lambda secret: f"&lt;samlp:Response&gt;{secret}",
    lambda secret: base64.b64encode(f"<saml:Assertion>{secret}</saml:Assertion>".encode()).decode(),
    lambda secret: base64.b64encode(f"<samlp:Response ID='_1'>{secret}".encode()).decode(),
    lambda secret: f"-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----",
]
AROUND = st.text(alphabet=string.printable + "äß“”", max_size=60)


@settings(max_examples=600, deadline=None)
@given(secret=SECRETS, place=st.sampled_from(PLACES), before=AROUND, after=AROUND)
def test_a_planted_secret_never_stays(secret: str, place: Callable[[str], str], before: str, after: str) -> None:
    assume(secret not in before + after)
    text = f"{before} {place(secret)}\n{after}"
    for left in (scrub_text(text), json.dumps(scrub({"reason": text, "deep": [{"x": text}]}))):
        assert secret not in left
        assert base64.b64encode(secret.encode()).decode()[:16] not in left


@settings(deadline=None)
@given(key=st.sampled_from(["token", "SessionToken", "client_secret", "db-password"]), secret=st.text(min_size=1))
def test_the_value_of_a_secret_key_never_stays(key: str, secret: str) -> None:
    assert scrub({"a": {key: secret, f"{key}s": 1}})["a"][key] == HIDDEN
