"""One round through what a profile runs: its apps, the apps of its private spaces, and the spaces themselves.

A round may take several steps of bounded work. Where it is, and what AWS is just being asked for, is on the row; a
worker that dies loses nothing, because every round finds out anew what there is. Spaces that the profile does not own
and shared ones are never touched.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from provisioning.aws.errors import AlreadyExists, Invalid, NotFound
from provisioning.aws.studio import Announce, Answer, App, Space, Studio
from provisioning.rows import MAX_REPAIRS, Action, Row

# Calls of AWS in one step, give or take those of one app.
BUDGET = 12
# What no longer runs and blocks nothing.
OVER = frozenset({"Deleted", "Failed"})


@dataclass
class Progress:
    """How far a round is; `asked` is the app or space that AWS is being asked to delete at this moment."""

    own_apps: bool = False
    all_spaces: bool = False
    token: str = ""
    # Spaces of the profile whose apps are still to be looked at, and those that have none.
    spaces: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    # Something was still there: the next round has to look again.
    busy: bool = False
    # What is busy, in words.
    what: str = ""
    # Spaces of the profile that are shared, and those that AWS failed to delete.
    shared: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    asked: dict[str, str] = field(default_factory=dict)
    # AWS's request id of the deletion of the profile.
    deletion: str = ""

    @classmethod
    def of(cls, row: Row) -> "Progress":
        """Read what a row says; what another version wrote there is as good as nothing."""
        try:
            return cls(**row.profile.progress)
        except TypeError:
            return cls()

    def as_dict(self) -> dict[str, Any]:
        """Return what `of` reads."""
        return asdict(self)

    def afresh(self) -> "Progress":
        """Return the beginning of the next round."""
        return Progress(deletion=self.deletion)


class GivenUp(Exception):  # noqa: N818  (a turn of the story, not a fault)
    """AWS failed to delete a space several times."""


class Round:
    """A round at one claimed row; `spaces_too`: the spaces are deleted, otherwise only their apps."""

    def __init__(
        self, row: Row, studio: Callable[[], Studio], may_go_on: Callable[[], None], *, spaces_too: bool
    ) -> None:
        self.row = row
        self.studio = studio
        self.may_go_on = may_go_on
        self.spaces_too = spaces_too
        self.name = row.profile.name.lower()
        self.domain_id = row.profile.domain.domain_id
        self.progress = Progress.of(row)
        self.calls = 0

    def run(self) -> bool:
        """Go on with the round; False when the rest is for the next step. Raises what calls of AWS raise."""
        progress = self.progress
        self.settle()
        if not progress.own_apps:
            own = self.listed(lambda: self.studio().list_apps(self.domain_id, profile=self.name))
            # AWS may list the apps of spaces here too: whether those are to be stopped, their space decides.
            self.stop(app for app in own if not app.space)
            progress.own_apps = True
        while not progress.all_spaces:
            if self.spent():
                return False
            self.look_for_spaces()
        while progress.spaces:
            if self.spent():
                return False
            self.clear(progress.spaces[0])
            progress.spaces.pop(0)
        if self.spaces_too and not progress.busy:
            self.delete_spaces()
        return True

    def spent(self) -> bool:
        """Whether this step has made all the calls that it may make."""
        return self.calls >= BUDGET

    def look_for_spaces(self) -> None:
        """Read one page of the domain's spaces, and note those that the profile owns."""
        progress = self.progress
        self.calls += 1
        try:
            page = self.studio().spaces_page(self.domain_id, progress.token)
        except Invalid:
            if not progress.token:
                raise
            # The token is too old.
            progress.token, progress.spaces, progress.failed = "", [], []
            return
        for space in page.spaces:
            if space.owner.lower() == self.name:
                self.note(space)
        progress.token, progress.all_spaces = page.next_token, not page.next_token

    def note(self, space: Space) -> None:
        """Note a space of the profile for what is to be done to it."""
        progress = self.progress
        if space.sharing == "Shared":
            progress.shared = sorted({*progress.shared, space.name})
        elif space.status == "Deleting":
            self.wait_for(f"the space {space.name}")
        elif space.name not in progress.spaces:
            progress.spaces.append(space.name)
            progress.failed += [space.name] if space.status == "Delete_Failed" else []

    def clear(self, name: str) -> None:
        """Stop the apps of a space."""
        if not self.stop(self.listed(lambda: self.studio().list_apps(self.domain_id, space=name))):
            self.progress.empty.append(name)

    def delete_spaces(self) -> None:
        """Delete spaces, now that no app is left in any of them, as many as this step may. Raises GivenUp."""
        for name in self.progress.empty:
            self.wait_for(f"the space {name}")
            if not self.spent():
                self.delete_space(name)

    def delete_space(self, name: str) -> None:
        """Ask AWS to delete a space. Raises GivenUp."""
        failed = name in self.progress.failed
        if failed and self.row.profile.repairs >= MAX_REPAIRS:
            raise GivenUp(f"AWS failed {MAX_REPAIRS} times to delete the space {name}.")
        self.delete(
            {"kind": "space", "name": name},
            lambda studio, announce: studio.delete_space(self.domain_id, name, announce=announce),
            repairs=self.row.profile.repairs + failed,
        )

    def listed(self, call: Callable[[], Iterable[App]]) -> list[App]:
        """Return the apps that are not over."""
        self.calls += 1
        return [app for app in call() if app.status not in OVER]

    def stop(self, apps: Iterable[App]) -> bool:
        """Ask AWS to stop these apps; whether there were any."""
        there = False
        for app in apps:
            there = True
            self.wait_for(f"the app {app.name} ({app.app_type})")
            if app.status != "Deleting" and not self.spent():
                self.stop_app(app)
        return there

    def stop_app(self, app: App) -> None:
        """Ask AWS to stop an app."""
        asked = {"kind": "app", "name": app.name, "app_type": app.app_type, "profile": app.profile, "space": app.space}
        self.delete(asked, lambda studio, announce: studio.delete_app(self.domain_id, app, announce=announce))

    def wait_for(self, what: str) -> None:
        """Have another round follow this one."""
        self.progress.busy, self.progress.what = True, self.progress.what or what

    def delete(self, asked: dict[str, str], call: Callable[[Studio, Announce], Answer], **changes: Any) -> None:
        """Make one call that deletes; what is gone already, or busy with a change, is for the next round to see."""

        def announce() -> None:
            self.may_go_on()
            self.progress.asked = asked
            # Committed first, so that a lost answer is no riddle later.
            self.row.mark(progress=self.progress.as_dict(), **changes)

        self.calls += 1
        try:
            answer = call(self.studio(), announce)
        except (NotFound, AlreadyExists):
            self.progress.asked = {}
            self.row.mark(progress=self.progress.as_dict())
            return
        self.progress.asked = {}
        # Something happens: the deadline is for what stands still.
        self.row.mark(
            self.told(asked, answer.request_id), progress=self.progress.as_dict(), deadline_at=None, attempts=0
        )

    def settle(self) -> None:
        """Find out what became of a call whose answer never came, and tell of it in the log if AWS took it."""
        asked = self.progress.asked
        if not asked:
            return
        self.calls += 1
        if self.is_going(asked):
            self.row.mark(
                self.told(asked, "", "AWS's answer was lost."), progress={**self.progress.as_dict(), "asked": {}}
            )
        self.progress.asked = {}

    def is_going(self, asked: dict[str, str]) -> bool:
        """Whether an app or a space is being deleted, or was."""
        try:
            if asked["kind"] == "space":
                return self.studio().describe_space(self.domain_id, asked["name"]).status == "Deleting"
            app = App(asked["app_type"], asked["name"], "", asked["profile"], asked["space"])
            return self.studio().describe_app(self.domain_id, app).status in {"Deleting", "Deleted"}
        except NotFound:
            return True

    def told(self, asked: dict[str, str], request_id: str, reason: str = "") -> dict[str, Any]:
        """Return the audit row of an app that was stopped or a space that was deleted."""
        names = {key: value for key, value in asked.items() if key not in {"kind", "name"} and value}
        return {
            "action": Action.SPACE_DELETED if asked["kind"] == "space" else Action.APP_STOPPED,
            "aws_request_id": request_id,
            "reason": reason,
            "data": {"domain": self.domain_id, asked["kind"]: asked["name"], **names},
        }
