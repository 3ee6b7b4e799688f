"""What rows do not tell and an admin may say: who the portal is in AWS, and from where it and its people call."""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from provisioning.policies.facts import AccountFacts

_PRINCIPAL = re.compile(r"arn:(aws[a-z-]*):iam::(\d{12}):(role|user)/[A-Za-z0-9_+=,.@/-]*[A-Za-z0-9_+=,.@-]")
_SESSION = re.compile(r"arn:(aws[a-z-]*):sts::(\d{12}):assumed-role/([A-Za-z0-9_+=,.@-]+)/[A-Za-z0-9_+=,.@-]+")
_ENDPOINT = re.compile(r"vpce-[0-9a-f]{8,17}")


class OptionError(ValueError):
    """Something that was asked for makes no sense; the message says what and why."""


@dataclass(frozen=True)
class Options:
    """What to write the documents for; empty means: not known, or no such condition.

    `portal_principal` is the ARN of the role or user as which the portal's processes run. `tag_session` and
    `source_identity`: its sessions carry tags and a source identity in all accounts, those too whose row says no.
    """

    portal_principal: str = ""
    source_ips: tuple[str, ...] = ()
    vpc_source_ips: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    tag_session: bool = False
    source_identity: bool = False

    def meeting(self, *accounts: AccountFacts) -> "Options":
        """Return these options with what the rows of the accounts say of their sessions."""
        return replace(
            self,
            tag_session=self.tag_session or any(account.tag_session for account in accounts),
            source_identity=self.source_identity or any(account.source_identity for account in accounts),
        )

    @property
    def session_actions(self) -> tuple[str, ...]:
        """What a caller of AssumeRole needs on top, and the trust policy too."""
        wanted = (("sts:SetSourceIdentity", self.source_identity), ("sts:TagSession", self.tag_session))
        return tuple(action for action, on in wanted if on)


def read(
    *,
    portal_principal: str = "",
    source_ips: Iterable[str] = (),
    vpc_source_ips: Iterable[str] = (),
    endpoints: Iterable[str] = (),
    tag_session: bool = False,
    source_identity: bool = False,
) -> Options:
    """Return checked options, in an order that does not depend on how they were given. Raises OptionError."""
    return Options(
        portal_principal=_principal(portal_principal.strip()),
        source_ips=_networks(source_ips),
        vpc_source_ips=_networks(vpc_source_ips),
        endpoints=_endpoints(endpoints),
        tag_session=tag_session,
        source_identity=source_identity,
    )


def _principal(arn: str) -> str:
    """Return the ARN of a role or user; of a session, as GetCallerIdentity tells it, the role's without its path."""
    if session := _SESSION.fullmatch(arn):
        return f"arn:{session[1]}:iam::{session[2]}:role/{session[3]}"
    if arn and not _PRINCIPAL.fullmatch(arn):
        raise OptionError(
            f"“{arn[:120]}” is not the ARN of a role or a user, like arn:aws:iam::111122223333:role/name."
        )
    return arn


def _networks(given: Iterable[str]) -> tuple[str, ...]:
    found = set()
    for text in filter(None, map(str.strip, given)):
        try:
            found.add(ipaddress.ip_network(text))
        except ValueError as error:
            raise OptionError(f"“{text[:60]}” is not an address or a network, like 192.0.2.0/24: {error}.") from error
    return tuple(map(str, sorted(found, key=lambda network: (network.version, network))))


def _endpoints(given: Iterable[str]) -> tuple[str, ...]:
    found = sorted(set(filter(None, map(str.strip, given))))
    for text in found:
        if not _ENDPOINT.fullmatch(text):
            raise OptionError(f"“{text[:60]}” is not the id of a VPC endpoint, like vpce-0123456789abcdef0.")
    return tuple(found)
