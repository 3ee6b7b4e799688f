"""What the service speaks: its resources, what it announces of itself, and how far clients may depart from the RFCs."""

from typing import Annotated, Any, TypeAlias

import scim2_models
from pydantic import Field, GetCoreSchemaHandler, field_validator
from pydantic_core import CoreSchema, core_schema
from scim2_models import (
    AnyExtension,
    AuthenticationScheme,
    Bulk,
    CaseExact,
    ChangePassword,
    ComplexAttribute,
    ETag,
    External,
    Filter,
    Meta,
    Mutability,
    Pagination,
    Patch,
    Reference,
    Resource,
    ResourceType,
    Returned,
    ScimPolicy,
    ScimProvider,
    ServiceProviderConfig,
    Sort,
)

from portal.scim import answers

MAX_PAGE = 200
DEFAULT_PAGE = 100

# Both vendors send attributes that no schema has; Entra ID lists what to remove as a value, and expects a filter that
# matches nothing to add what it describes.
POLICY = ScimPolicy(
    unknown=ScimPolicy.Unknown.ignore,
    remove_value_as_filter=ScimPolicy.RemoveValue.apply,
    unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
)


class Email(scim2_models.Email):
    """A mail address as it was sent: companies have addresses, such as `alice@corp.local`, that the library refuses."""

    value: str | None = None


class Link(Reference[External]):
    """An address elsewhere as it was sent: Entra ID's validator has a word for `profileUrl`, people have anything."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source_type: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Take any text."""
        as_text = core_schema.plain_serializer_function_ser_schema(str)
        return core_schema.no_info_after_validator_function(cls, core_schema.str_schema(), serialization=as_text)


class Photo(scim2_models.Photo):
    """A picture somewhere."""

    value: Link | None = None


class User(scim2_models.User[AnyExtension]):
    """The user of RFC 7643."""

    emails: list[Email] | None = None  # type: ignore[assignment]
    photos: list[Photo] | None = None  # type: ignore[assignment]
    profile_url: Link | None = None


class Manager(ComplexAttribute):
    """A manager as vendors send them: by id alone (the library wants an address too), or with a name to display."""

    value: Annotated[str | None, CaseExact.true] = None
    ref: Reference["User"] | None = Field(  # type: ignore[type-arg]
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    display_name: str | None = None


class EnterpriseUser(scim2_models.EnterpriseUser):
    """The extension of RFC 7643 for companies."""

    manager: Manager | None = None  # type: ignore[assignment]

    @field_validator("manager", mode="before")
    @classmethod
    def _id_alone(cls, said: Any) -> Any:
        """Take Entra ID's bare id for the manager with this id, and an empty one for nobody."""
        return ({"value": said} if said else None) if isinstance(said, str) else said


class GroupMember(scim2_models.GroupMember):
    """A member of a group: a user; how they are displayed is told who asks, and nobody sets it."""

    ref: Annotated[Reference["User"] | None, Mutability.immutable] = Field(  # type: ignore[assignment, type-arg]
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    type: Annotated[str | None, Mutability.immutable] = Field(None, examples=["User"])
    display: Annotated[str | None, Mutability.read_only, Returned.request] = None


class Group(scim2_models.Group):
    """The group of RFC 7643, of users only."""

    members: list[GroupMember] | None = None  # type: ignore[assignment]


# The user with what both vendors send besides: the extension of RFC 7643 for companies.
FullUser: TypeAlias = User[EnterpriseUser]
AnyModel: TypeAlias = type[Resource[Any]]

_URNS = {str(model.__schema__).lower(): str(model.__schema__) for model in (User, EnterpriseUser, Group)}


def canonical(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body that names our schemas as we do: whoever writes a URN in other letters means the same one."""
    return {key: _canonical(value) if key.lower() == "schemas" else value for key, value in body.items()}


def _canonical(schemas: Any) -> Any:
    return [_URNS.get(str(each).lower(), each) for each in schemas] if isinstance(schemas, list) else schemas


def _config() -> ServiceProviderConfig:
    bearer = AuthenticationScheme(
        type=AuthenticationScheme.Type.oauthbearertoken,
        name="Bearer token",
        description="A token that a portal admin makes for this client.",
        spec_uri=Reference("https://www.rfc-editor.org/rfc/rfc6750"),
        primary=True,
    )
    pages = Pagination(
        cursor=False,
        index=True,
        default_pagination_method=Pagination.DefaultPaginationMethod.index,
        default_page_size=DEFAULT_PAGE,
        max_page_size=MAX_PAGE,
    )
    return ServiceProviderConfig(
        patch=Patch(supported=True),
        bulk=Bulk(supported=False, max_operations=0, max_payload_size=0),
        filter=Filter(supported=True, max_results=MAX_PAGE),
        change_password=ChangePassword(supported=False),
        sort=Sort(supported=True),
        etag=ETag(supported=True),
        authentication_schemes=[bearer],
        pagination=pages,
        meta=Meta(resource_type="ServiceProviderConfig", location=answers.location("ServiceProviderConfig")),
    )


PROVIDER = ScimProvider(
    models=[User, EnterpriseUser, Group],
    resource_types=[ResourceType.from_resource(FullUser), ResourceType.from_resource(Group)],
    config=_config(),
    policy=POLICY,
)
