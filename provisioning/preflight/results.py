"""What a check says: one line, how bad it is, and AWS's request id."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from provisioning.aws.errors import AwsError, Denied, NotFound, Throttled

# Some of AWS's messages name every resource there is.
MAX_MESSAGE = 300


class Level(StrEnum):
    """How bad it is; `UNKNOWN`: the portal may not look, which does not stop it from working."""

    OK = "ok"
    UNKNOWN = "unknown"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Result:
    """The outcome of one check. `group` is the account or what else it belongs to, `line` one sentence or two."""

    group: str
    subject: str
    level: Level
    line: str
    request_id: str = ""


@dataclass(frozen=True)
class Subject:
    """Something that is checked, which makes its results."""

    group: str
    name: str

    def ok(self, line: str, request_id: str = "") -> Result:
        """Return that all is well."""
        return Result(self.group, self.name, Level.OK, line, request_id)

    def unknown(self, line: str, request_id: str = "") -> Result:
        """Return that nobody could tell."""
        return Result(self.group, self.name, Level.UNKNOWN, line, request_id)

    def warn(self, line: str, request_id: str = "") -> Result:
        """Return that it works, but not as it should."""
        return Result(self.group, self.name, Level.WARN, line, request_id)

    def fail(self, line: str, request_id: str = "") -> Result:
        """Return that something is missing."""
        return Result(self.group, self.name, Level.FAIL, line, request_id)

    def refused(self, error: AwsError, *, action: str, absent: str = "") -> Result:
        """Return what the failure of a call of `action` means; `absent` is what to say when AWS did not find it."""
        if isinstance(error, Denied):
            return self.fail(f"{action} is refused. {said(error)}", error.request_id)
        if isinstance(error, NotFound) and absent:
            return self.fail(absent, error.request_id)
        if isinstance(error, Throttled):
            return self.unknown(f"{action} was asked for too often; try again later.", error.request_id)
        return self.fail(f"{action} failed. {said(error)}", error.request_id)


def said(error: AwsError) -> str:
    """Return AWS's words, cut to a line."""
    message = error.message if len(error.message) <= MAX_MESSAGE else error.message[:MAX_MESSAGE] + "…"
    return f"{error.code}: {message}"


def failures(results: Iterable[Result]) -> int:
    """Return how many checks failed."""
    return sum(result.level == Level.FAIL for result in results)


def grouped(results: Iterable[Result]) -> list[tuple[str, list[Result]]]:
    """Return results that stand in order by their groups."""
    return [(group, list(each)) for group, each in groupby(results, key=lambda result: result.group)]
