"""Which sessions came from which sign-on at an identity provider, so that its logout finds them without a search."""

from django.db import models


class SamlSession(models.Model):
    """A session here that began with an assertion; it goes with the session.

    `person` is a digest of the provider's entity id and its name for the person, `index` one of its SessionIndex, empty
    where it gave none: what the provider calls them is kept in the session only.
    """

    session = models.OneToOneField("sessions.Session", models.CASCADE, primary_key=True, related_name="+")
    user = models.ForeignKey("teams.User", models.CASCADE, related_name="+")
    person = models.CharField(max_length=64)
    index = models.CharField(max_length=64, blank=True)

    class Meta:
        indexes = (models.Index(fields=("person",), name="saml_session_person"),)

    def __str__(self) -> str:
        return f"A session of {self.user}"
