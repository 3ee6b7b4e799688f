"""What can be odd about the endpoint."""

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from portal.demo.aws.personality import PRESETS, Outcome, Personality, Throttle
from portal.demo.aws.seed import DOMAIN
from portal.demo.aws.server import Handle
from tests.portal.demo_aws.conftest import PROFILE, connect, refusal


def outcomes(call: Any, count: int) -> list[str]:
    """Make the call several times and return what became of each."""
    found = []
    for _ in range(count):
        try:
            call()
            found.append("ok")
        except ClientError as error:
            found.append(error.response["Error"]["Code"])
    return found


def test_slow(standin: Handle, studio: Any) -> None:
    standin.personality.slow = {"DescribeDomain": 0.3}
    started = time.monotonic()
    studio.list_domains()
    middle = time.monotonic()
    studio.describe_domain(DomainId=DOMAIN)
    assert time.monotonic() - middle >= 0.3 > middle - started
    standin.personality.slow = 0.2
    started = time.monotonic()
    studio.list_domains()
    assert time.monotonic() - started >= 0.2


def test_every_nth_call_is_throttled(standin: Handle, studio: Any) -> None:
    standin.personality.throttle = Throttle(every=3, operations=["ListDomains"])
    assert outcomes(studio.list_domains, 6) == ["ok", "ok", "ThrottlingException"] * 2
    assert outcomes(studio.list_user_profiles, 3) == ["ok"] * 3
    assert refusal_status(standin, studio) == 400


def refusal_status(standin: Handle, studio: Any) -> int:
    """Return the HTTP status of a throttled call."""
    standin.personality.throttle = Throttle(every=1)
    with pytest.raises(ClientError) as caught:
        studio.list_domains()
    assert caught.value.response["Error"]["Message"] == "Rate exceeded"
    return int(caught.value.response["ResponseMetadata"]["HTTPStatusCode"])


def test_chance_repeats_itself(standin: Handle, studio: Any) -> None:
    standin.personality.update({"throttle": {"fraction": 0.5}, "seed": 7})
    first = outcomes(studio.list_domains, 20)
    assert set(first) == {"ok", "ThrottlingException"}
    standin.personality.update({"seed": 7})
    assert outcomes(studio.list_domains, 20) == first


def test_a_rate(standin: Handle, studio: Any) -> None:
    standin.personality.throttle = Throttle(rate=0.001, burst=2)
    assert outcomes(studio.list_domains, 4) == ["ok", "ok", "ThrottlingException", "ThrottlingException"]


def test_planned_errors_come_in_their_order(standin: Handle, studio: Any) -> None:
    own = {"code": "AccessDeniedException", "message": "No.", "status": 400}
    standin.personality.fail_next["ListDomains"] = ["ok", 500, 503, "ResourceInUse", own]
    found = outcomes(studio.list_domains, 6)
    assert found == ["ok", "InternalFailure", "ServiceUnavailable", "ResourceInUse", "AccessDeniedException", "ok"]
    standin.personality.fail_next["*"] = [own]
    assert refusal(studio.describe_domain, DomainId=DOMAIN) == ("AccessDeniedException", "No.")


def test_a_lost_answer_has_been_worked_for(standin: Handle, studio: Any) -> None:
    standin.personality.fail_next["CreateUserProfile"] = ["drop", "lost"]
    with pytest.raises(ConnectionClosedError):
        studio.create_user_profile(**PROFILE)
    assert standin.state.profile(domain_id=DOMAIN, name=PROFILE["UserProfileName"]) is None
    with pytest.raises(ConnectionClosedError):
        studio.create_user_profile(**PROFILE)
    assert studio.describe_user_profile(**PROFILE)["Status"] == "InService"
    assert [call.outcome for call in standin.calls("CreateUserProfile")] == ["dropped", "lost"]


def test_botocores_own_retry_meets_its_first_attempt(standin: Handle) -> None:
    standin.personality.fail_next["CreateUserProfile"] = ["lost"]
    client = connect(standin.url, retries={"total_max_attempts": 2, "mode": "standard"})
    assert refusal(client.create_user_profile, **PROFILE)[0] == "ResourceInUse"
    client.close()


def test_creation_that_fails(standin: Handle, studio: Any) -> None:
    standin.personality.create_fails = True
    studio.create_user_profile(**PROFILE)
    described = studio.describe_user_profile(**PROFILE)
    assert described["Status"] == "Failed"
    assert described["FailureReason"]


def test_never_ready(standin: Handle, studio: Any) -> None:
    standin.personality.never_ready = True
    studio.create_user_profile(**PROFILE)
    standin.state.clock.advance(10_000)
    assert studio.describe_user_profile(**PROFILE)["Status"] == "Pending"


def test_reads_lag_behind_writes(standin: Handle, studio: Any) -> None:
    standin.personality.consistency_lag = 60
    studio.create_user_profile(**PROFILE)
    assert refusal(studio.describe_user_profile, **PROFILE)[0] == "ResourceNotFound"
    assert refusal(studio.create_presigned_domain_url, **PROFILE)[0] == "ResourceNotFound"
    assert studio.list_user_profiles()["UserProfiles"] == []
    assert refusal(studio.create_user_profile, **PROFILE)[0] == "ResourceInUse"
    standin.state.clock.advance(61)
    assert studio.describe_user_profile(**PROFILE)["Status"] == "InService"


def test_down_and_up_again(standin: Handle, studio: Any) -> None:
    standin.personality.down = True
    with pytest.raises(ConnectionClosedError):
        studio.list_domains()
    standin.personality.down = False
    studio.list_domains()


@pytest.mark.parametrize("name", PRESETS)
def test_presets(name: str) -> None:
    personality = Personality(down=True, create_delay=3)
    personality.update({"preset": name, "delete_delay": 5})
    assert personality.down is (name == "down")
    assert (personality.create_delay, personality.delete_delay) == (3, 5)


@pytest.mark.parametrize(
    "changes",
    [
        [],
        {"unknown": 1},
        {"preset": "unknown"},
        {"down": "yes"},
        {"create_delay": -1},
        {"create_delay": True},
        {"create_fails": 1},
        {"throttle": 0.5},
        {"throttle": {"unknown": 1}},
        {"throttle": {"every": -1}},
        {"slow": {"ListDomains": "long"}},
        {"fail_next": ["lost"]},
        {"fail_next": {"ListDomains": "lost"}},
        {"fail_next": {"ListDomains": [{"status": 400}]}},
    ],
)
def test_nonsense_changes_nothing(changes: Any) -> None:
    personality = Personality(slow=1)
    with pytest.raises(ValueError):
        personality.update({"slow": 2, **changes} if isinstance(changes, dict) else changes)
    assert personality == Personality(slow=1)


def test_outcomes_can_be_written_in_several_ways() -> None:
    planned = Outcome("error", "ThrottlingException", "Rate exceeded")
    assert Outcome.parse("ThrottlingException") == planned
    assert Outcome.parse(planned) is planned
    assert Outcome.parse("503").status == 503
