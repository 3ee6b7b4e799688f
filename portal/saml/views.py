"""Sign-on: the request, the assertion consumer service and our metadata."""

from djangosaml2 import views as djangosaml2


class LoginView(djangosaml2.LoginView):
    """Sends the browser to the identity provider."""


class AssertionConsumerServiceView(djangosaml2.AssertionConsumerServiceView):
    """Takes the identity provider's response."""


class MetadataView(djangosaml2.MetadataView):
    """Tells identity providers who we are."""
