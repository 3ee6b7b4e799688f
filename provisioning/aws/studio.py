"""Verbs of SageMaker Studio. They take and return plain values, and raise only what `errors` names.

Each verb is exactly one call, `list_tags`, `list_apps` and `list_spaces` one per page. Nothing is retried, except
minting a URL when the connection broke, because a second URL does no harm.

Work in the background keeps a pace for each (account, Region, operation) that all workers share (`provisioning.limits`)
and raises Paced where its turn is too far away. `announce`, where a verb takes it, is called when it is the call's turn
and right before it is made; what it raises stops the call. Launches have operations of their own and ask nobody.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings

from provisioning import limits
from provisioning.aws import client, errors
from provisioning.aws.client import Account, Purpose, Session
from provisioning.database import give_back_connection

# A list that has not ended after so many pages never will: the pages may be short, but not that short.
MAX_PAGES = 500
PAGE = 100
# A thread waits for its turn so many seconds at most; rows whose turn is later are given back.
HOLD = 1.0
# Nobody calls for so many seconds after AWS throttled a call.
BREATHER = 0.5

Announce = Callable[[], None]


@dataclass(frozen=True)
class ProfileDescription:
    """A user profile as AWS describes it; `status` is AWS's own word, `Delete_Failed` with its underscore."""

    status: str
    arn: str
    execution_role_arn: str
    failure_reason: str
    user_settings: dict[str, Any]
    request_id: str
    # The user name in IAM Identity Center, empty in IAM mode.
    sso_user: str = ""


@dataclass(frozen=True)
class Door:
    """How people get into a domain, in AWS's own words: `url` and `application_arn` are those of SSO mode."""

    auth_mode: str
    url: str
    application_arn: str
    request_id: str


@dataclass(frozen=True)
class Listed:
    """A user profile as a list shows it; `status` is AWS's own word."""

    name: str
    status: str
    created: datetime | None
    modified: datetime | None = None


@dataclass(frozen=True)
class ProfilePage:
    """One page of a domain's user profiles, and the token of the next one, empty at the end."""

    profiles: tuple[Listed, ...]
    next_token: str
    request_id: str


@dataclass(frozen=True)
class App:
    """An app and what it belongs to: `space` wins where AWS names a `profile` too. `status` is AWS's own word.

    `arn` and `active`, when a person last did something in it, are known to a description only, and not always then.
    """

    app_type: str
    name: str
    status: str
    profile: str = ""
    space: str = ""
    instance_type: str = ""
    created: datetime | None = None
    active: datetime | None = None
    arn: str = ""


@dataclass(frozen=True)
class AppPage:
    """One page of a domain's apps, which may be empty, and the token of the next one, empty at the end."""

    apps: tuple[App, ...]
    next_token: str


@dataclass(frozen=True)
class Space:
    """A space: `owner` is the name of the profile that owns it, empty where none does; `sharing` Private or Shared.

    `volume_gb` is the size of its own volume, None where AWS does not tell it.
    """

    name: str
    status: str
    owner: str = ""
    sharing: str = ""
    app_type: str = ""
    volume_gb: int | None = None
    created: datetime | None = None


@dataclass(frozen=True)
class SpacePage:
    """One page of a domain's spaces, which may be empty, and the token of the next one, empty at the end."""

    spaces: tuple[Space, ...]
    next_token: str


@dataclass(frozen=True)
class Answer:
    """What a changing call answers; `arn` is empty where AWS does not tell it."""

    arn: str
    request_id: str


@dataclass(frozen=True)
class Presigned:
    """A URL that opens Studio as somebody, in `space` if there is one: a secret, and so not part of the text form."""

    url: str = field(repr=False)
    request_id: str = ""
    space: str = ""


@dataclass(frozen=True)
class Studio:
    """SageMaker in one account and Region; `session` is that of the person for whom it is asked, None the portal's.

    `first`: a person waits for what the work is about; it goes before all other work.
    """

    account: Account
    region: str
    purpose: Purpose = "work"
    session: Session | None = None
    first: bool = False

    def describe_profile(self, domain_id: str, name: str) -> ProfileDescription:
        """Return one profile; its name is found without regard to case. Raises NotFound."""
        answer = self._call("describe_user_profile", DomainId=domain_id, UserProfileName=name)
        settings = answer.get("UserSettings") or {}
        return ProfileDescription(
            status=answer.get("Status", ""),
            arn=answer.get("UserProfileArn", ""),
            execution_role_arn=settings.get("ExecutionRole", ""),
            failure_reason=errors.readable(answer.get("FailureReason") or ""),
            user_settings=settings,
            request_id=_request_id(answer),
            sso_user=answer.get("SingleSignOnUserValue") or "",
        )

    def door(self, domain_id: str) -> Door:
        """Return how people get into a domain. Raises NotFound."""
        answer = self._call("describe_domain", DomainId=domain_id)
        return Door(
            auth_mode=answer.get("AuthMode") or "",
            url=answer.get("Url") or "",
            application_arn=answer.get("SingleSignOnApplicationArn") or "",
            request_id=_request_id(answer),
        )

    def create_profile(
        self,
        domain_id: str,
        name: str,
        *,
        user_settings: Mapping[str, Any],
        tags: Mapping[str, str],
        sso_user: str = "",
        announce: Announce | None = None,
    ) -> Answer:
        """Start making a profile. Raises AlreadyExists, which after a lost answer may mean that it is our own.

        `sso_user` is whose it is in IAM Identity Center, which domains in SSO mode ask for and others refuse.
        """
        whose = {"SingleSignOnUserIdentifier": "UserName", "SingleSignOnUserValue": sso_user} if sso_user else {}
        answer = self._call(
            "create_user_profile",
            DomainId=domain_id,
            UserProfileName=name,
            UserSettings=dict(user_settings),
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
            announce=announce,
            **whose,
        )
        return _answer(answer)

    def update_profile(
        self, domain_id: str, name: str, *, user_settings: Mapping[str, Any], announce: Announce | None = None
    ) -> Answer:
        """Start changing the settings of a profile. Raises AlreadyExists while it is busy."""
        request: dict[str, Any] = {
            "DomainId": domain_id,
            "UserProfileName": name,
            "UserSettings": dict(user_settings),
        }
        return _answer(self._call("update_user_profile", announce=announce, **request))

    def delete_profile(self, domain_id: str, name: str, *, announce: Announce | None = None) -> Answer:
        """Start deleting a profile. Raises AlreadyExists while apps or spaces hold it."""
        request: dict[str, Any] = {"DomainId": domain_id, "UserProfileName": name}
        return _answer(self._call("delete_user_profile", announce=announce, **request))

    def newest_profiles(self, domain_id: str, token: str = "") -> ProfilePage:
        """Return one page of a domain's profiles, those first that were made last."""
        more: dict[str, Any] = {"NextToken": token} if token else {}
        order: dict[str, Any] = {"SortBy": "CreationTime", "SortOrder": "Descending"}
        answer = self._call("list_user_profiles", DomainIdEquals=domain_id, MaxResults=PAGE, **order, **more)
        rows = tuple(map(_listed, answer.get("UserProfiles", [])))
        return ProfilePage(rows, answer.get("NextToken") or "", _request_id(answer))

    def profiles_page(self, domain_id: str, token: str = "") -> ProfilePage:
        """Return one page of a domain's profiles, which may be empty, those first that were made first.

        Raises Invalid for a token of old.
        """
        more: dict[str, Any] = {"NextToken": token} if token else {}
        order: dict[str, Any] = {"SortBy": "CreationTime", "SortOrder": "Ascending"}
        answer = self._call("list_user_profiles", DomainIdEquals=domain_id, MaxResults=PAGE, **order, **more)
        rows = tuple(map(_listed, answer.get("UserProfiles", [])))
        return ProfilePage(rows, answer.get("NextToken") or "", _request_id(answer))

    def list_tags(self, arn: str) -> dict[str, str]:
        """Return all tags of a resource. Raises Transient when the list does not end."""
        tags: dict[str, str] = {}
        page: dict[str, Any] = {}
        for _ in range(MAX_PAGES):
            answer = self._call("list_tags", ResourceArn=arn, MaxResults=100, **page)
            tags |= {tag["Key"]: tag["Value"] for tag in answer.get("Tags", [])}
            if not answer.get("NextToken"):
                return tags
            page = {"NextToken": answer["NextToken"]}
        raise errors.Transient("AWS did not come to the end of a list of tags.", code="EndlessList")

    def add_tags(self, arn: str, tags: Mapping[str, str]) -> Answer:
        """Set tags; values of keys that exist are overwritten."""
        return _answer(self._call("add_tags", ResourceArn=arn, Tags=[{"Key": key, "Value": tags[key]} for key in tags]))

    def delete_tags(self, arn: str, keys: Iterable[str]) -> Answer:
        """Take tags away by their keys."""
        return _answer(self._call("delete_tags", ResourceArn=arn, TagKeys=list(keys)))

    def list_apps(self, domain_id: str, *, profile: str = "", space: str = "") -> Iterator[App]:
        """Yield the apps of a profile or of a space, page by page, those deleted within a day included.

        AWS does not say whether a profile's list holds the apps of its spaces too; `App.space` tells. Raises Transient
        when the list does not end.
        """
        owner: dict[str, Any] = {"SpaceNameEquals": space} if space else {"UserProfileNameEquals": profile}
        token: dict[str, Any] = {}
        for _ in range(MAX_PAGES):
            answer = self._call("list_apps", DomainIdEquals=domain_id, MaxResults=PAGE, **owner, **token)
            yield from map(_app, answer.get("Apps", []))
            if not answer.get("NextToken"):
                return
            token = {"NextToken": answer["NextToken"]}
        raise errors.Transient("AWS did not come to the end of a list of apps.", code="EndlessList")

    def apps_page(self, domain_id: str, token: str = "") -> AppPage:
        """Return one page of all apps of a domain, those deleted within a day included. Raises Invalid for a token of
        old."""
        more: dict[str, Any] = {"NextToken": token} if token else {}
        answer = self._call("list_apps", DomainIdEquals=domain_id, MaxResults=PAGE, **more)
        return AppPage(tuple(map(_app, answer.get("Apps", []))), answer.get("NextToken") or "")

    def list_spaces(self, domain_id: str) -> Iterator[Space]:
        """Yield all spaces of a domain, page by page. Raises Transient when the list does not end."""
        token = ""
        for _ in range(MAX_PAGES):
            page = self.spaces_page(domain_id, token)
            yield from page.spaces
            token = page.next_token
            if not token:
                return
        raise errors.Transient("AWS did not come to the end of a list of spaces.", code="EndlessList")

    def spaces_page(self, domain_id: str, token: str = "") -> SpacePage:
        """Return one page of a domain's spaces; AWS cannot look for an owner. Raises Invalid for a token of old."""
        more: dict[str, Any] = {"NextToken": token} if token else {}
        answer = self._call("list_spaces", DomainIdEquals=domain_id, MaxResults=PAGE, **more)
        return SpacePage(tuple(map(_space, answer.get("Spaces", []))), answer.get("NextToken") or "")

    def describe_app(self, domain_id: str, app: App) -> App:
        """Return an app as it is now. Raises NotFound when it never was or was deleted a day ago."""
        return _app(self._call("describe_app", DomainId=domain_id, **_names(app)))

    def delete_app(self, domain_id: str, app: App, *, announce: Announce | None = None) -> Answer:
        """Start stopping an app. Raises NotFound when it is gone, AlreadyExists while it is busy with a change."""
        return _answer(self._call("delete_app", announce=announce, DomainId=domain_id, **_names(app)))

    def describe_space(self, domain_id: str, name: str) -> Space:
        """Return a space as it is now. Raises NotFound."""
        answer = self._call("describe_space", DomainId=domain_id, SpaceName=name)
        return Space(
            name=answer.get("SpaceName", name),
            status=answer.get("Status", ""),
            owner=(answer.get("OwnershipSettings") or {}).get("OwnerUserProfileName", ""),
            sharing=(answer.get("SpaceSharingSettings") or {}).get("SharingType", ""),
            **_of_settings(answer.get("SpaceSettings")),
            created=answer.get("CreationTime"),
        )

    def delete_space(self, domain_id: str, name: str, *, announce: Announce | None = None) -> Answer:
        """Start deleting a space and its files. Raises NotFound when it is gone, AlreadyExists while apps hold it."""
        return _answer(self._call("delete_space", announce=announce, DomainId=domain_id, SpaceName=name))

    def presigned_url(
        self,
        domain_id: str,
        name: str,
        *,
        session_duration: int,
        url_lifetime: int,
        landing_uri: str = "",
        space: str = "",
    ) -> Presigned:
        """Mint a URL that opens Studio as this profile for `session_duration` seconds if used within `url_lifetime`.

        It opens at `landing_uri` and in `space`, where they are given.
        """
        request: dict[str, Any] = {
            "DomainId": domain_id,
            "UserProfileName": name,
            "SessionExpirationDurationInSeconds": session_duration,
            "ExpiresInSeconds": url_lifetime,
            **({"LandingUri": landing_uri} if landing_uri else {}),
            **({"SpaceName": space} if space else {}),
        }
        try:
            answer = self._call("create_presigned_domain_url", **request)
        except errors.ConnectionBroken:
            answer = self._call("create_presigned_domain_url", **request)
        if not answer.get("AuthorizedUrl"):
            raise errors.Transient("AWS answered without a URL.", request_id=_request_id(answer))
        return Presigned(url=answer["AuthorizedUrl"], request_id=_request_id(answer), space=space)

    def _call(self, operation: str, *, announce: Announce | None = None, **request: Any) -> dict[str, Any]:
        keeps_pace = self.purpose == "work"
        account = self.account.role_arn.split(":")[4] if self.account.role_arn else "own"
        pace, rate = f"sagemaker:{account}:{self.region}:{operation}", settings.SAGEMAKER_CALLS_PER_SECOND
        if keeps_pace:
            limits.wait(pace, rate, most=HOLD, first=self.first)
        if announce:
            announce()
            give_back_connection()
        try:
            with errors.translated(), client.acting_as(self.account, self.region, self.session):
                call = getattr(client.get(self.account, self.region, "sagemaker", self.purpose), operation)
                answer: dict[str, Any] = call(**request)
                return answer
        except errors.Throttled as error:
            if keeps_pace:
                limits.push_back(pace, error.retry_after or BREATHER)
                limits.slow_down(pace, rate)
            raise
        except errors.CredentialsExpired:
            client.forget(self.account, self.session)
            raise


def _listed(row: Mapping[str, Any]) -> Listed:
    name, status = row.get("UserProfileName", ""), row.get("Status", "")
    return Listed(name, status, row.get("CreationTime"), row.get("LastModifiedTime"))


def _app(row: Mapping[str, Any]) -> App:
    return App(
        app_type=row.get("AppType", ""),
        name=row.get("AppName", ""),
        status=row.get("Status", ""),
        profile=row.get("UserProfileName") or "",
        space=row.get("SpaceName") or "",
        instance_type=(row.get("ResourceSpec") or {}).get("InstanceType", ""),
        created=row.get("CreationTime"),
        active=row.get("LastUserActivityTimestamp"),
        arn=row.get("AppArn") or "",
    )


def _names(app: App) -> dict[str, Any]:
    owner = {"SpaceName": app.space} if app.space else {"UserProfileName": app.profile}
    return {**owner, "AppType": app.app_type, "AppName": app.name}


def _space(row: Mapping[str, Any]) -> Space:
    return Space(
        name=row.get("SpaceName", ""),
        status=row.get("Status", ""),
        owner=(row.get("OwnershipSettingsSummary") or {}).get("OwnerUserProfileName", ""),
        sharing=(row.get("SpaceSharingSettingsSummary") or {}).get("SharingType", ""),
        **_of_settings(row.get("SpaceSettingsSummary")),
        created=row.get("CreationTime"),
    )


def _of_settings(settings: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what the settings of a space, or their summary, say of its type and its volume."""
    storage = (settings or {}).get("SpaceStorageSettings") or {}
    return {
        "app_type": (settings or {}).get("AppType", ""),
        "volume_gb": (storage.get("EbsStorageSettings") or {}).get("EbsVolumeSizeInGb"),
    }


def _answer(answer: Mapping[str, Any]) -> Answer:
    return Answer(arn=answer.get("UserProfileArn", ""), request_id=_request_id(answer))


def _request_id(answer: Mapping[str, Any]) -> str:
    return str(answer.get("ResponseMetadata", {}).get("RequestId", ""))
