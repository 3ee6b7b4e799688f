"""The environment of the demo's processes: the product's settings, and nothing of the shell that started it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from portal.demo.home import Home
from portal.demo.leftovers import MARK

# Everything else of the shell could change what is shown: AWS profiles, proxies, settings of another installation.
_KEPT = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "XDG_RUNTIME_DIR", "VIRTUAL_ENV")
REGION = "eu-west-1"


@dataclass(frozen=True)
class Ports:
    """The three loopback ports."""

    portal: int = 8000
    identity_provider: int = 8001
    aws: int = 8002

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Ports":
        """Read DEMO_PORT, DEMO_IDP_PORT and DEMO_AWS_PORT. Raises ValueError, which names the one that is wrong."""
        return cls(
            _port(environ, "DEMO_PORT", cls.portal),
            _port(environ, "DEMO_IDP_PORT", cls.identity_provider),
            _port(environ, "DEMO_AWS_PORT", cls.aws),
        )

    def named(self) -> dict[str, int]:
        """The ports by the variables that set them."""
        return {"DEMO_PORT": self.portal, "DEMO_IDP_PORT": self.identity_provider, "DEMO_AWS_PORT": self.aws}

    @property
    def portal_url(self) -> str:
        """Where the portal answers."""
        return f"http://127.0.0.1:{self.portal}"

    @property
    def identity_provider_url(self) -> str:
        """Where the identity provider answers."""
        return f"http://127.0.0.1:{self.identity_provider}"

    @property
    def aws_url(self) -> str:
        """Where the AWS stand-in answers."""
        return f"http://127.0.0.1:{self.aws}"


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name) or str(default)
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise ValueError(f"{name} must be a port number, 1 to 65535, not “{text}”.")
    return int(text)


def plain(home: Home) -> dict[str, str]:
    """Return the environment of a process that needs no settings of the product."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return kept | {MARK: str(home.path), "PYTHONUNBUFFERED": "1"}


def product(home: Home, ports: Ports, *, database_url: str, redis_url: str) -> dict[str, str]:
    """Return the environment of the web server, the worker and beat."""
    return plain(home) | {
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "SECRET_KEY": home.secret_key(),
        "PORTAL_URL": ports.portal_url,
        "ALLOWED_HOSTS": "127.0.0.1",
        "SAML_IDP_METADATA": str(home.identity_provider / "metadata.xml"),
        "PORTAL_ADMIN_GROUPS": "portal-admins",
        "ADMIN_PASSWORD_LOGIN": "off",
        "SUPPORT_CONTACT": "platform-team@example.com",
        "DEFAULT_FROM_EMAIL": "studio-portal@example.com",
        "EMAIL_URL": f"filemail:///{quote(str(home.mail))}",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "AKIADEMO000000000000",
        "AWS_SECRET_ACCESS_KEY": "demo",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_ENDPOINT_URL_SAGEMAKER": ports.aws_url,
        "AWS_ENDPOINT_URL_STS": ports.aws_url,
        "AWS_ENDPOINT_URL_IDENTITYSTORE": ports.aws_url,
        "AWS_ENDPOINT_URL_SQS": ports.aws_url,
        "AWS_ENDPOINT_URL_IAM": ports.aws_url,
        "AWS_ENDPOINT_URL_SERVICE_QUOTAS": ports.aws_url,
        "AWS_ENDPOINT_URL_SSO_ADMIN": ports.aws_url,
        "WORKER_CONCURRENCY": "8",
        # What people run in the stand-in is to be seen soon.
        "APPS_SCAN_MINUTES": "1",
    }
