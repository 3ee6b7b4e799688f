"""What well-known identity providers call the attributes that sign-on reads. Data only."""

from collections.abc import Mapping
from dataclasses import dataclass

# Microsoft's claims; other vendors took some of them over.
_CLAIMS = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims"
_MICROSOFT = "http://schemas.microsoft.com/identity/claims"
_ROLES = "http://schemas.microsoft.com/ws/2008/06/identity/claims"
_AUTH0 = "http://schemas.auth0.com"

# Sent in place of the groups when somebody is in too many to list: the groups are unknown then, not none.
_OVERAGE = ("http://schemas.microsoft.com/claims/groups.link", f"{_ROLES}/groups.link")


@dataclass(frozen=True)
class Preset:
    """The attribute names of one kind of identity provider.

    The names of a field are tried in order and the first that an assertion has decides. They are compared with an
    attribute's Name; for email and name, which decide nothing, with its FriendlyName too. No `user` attribute means
    the NameID. An attribute named in `unknown_groups` says that the groups are not told. An empty field means the
    `SAML_ATTRIBUTE_*` setting. `help` is one or two sentences for the administrator who chooses the preset.
    """

    label: str
    user: tuple[str, ...]
    team: tuple[str, ...]
    groups: tuple[str, ...]
    email: tuple[str, ...]
    name: tuple[str, ...]
    unknown_groups: tuple[str, ...]
    help: str


PRESETS: Mapping[str, Preset] = {
    "generic": Preset(
        label="Other (SAML 2.0)",
        user=(),
        team=(),
        groups=(),
        email=(),
        name=(),
        unknown_groups=_OVERAGE,
        help="The attribute names are those of the SAML_ATTRIBUTE_ settings.",
    ),
    "identity-center": Preset(
        label="AWS IAM Identity Center",
        user=("ssouserid",),
        team=("teamid",),
        groups=("groups",),
        email=("email",),
        name=("name",),
        unknown_groups=(),
        help="Map at least one attribute besides Subject: ssouserid to ${user:AD_GUID}. With one application for each "
        "team, add teamid as a constant and choose the only team that the application may speak for.",
    ),
    "okta": Preset(
        label="Okta",
        user=("ssouserid",),
        team=("teamid",),
        groups=("groups",),
        email=("email",),
        name=("name", "displayName"),
        unknown_groups=(),
        help="Groups are names. Add a group attribute statement called groups, with a filter that only matches the "
        "groups of the portal.",
    ),
    "entra": Preset(
        label="Microsoft Entra ID",
        user=("ssouserid", f"{_MICROSOFT}/objectidentifier"),
        team=("teamid",),
        groups=(f"{_ROLES}/groups", "groups"),
        email=(f"{_CLAIMS}/emailaddress", "email"),
        name=(f"{_MICROSOFT}/displayname", "name", f"{_CLAIMS}/name"),
        unknown_groups=_OVERAGE,
        help="People are known by their object id, groups are object ids. Choose the groups assigned to the "
        "application: Entra ID leaves the groups out for people in more than 150.",
    ),
    "keycloak": Preset(
        label="Keycloak",
        user=("ssouserid",),
        team=("teamid",),
        groups=("groups", "member", "Role"),
        email=("email", "urn:oid:1.2.840.113549.1.9.1", "urn:oid:0.9.2342.19200300.100.1.3"),
        name=("name", "displayName"),
        unknown_groups=(),
        help="Groups come from a group list mapper; a mapping needs the full path, such as /team-1, where the mapper "
        "sends it. Without one the roles of the attribute Role count as groups.",
    ),
    "auth0": Preset(
        label="Auth0",
        user=("ssouserid", f"{_CLAIMS}/nameidentifier"),
        team=("teamid", f"{_AUTH0}/teamid"),
        groups=("groups", f"{_AUTH0}/groups", "http://schemas.xmlsoap.org/claims/Group", f"{_AUTH0}/roles"),
        email=(f"{_CLAIMS}/emailaddress", "email", f"{_AUTH0}/email"),
        name=("name", f"{_AUTH0}/name", f"{_CLAIMS}/name", f"{_AUTH0}/nickname"),
        unknown_groups=(),
        help="Set signatureAlgorithm to rsa-sha256 and digestAlgorithm to sha256 in the SAML2 Web App add-on; Auth0's "
        "default is SHA-1, which the portal refuses.",
    ),
}
