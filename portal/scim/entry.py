"""The door of the SCIM service: no cookie, no session, a bearer token or nothing.

The library behind it takes most of a second to import, which only processes pay that serve a client with a token.
"""

from http import HTTPStatus

from csp.decorators import csp_exempt
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from portal.scim import answers, auth
from teams import audit


@csrf_exempt
@csp_exempt()  # type: ignore[arg-type]
def serve(request: HttpRequest, path: str) -> HttpResponseBase:
    """Answer a client that has a token; tell everybody else to bring one."""
    client = auth.authenticate(request)
    if client is None:
        response = answers.error(HTTPStatus.UNAUTHORIZED, "A valid bearer token is needed.")
        response["WWW-Authenticate"] = 'Bearer realm="SCIM"'
        return response
    from portal.scim import service

    with audit.context(actor=f"scim: {client.slug}"):
        return service.respond(request, client, path)
