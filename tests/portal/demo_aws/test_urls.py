"""Presigned URLs and the page behind them."""

import re
import urllib.error
import urllib.request
from typing import Any

import pytest

from portal.demo.aws.seed import ACCOUNT, DOMAIN, OTHER_DOMAIN, OTHER_EXTERNAL_ID, OTHER_PORTAL_ROLE, REGION, TEAM_ROLES
from portal.demo.aws.server import Handle
from tests.portal.demo_aws.conftest import NAME, PROFILE, connect, refusal


def browse(url: str) -> tuple[int, dict[str, str], str]:
    """Open a page as a browser would; return its status, headers and text."""
    request = urllib.request.Request(url, headers={"Accept": "text/html"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, dict(answer.headers), answer.read().decode()
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, dict(answer.headers), answer.read().decode()


def facts(page: str) -> dict[str, str]:
    """Return what the page tells, by element id."""
    return dict(re.findall(r'<dd id="([a-z-]+)">([^<]*)</dd>', page))


@pytest.fixture(autouse=True)
def _profile(studio: Any) -> None:
    studio.create_user_profile(**PROFILE, UserSettings={"ExecutionRole": TEAM_ROLES[0]})


def test_a_url_opens_once_and_tells_as_whom(standin: Handle, studio: Any) -> None:
    url = studio.create_presigned_domain_url(**PROFILE, SessionExpirationDurationInSeconds=5400)["AuthorizedUrl"]
    assert re.fullmatch(re.escape(standin.url) + r"/auth\?token=[\w-]{43,}", url)
    status, headers, page = browse(url)
    assert status == 200
    assert "Amazon SageMaker Studio (stand-in)" in page
    assert facts(page) == {
        "account": ACCOUNT,
        "region": REGION,
        "domain": DOMAIN,
        "profile": NAME,
        "execution-role": TEAM_ROLES[0],
        "session-name": "studio-portal",
        "session-length": "5400 seconds (1 h 30 min)",
    }
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "<script" not in page
    assert "style=" not in page
    status, headers, page = browse(url)
    assert status == 403
    assert facts(page) == {}
    assert headers["Cache-Control"] == "no-store"


def test_a_url_expires(standin: Handle, studio: Any) -> None:
    url = studio.create_presigned_domain_url(**PROFILE, ExpiresInSeconds=20)["AuthorizedUrl"]
    standin.state.clock.advance(20)
    assert browse(url)[0] == 403
    late = studio.create_presigned_domain_url(**PROFILE)["AuthorizedUrl"]
    standin.state.clock.advance(295)
    assert browse(late)[0] == 200


@pytest.mark.parametrize("query", ["", "?token=", "?token=guess", "?token=a&token=b"])
def test_no_token_no_page(standin: Handle, query: str) -> None:
    assert browse(f"{standin.url}/auth{query}")[0] == 403


def test_what_the_url_leads_to_can_be_chosen(studio: Any) -> None:
    studio.create_space(DomainId=DOMAIN, SpaceName="shared")
    wanted = {"LandingUri": "app:JupyterLab:lab?a=<b>", "SpaceName": "shared"}
    page = browse(studio.create_presigned_domain_url(**PROFILE, **wanted)["AuthorizedUrl"])[2]
    assert facts(page)["landing-uri"] == "app:JupyterLab:lab?a=&lt;b&gt;"
    assert facts(page)["space"] == "shared"


def test_the_session_that_minted_is_named(standin: Handle, sts: Any) -> None:
    role = {"RoleArn": OTHER_PORTAL_ROLE, "ExternalId": OTHER_EXTERNAL_ID, "RoleSessionName": "alice@example.com"}
    other = connect(standin.url, keys=sts.assume_role(**role)["Credentials"])
    profile = {"DomainId": OTHER_DOMAIN, "UserProfileName": "alice"}
    other.create_user_profile(**profile)
    page = browse(other.create_presigned_domain_url(**profile)["AuthorizedUrl"])[2]
    other.close()
    assert facts(page)["session-name"] == "alice@example.com"
    assert facts(page)["account"] == OTHER_PORTAL_ROLE.split(":")[4]


def test_no_url_for_a_profile_that_is_not_ready(standin: Handle, studio: Any) -> None:
    absent = {**PROFILE, "UserProfileName": "absent"}
    assert refusal(studio.create_presigned_domain_url, **absent)[0] == "ResourceNotFound"
    standin.personality.create_delay = 60
    studio.create_user_profile(**absent)
    assert refusal(studio.create_presigned_domain_url, **absent)[0] == "ValidationException"
    standin.state.clock.advance(61)
    studio.create_presigned_domain_url(**absent)


def test_no_url_in_sso_domains(standin: Handle, studio: Any) -> None:
    standin.state.domains[DOMAIN].auth_mode = "SSO"
    assert refusal(studio.create_presigned_domain_url, **PROFILE)[0] == "ValidationException"


def test_no_url_into_the_private_space_of_another(studio: Any) -> None:
    other = {"DomainId": DOMAIN, "UserProfileName": "other"}
    studio.create_user_profile(**other)
    ownership = {
        "OwnershipSettings": {"OwnerUserProfileName": NAME},
        "SpaceSharingSettings": {"SharingType": "Private"},
    }
    studio.create_space(DomainId=DOMAIN, SpaceName="mine", **ownership)
    assert refusal(studio.create_presigned_domain_url, **other, SpaceName="mine")[0] == "ValidationException"
    studio.create_presigned_domain_url(**PROFILE, SpaceName="mine")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ExpiresInSeconds", 4),
        ("ExpiresInSeconds", 301),
        ("SessionExpirationDurationInSeconds", 1799),
        ("SessionExpirationDurationInSeconds", 43201),
        ("LandingUri", "https://example.com/"),
    ],
)
def test_limits_of_a_url(studio: Any, name: str, value: Any) -> None:
    assert refusal(studio.create_presigned_domain_url, **PROFILE, **{name: value})[0] == "ValidationException"


def test_tokens_are_neither_logged_nor_kept(standin: Handle, studio: Any, capfd: pytest.CaptureFixture[str]) -> None:
    url = studio.create_presigned_domain_url(**PROFILE)["AuthorizedUrl"]
    token = url.partition("token=")[2]
    browse(url)
    browse(url)
    assert token not in repr(vars(standin.state))
    assert capfd.readouterr() == ("", "")


def test_the_pages_have_a_style_and_nothing_else(standin: Handle) -> None:
    status, headers, text = browse(f"{standin.url}/studio.css")
    assert (status, headers["Content-Type"]) == (200, "text/css; charset=utf-8")
    assert "prefers-color-scheme: dark" in text
    assert browse(f"{standin.url}/elsewhere")[0] == 404


def test_where_people_work_who_enters_runs_an_app_in_a_space_of_theirs(standin: Handle, studio: Any) -> None:
    standin.state.people_work = True
    for _ in range(2):
        browse(studio.create_presigned_domain_url(**PROFILE)["AuthorizedUrl"])
    [space] = studio.list_spaces(DomainIdEquals=DOMAIN)["Spaces"]
    assert space["OwnershipSettingsSummary"] == {"OwnerUserProfileName": NAME}
    [app] = studio.list_apps(DomainIdEquals=DOMAIN)["Apps"]
    assert (app["SpaceName"], app["Status"], app["AppType"]) == (space["SpaceName"], "InService", "JupyterLab")


def test_where_nobody_was_asked_to_work_nothing_runs(standin: Handle, studio: Any) -> None:
    browse(studio.create_presigned_domain_url(**PROFILE)["AuthorizedUrl"])
    assert studio.list_apps(DomainIdEquals=DOMAIN)["Apps"] == []
