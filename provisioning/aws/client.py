"""Clients of AWS, made once and shared by all threads; the only module that imports boto3.

A client costs milliseconds to make and a session tens of megabytes, so both are kept per process. A client is kept for
each (role, Region, service, purpose). Purposes have their own time limits: `launch`, where a person waits for one call,
`work`, where a row is tried again anyway, and `poll`, where AWS itself waits for up to 20 seconds. Nothing is retried
inside botocore, because the verbs that create have no client token; `studio` retries the one call that is harmless.

An account with a role is reached through that role only: when it cannot be assumed the call fails, and no other
credentials are ever used in its place.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import boto3
import botocore
import botocore.session
from botocore.client import BaseClient
from botocore.config import Config
from botocore.credentials import CredentialProvider, CredentialResolver, DeferredRefreshableCredentials

from provisioning.aws import errors
from provisioning.aws.loader import loader

Purpose = Literal["launch", "work", "poll"]
# Seconds until a connection is made, and between two pieces of an answer.
TIMEOUTS: dict[Purpose, tuple[int, int]] = {"launch": (2, 5), "work": (3, 10), "poll": (3, 30)}
SESSION_NAME = "studio-portal"
# Role chaining, which a portal that runs under a role does, caps a session at one hour.
SESSION_SECONDS = 3600
USER_AGENT = f"studio-portal boto3/{boto3.__version__} botocore/{botocore.__version__}"


@dataclass(frozen=True)
class Account:
    """How to act in an AWS account: through `role_arn` with `external_id`, or with the portal's own credentials."""

    role_arn: str = ""
    external_id: str = ""


_Key = tuple[Account, str, str, Purpose]

_lock = threading.RLock()
_sessions: dict[Account, boto3.Session] = {}
_clients: dict[_Key, BaseClient] = {}


def get(account: Account, region: str, service: str, purpose: Purpose) -> Any:
    """Return the client of `service` in this account and Region, made on first use; makes no call."""
    key = (account, region, service, purpose)
    client = _clients.get(key)
    if client is None:
        # Sessions are not safe to share while they make clients; clients are.
        with _lock:
            client = _clients.get(key)
            if client is None:
                client = _clients[key] = _make(*key)
    return client


def warm(targets: Iterable[tuple[Account, str]], purpose: Purpose = "launch") -> None:
    """Make the SageMaker clients of these accounts and Regions ahead of the first request; makes no call."""
    for account, region in targets:
        get(account, region, "sagemaker", purpose)


def forget(account: Account) -> None:
    """Drop the account's session, clients and credentials, so that the next call fetches new ones."""
    with _lock:
        _sessions.pop(account, None)
        for key in [key for key in _clients if key[0] == account]:
            del _clients[key]


def reset() -> None:
    """Drop everything, so that changed `AWS_*` variables take effect."""
    with _lock:
        _sessions.clear()
        _clients.clear()


def _make(account: Account, region: str, service: str, purpose: Purpose) -> BaseClient:
    connect, read = TIMEOUTS[purpose]
    config = Config(
        connect_timeout=connect,
        read_timeout=read,
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=64,
        tcp_keepalive=True,
        # botocore would put the header together anew for each call.
        user_agent=USER_AGENT,
    )
    with errors.translated():
        make: Callable[..., BaseClient] = _session(account, region).client
        return make(service, region_name=region, config=config)


def _session(account: Account, region: str) -> boto3.Session:
    session = _sessions.get(account)
    if session is None:
        core = botocore.session.Session()
        core.register_component("data_loader", loader())
        if account.role_arn:
            # The role is the only source of credentials here.
            core.register_component("credential_provider", CredentialResolver([_AssumedRole(account, region)]))
        session = _sessions[account] = boto3.Session(botocore_session=core)
    return session


class _AssumedRole(CredentialProvider):
    """Gives the credentials of one role, fetched on first use and renewed some minutes before they run out."""

    METHOD = "assume-role"

    def __init__(self, account: Account, region: str) -> None:
        super().__init__()
        self.account = account
        self.region = region

    def load(self) -> DeferredRefreshableCredentials:
        return DeferredRefreshableCredentials(self._fetch, self.METHOD)

    def _fetch(self) -> dict[str, str]:
        request = {
            "RoleArn": self.account.role_arn,
            "RoleSessionName": SESSION_NAME,
            "DurationSeconds": SESSION_SECONDS,
        }
        if self.account.external_id:
            request["ExternalId"] = self.account.external_id
        with errors.translated():
            answer = get(Account(), self.region, "sts", "launch").assume_role(**request)
        credentials = answer["Credentials"]
        if credentials["Expiration"] <= datetime.now(UTC):
            raise errors.CredentialsExpired("AWS gave credentials that have already expired; is the clock right?")
        return {
            "access_key": credentials["AccessKeyId"],
            "secret_key": credentials["SecretAccessKey"],
            "token": credentials["SessionToken"],
            "expiry_time": credentials["Expiration"].isoformat(),
        }
