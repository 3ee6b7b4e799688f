"""Clients are shared, roles are assumed once, and no other identity ever steps in."""

import os
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from portal.demo.aws.seed import OTHER_DOMAIN, OTHER_EXTERNAL_ID, OTHER_PORTAL_ROLE
from portal.demo.aws.server import Handle
from provisioning.aws import client, errors
from provisioning.aws.client import Account
from provisioning.aws.studio import App, Presigned, Studio

REGION = "eu-west-1"
OWN = Account()
OTHER = Account(OTHER_PORTAL_ROLE, OTHER_EXTERNAL_ID)


def create(studio: Studio, domain_id: str = OTHER_DOMAIN) -> None:
    role = f"arn:aws:iam::{studio.account.role_arn.split(':')[4]}:role/Team"
    studio.create_profile(domain_id, "user1", user_settings={"ExecutionRole": role}, tags={})


class TestClients:
    def test_one_client_for_each_role_region_and_purpose(self, aws: Handle) -> None:
        first = client.get(OWN, REGION, "sagemaker", "work")
        assert client.get(Account(), REGION, "sagemaker", "work") is first
        assert client.get(OWN, "us-east-1", "sagemaker", "work") is not first
        assert client.get(OWN, REGION, "sagemaker", "launch") is not first
        assert client.get(OTHER, REGION, "sagemaker", "work") is not first

    def test_sixteen_threads_get_the_same_one(self, aws: Handle) -> None:
        found: list[Any] = []
        barrier = threading.Barrier(16)

        def get() -> None:
            barrier.wait()
            found.append(client.get(OWN, REGION, "sagemaker", "work"))

        threads = [threading.Thread(target=get) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({id(each) for each in found}) == 1

    def test_warming_makes_clients_and_no_call(self, aws: Handle) -> None:
        client.warm([(OWN, REGION), (OTHER, REGION)])
        assert aws.calls() == []
        assert set(client._clients) == {(OWN, REGION, "sagemaker", "launch"), (OTHER, REGION, "sagemaker", "launch")}

    @pytest.mark.parametrize(("purpose", "connect", "read"), [("launch", 2, 5), ("work", 3, 10)])
    def test_time_limits_and_no_retries(self, aws: Handle, purpose: Any, connect: int, read: int) -> None:
        config = client.get(OWN, REGION, "sagemaker", purpose).meta.config
        assert (config.connect_timeout, config.read_timeout) == (connect, read)
        assert config.retries["total_max_attempts"] == 1
        assert config.max_pool_connections >= 64

    def test_each_service_has_its_own_endpoint_variable(self, aws: Handle, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")
        client.reset()
        with pytest.raises(errors.ConnectionBroken):
            Studio(OTHER, REGION).describe_profile(OTHER_DOMAIN, "user1")
        assert aws.calls() == []

    def test_work_that_creates_is_not_repeated(self, aws: Handle) -> None:
        aws.personality.fail_next = {"CreateUserProfile": [503, 503]}
        with pytest.raises(errors.Transient):
            create(Studio(OTHER, REGION))
        assert len(aws.calls("CreateUserProfile")) == 1


class TestRoles:
    def test_a_role_is_assumed_once_with_its_external_id(self, aws: Handle) -> None:
        studio = Studio(OTHER, REGION)
        create(studio)
        studio.describe_profile(OTHER_DOMAIN, "user1")
        Studio(OTHER, REGION, "launch").describe_profile(OTHER_DOMAIN, "user1")
        (assumed,) = aws.calls("AssumeRole")
        assert "ExternalId" in assumed.params
        assert assumed.params["RoleSessionName"] == "studio-portal"
        assert all("StudioPortal" in call.caller for call in aws.calls("DescribeUserProfile"))

    def test_many_threads_assume_it_once(self, aws: Handle) -> None:
        create(Studio(OTHER, REGION))
        client.forget(OTHER)
        aws.state.calls.clear()
        aws.personality.slow = {"AssumeRole": 0.2}
        describe = Studio(OTHER, REGION).describe_profile
        threads = [threading.Thread(target=describe, args=(OTHER_DOMAIN, "user1")) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(aws.calls("AssumeRole")) == 1
        assert [call.outcome for call in aws.calls("DescribeUserProfile")] == ["ok"] * 8

    @pytest.mark.parametrize(
        "account", [Account(OTHER_PORTAL_ROLE, "wrong"), Account(OTHER_PORTAL_ROLE), Account(OTHER_PORTAL_ROLE + "x")]
    )
    def test_a_role_that_cannot_be_assumed_is_denied_and_no_other_is_used(self, aws: Handle, account: Account) -> None:
        with pytest.raises(errors.Denied, match="sts:AssumeRole"):
            Studio(account, REGION).describe_profile(OTHER_DOMAIN, "user1")
        assert aws.calls("DescribeUserProfile") == []

    def test_credentials_are_renewed_before_they_run_out(self, aws: Handle, monkeypatch: pytest.MonkeyPatch) -> None:
        create(Studio(OTHER, REGION))
        later = datetime.now(UTC) + timedelta(minutes=50)
        provided = client._sessions[OTHER].get_credentials()
        monkeypatch.setattr(provided, "_time_fetcher", lambda: later)
        Studio(OTHER, REGION).describe_profile(OTHER_DOMAIN, "user1")
        assert len(aws.calls("AssumeRole")) == 2

    def test_credentials_that_ran_out_all_the_same_are_dropped(self, aws: Handle) -> None:
        studio = Studio(OTHER, REGION)
        create(studio)
        aws.state.clock.advance(4000)
        with pytest.raises(errors.CredentialsExpired) as caught:
            studio.describe_profile(OTHER_DOMAIN, "user1")
        assert "token" not in caught.value.message.lower()
        assert studio.describe_profile(OTHER_DOMAIN, "user1").status == "InService"

    def test_a_throttled_sts_is_throttling(self, aws: Handle) -> None:
        aws.personality.fail_next = {"AssumeRole": ["ThrottlingException"]}
        with pytest.raises(errors.Throttled):
            Studio(OTHER, REGION).describe_profile(OTHER_DOMAIN, "user1")

    def test_no_credentials_are_denied_with_a_hint(self, aws: Handle, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in [name for name in os.environ if name.startswith("AWS_") and "KEY" in name]:
            monkeypatch.delenv(name)
        client.reset()
        with pytest.raises(errors.Denied, match="no AWS credentials"):
            Studio(OWN, REGION).describe_profile("d-x", "user1")


class TestVerbs:
    def test_a_url_is_a_secret(self, aws: Handle) -> None:
        studio = Studio(OTHER, REGION, "launch")
        create(studio)
        presigned = studio.presigned_url(OTHER_DOMAIN, "user1", session_duration=1800, url_lifetime=60)
        assert presigned.url.startswith("http")
        assert presigned.url not in repr(presigned)
        assert presigned.url not in f"{presigned} {presigned!s}"
        assert presigned.request_id

    def test_minting_is_repeated_once_when_the_connection_broke(self, aws: Handle) -> None:
        studio = Studio(OTHER, REGION, "launch")
        create(studio)
        aws.personality.fail_next = {"CreatePresignedDomainUrl": ["drop"]}
        assert studio.presigned_url(OTHER_DOMAIN, "user1", session_duration=1800, url_lifetime=60).url
        aws.personality.fail_next = {"CreatePresignedDomainUrl": ["drop", "drop"]}
        with pytest.raises(errors.ConnectionBroken):
            studio.presigned_url(OTHER_DOMAIN, "user1", session_duration=1800, url_lifetime=60)

    def test_minting_is_not_repeated_for_an_answer(self, aws: Handle) -> None:
        studio = Studio(OTHER, REGION, "launch")
        create(studio)
        aws.personality.fail_next = {"CreatePresignedDomainUrl": [503]}
        with pytest.raises(errors.Transient):
            studio.presigned_url(OTHER_DOMAIN, "user1", session_duration=1800, url_lifetime=60)
        assert len(aws.calls("CreatePresignedDomainUrl")) == 1

    def test_tags_come_from_every_page(self, aws: Handle) -> None:
        studio = Studio(OTHER, REGION)
        create(studio)
        arn = studio.describe_profile(OTHER_DOMAIN, "user1").arn
        tags = {f"key{number:02}": str(number) for number in range(50)}
        studio.add_tags(arn, tags)
        aws.personality.short_pages = True
        assert studio.list_tags(arn) == tags

    def test_an_answer_without_a_url_is_no_url(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Studio, "_call", lambda *_args, **_request: {})
        with pytest.raises(errors.Transient):
            Studio(OWN, REGION).presigned_url("d-x", "user1", session_duration=1800, url_lifetime=60)

    def test_presigned_urls_hide_themselves_in_containers_too(self) -> None:
        assert "secret" not in repr([Presigned("https://secret", "r-1")])


class TestAppsAndSpaces:
    """The stand-in lists ten rows, or none, and a token to go on."""

    @pytest.fixture(name="studio")
    def _studio(self, aws: Handle) -> Studio:
        studio = Studio(OTHER, REGION)
        create(studio)
        boto = client.get(OTHER, REGION, "sagemaker", "work")
        mine = {
            "OwnershipSettings": {"OwnerUserProfileName": "user1"},
            "SpaceSharingSettings": {"SharingType": "Private"},
        }
        for number in range(12):
            boto.create_space(DomainId=OTHER_DOMAIN, SpaceName=f"space{number}", **mine)
        for number in range(12):
            named = {"AppType": "JupyterLab", "AppName": f"app{number}"}
            boto.create_app(DomainId=OTHER_DOMAIN, SpaceName="space0", **named)
        boto.create_app(DomainId=OTHER_DOMAIN, UserProfileName="user1", AppType="JupyterServer", AppName="default")
        aws.personality.short_pages = True
        return studio

    def test_lists_are_whole_however_short_the_pages(
        self, aws: Handle, studio: Studio, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("provisioning.aws.studio.PAGE", 3)
        spaces = list(studio.list_spaces(OTHER_DOMAIN))
        assert sorted(space.name for space in spaces) == sorted(f"space{number}" for number in range(12))
        assert {(space.status, space.owner, space.sharing) for space in spaces} == {("InService", "user1", "Private")}
        apps = list(studio.list_apps(OTHER_DOMAIN, space="space0"))
        assert sorted(app.name for app in apps) == sorted(f"app{number}" for number in range(12))
        (own,) = studio.list_apps(OTHER_DOMAIN, profile="user1")
        assert replace(own, created=None) == App("JupyterServer", "default", "InService", profile="user1")
        assert len(aws.calls("ListSpaces")) > 4

    def test_a_list_that_does_not_end_is_given_up(
        self, aws: Handle, studio: Studio, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("provisioning.aws.studio.MAX_PAGES", 2)
        monkeypatch.setattr("provisioning.aws.studio.PAGE", 1)
        with pytest.raises(errors.Transient):
            list(studio.list_spaces(OTHER_DOMAIN))
        with pytest.raises(errors.Transient):
            list(studio.list_apps(OTHER_DOMAIN, space="space0"))

    def test_a_token_from_elsewhere_is_not_valid(self, studio: Studio) -> None:
        with pytest.raises(errors.Invalid):
            studio.spaces_page(OTHER_DOMAIN, "nonsense")

    @pytest.mark.parametrize("old_not_found", [False, True])
    def test_what_is_gone_is_not_found(self, aws: Handle, studio: Studio, old_not_found: bool) -> None:
        aws.personality.old_not_found = old_not_found
        app = App("JupyterServer", "default", "InService", profile="user1")
        described = studio.describe_app(OTHER_DOMAIN, app)
        assert replace(described, created=None, arn="") == app
        assert described.created is not None
        assert described.arn.endswith("/jupyterserver/default")
        assert studio.delete_app(OTHER_DOMAIN, app).request_id
        assert studio.describe_app(OTHER_DOMAIN, app).status == "Deleted"
        with pytest.raises(errors.NotFound):
            studio.delete_app(OTHER_DOMAIN, app)
        assert studio.describe_space(OTHER_DOMAIN, "space1").owner == "user1"
        studio.delete_space(OTHER_DOMAIN, "space1")
        for verb in (studio.describe_space, studio.delete_space):
            with pytest.raises(errors.NotFound):
                verb(OTHER_DOMAIN, "space1")
        with pytest.raises(errors.AlreadyExists):
            studio.delete_space(OTHER_DOMAIN, "space0")
