"""Working off what is dirty: by the consumer right after it noted it, and by any worker whatever was left."""

import time
from collections.abc import Callable

from provisioning.aws.errors import AwsError
from provisioning.directory import marks, rereading
from provisioning.directory.reading import ClaimLost
from provisioning.models import Directory


def work_off(directory_id: int, *, seconds: float, stop: Callable[[], bool] = lambda: False) -> bool:
    """Work off the marks of a directory that are due, for so many seconds at most; return whether none is left."""
    until = time.monotonic() + seconds
    marks.collapse(Directory.objects.get(pk=directory_id))
    while not stop():
        mark_id = marks.due(directory_id).values_list("pk", flat=True).first()
        if mark_id is None:
            return True
        work(mark_id)
        if time.monotonic() > until:
            return False
    return False


def work(mark_id: int) -> None:
    """Work off one mark, unless it is not due or somebody else has it. A failure is in the row: it is tried again."""
    claimed = marks.claim(mark_id)
    if claimed is None:
        return
    try:
        try:
            rereading.read(claimed)
        except AwsError as error:
            claimed.failed(error)
    except ClaimLost:
        # Somebody else has it now.
        return
