"""Values of tags in which names in braces stand for something of the profile: `{user}`, `{team}`, `{email}`, or a
constant that admins keep; pure.
"""

import re
from collections.abc import Iterable, Mapping

# What the portal gives a value itself: the user name, the team's slug, the person's mail address.
BUILT_IN = frozenset({"user", "team", "email"})

_NAMED = re.compile(r"\{([^{}]*)\}")


class UnknownTagNameError(ValueError):
    """A tag names something in braces that nothing has a value for (any more)."""


def names_in(template: str) -> frozenset[str]:
    """Return the names that stand in braces."""
    return frozenset(_NAMED.findall(template))


def outside(template: str) -> str:
    """Return what is left without the names and their braces."""
    return _NAMED.sub("", template)


def unknown(template: str, constants: Iterable[str]) -> list[str]:
    """Return the names in braces that mean nothing, in order."""
    return sorted(names_in(template) - BUILT_IN - frozenset(constants))


def expand(template: str, values: Mapping[str, str]) -> str:
    """Return the text with each name replaced by its value, once: braces in a value mean nothing.

    Raises UnknownTagNameError.
    """
    for name in sorted(names_in(template) - values.keys()):
        raise UnknownTagNameError(f"A tag of the team names {{{name}}}, which has no value.")
    return _NAMED.sub(lambda match: values[match[1]], template)
