"""Sessions survive the cache, and the cache brings no ended session back."""

import pytest
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from portal.sessions import CACHED_SECONDS, SessionStore
from tests.factories import make_user

NO_REDIS = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1/0"}}

pytestmark = pytest.mark.django_db


def stored(**values: str) -> str:
    session = SessionStore()
    session.update(values)
    session.save()
    assert session.session_key
    return session.session_key


def test_a_session_is_cached_for_minutes_only() -> None:
    key = stored(colour="blue")
    ttl = cache._cache.get_client().ttl(cache.make_key(SessionStore(key).cache_key))  # type: ignore[attr-defined]
    assert 0 < ttl <= CACHED_SECONDS


def test_an_emptied_cache_loses_no_session() -> None:
    key = stored(colour="blue")
    cache.clear()
    assert SessionStore(key)["colour"] == "blue"


def test_without_redis_a_session_lives_its_whole_life(settings: Settings) -> None:
    settings.CACHES = NO_REDIS
    key = stored(colour="blue")
    session = SessionStore(key)
    assert session["colour"] == "blue"
    session.flush()
    assert SessionStore(key).get("colour") is None


def test_a_disabled_user_is_signed_out_at_once(client: Client) -> None:
    user = make_user()
    client.force_login(user)
    user.is_active = False
    user.save()
    assert "portal_session" in client.cookies
    assert client.get("/teams/any/progress/").status_code == 303


def test_raising_the_epoch_ends_every_session(client: Client) -> None:
    user = make_user()
    client.force_login(user, backend="portal.saml.backend.SamlBackend")
    assert client.get("/").context["user"] == user
    user.session_epoch += 1
    user.save()
    assert not client.get("/").context["user"].is_authenticated
