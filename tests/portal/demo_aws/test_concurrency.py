"""Many clients at once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from portal.demo.aws.seed import DOMAIN
from portal.demo.aws.server import Handle, start
from portal.demo.aws.state import State
from tests.portal.demo_aws.conftest import PROFILE, connect
from tests.portal.demo_aws.test_urls import browse

AT_ONCE = 8


def test_one_of_many_creates_a_profile(studio: Any) -> None:
    def create(_: int) -> str:
        try:
            studio.create_user_profile(**PROFILE)
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "ok"

    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(pool.map(create, range(3 * AT_ONCE)))
    assert sorted(outcomes) == ["ResourceInUse"] * (3 * AT_ONCE - 1) + ["ok"]


def test_one_of_many_opens_a_url(studio: Any) -> None:
    studio.create_user_profile(**PROFILE)
    url = studio.create_presigned_domain_url(**PROFILE)["AuthorizedUrl"]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        statuses = [answer[0] for answer in pool.map(browse, [url] * 3 * AT_ONCE)]
    assert sorted(statuses) == [200] + [403] * (3 * AT_ONCE - 1)


def test_every_answered_change_is_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "aws.json"
    handle: Handle = start(state_file=file)
    studio = connect(handle.url)
    missing = []

    def create(number: int) -> None:
        name = f"user{number}"
        studio.create_user_profile(DomainId=DOMAIN, UserProfileName=name)
        written = State(file)
        written.load()
        if written.profile(DOMAIN, name) is None:
            missing.append(name)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(create, range(3 * AT_ONCE)))
    studio.close()
    handle.stop()
    assert missing == []
