"""The authentication backend that sessions of people who signed on by SAML name."""

from django.contrib.auth.backends import BaseBackend

from teams.models import User


class SamlBackend(BaseBackend):
    """Finds the person of a session again. It accepts no credentials: only the ACS signs people on."""

    def get_user(self, user_id: int) -> User | None:
        """Return the active person with this key, None for anybody else, which ends the session."""
        return User.objects.filter(pk=user_id, is_active=True).first()
