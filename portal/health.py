"""`/healthz` for load balancers: answered before anything else, so that no host name, cookie or redirect matters."""

from django.core.cache import cache
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from redis.exceptions import RedisError

from portal.middleware import GetResponse
from portal.saml import standing


class HealthMiddleware:
    """Answers `GET /healthz`: 200 while PostgreSQL answers, 503 otherwise; the rest is reported only.

    Redis may be missing. `identity_providers` is the worst of them: ok, expiring (within 30 days) or expired.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info != "/healthz":
            return self.get_response(request)
        database, redis = _database_answers(), _redis_answers()
        words = {True: "ok", False: "unreachable"}
        told = {"database": words[database], "redis": words[redis], "identity_providers": standing.overall().word}
        response = JsonResponse(told, status=200 if database else 503)
        response["Cache-Control"] = "no-store"
        return response


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return False
    return True


def _redis_answers() -> bool:
    try:
        cache.get("healthz")
    except RedisError:
        return False
    return True
