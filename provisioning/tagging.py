"""What to change of the tags of a profile; pure.

IAM compares the keys of tags without case, and whether AWS keeps two keys that differ in case only is not documented:
so a key of ours that is to be spelled anew is deleted before it is set, and a key that somebody else has spelled in
another way is set in their spelling.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TagChange:
    """Keys to delete first, then tags to set; false when there is nothing to do."""

    remove: tuple[str, ...] = ()
    add: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.remove or self.add)


def tag_change(found: Mapping[str, str], wanted: Mapping[str, str], applied: Mapping[str, str]) -> TagChange:
    """Return how `found` becomes as `wanted`, where `applied` is what the portal itself has set so far.

    Only keys that the portal has set are deleted. What was set to another value is set again, even where AWS seems to
    have the wanted one already: its answer may be older than the last change.
    """
    spelled = {key.lower(): key for key in wanted}
    remove = tuple(sorted(key for key in found if key in applied and spelled.get(key.lower()) != key))
    staying = {key.lower(): key for key in sorted(found, key=lambda key: key in wanted) if key not in remove}
    add = {}
    for key, value in wanted.items():
        there = staying.get(key.lower())
        if there is None or found[there] != value or applied.get(there, value) != value:
            add[there or key] = value
    return TagChange(remove, add)
