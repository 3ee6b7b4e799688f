"""The three made-up people, and the applications that they find on the identity provider's start page."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Person:
    """Somebody the identity provider can sign on; `groups` are the names that it states about them."""

    id: str
    name: str
    email: str
    groups: tuple[str, ...]
    about: str

    def attributes(self) -> dict[str, list[str]]:
        """What the identity provider says about this person to any application."""
        return {"ssouserid": [self.id], "email": [self.email], "name": [self.name]}


@dataclass(frozen=True)
class Application:
    """A tile of the start page. `team_id` makes it one team's own application, with only the `assigned` people.

    IAM Identity Center knows no attribute of many values, so there each team has an application of its own, which
    sends a constant `teamid`; other providers have one application, which sends `groups`.
    """

    id: str
    name: str
    about: str
    team_id: str = ""
    assigned: frozenset[str] = field(default_factory=frozenset)

    def admits(self, person: Person) -> bool:
        """Whether this person may use this application."""
        return not self.assigned or person.id in self.assigned

    def attributes(self, person: Person) -> dict[str, list[str]]:
        """What an assertion for this application says."""
        said = {"teamid": [self.team_id]} if self.team_id else {"groups": list(person.groups)}
        return person.attributes() | said


PEOPLE = {
    person.id: person
    for person in (
        Person(
            "user1",
            "User 1",
            "user1@example.com",
            ("team-1-scientists", "team-2-scientists"),
            "Data scientist in Team 1 and Team 2",
        ),
        Person("user2", "User 2", "user2@example.com", ("team-2-scientists",), "Data scientist in Team 2"),
        Person("ada", "Ada Admin", "ada@example.com", ("portal-admins",), "Portal admin, in no team"),
    )
}

PORTAL = Application("portal", "Studio Portal", "One application for everybody; it sends the person’s groups")
APPLICATIONS = {
    application.id: application
    for application in (
        PORTAL,
        Application("team1", "Team 1 application", "Sends teamid=Team1", "Team1", frozenset({"user1"})),
        Application("team2", "Team 2 application", "Sends teamid=Team2", "Team2", frozenset({"user1", "user2"})),
    )
}
