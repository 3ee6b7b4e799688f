"""How pytest-xdist spreads the tests over the cores: what takes long begins first, and what belongs together stays so.

Loaded as a pytest plugin by `pyproject.toml`; without `-n` nothing here is called.
"""

import os
from collections import Counter
from typing import Any

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

FEWEST, MOST = 2, 8
# What stays together, by the beginnings of its paths; it takes long, mostly waiting. The first ones start the whole
# product, two of which at the same time would be too much for a small computer.
TOGETHER = (
    ("tests/browser/", "tests/flows/test_demo.py"),
    ("tests/flows/test_workers.py",),
)
# So many tests of any other file go to a worker at a time.
PIECE = 25


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist has no types
    """Hands out what stays together first, then the files in pieces."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        """Take what pytest-xdist gives its schedulers."""
        # By the number of tests, which says little of the time that they take.
        config.option.loadscopereorder = False
        super().__init__(config, log)
        self._pieces: dict[str, str] = {}
        self._seen: Counter[str] = Counter()

    def _split_scope(self, nodeid: str) -> str:
        if nodeid not in self._pieces:
            path = nodeid.partition("::")[0]
            whole = next((starts for starts in TOGETHER if path.startswith(starts)), None)
            self._pieces[nodeid] = whole[0] if whole else f"{path} {self._seen[path] // PIECE}"
            self._seen[path] += 1
        return self._pieces[nodeid]

    def _assign_work_unit(self, node: Any) -> None:
        whole = next((starts for starts in TOGETHER if starts[0] in self.workqueue), None)
        if whole:
            self.workqueue.move_to_end(whole[0], last=False)
        super()._assign_work_unit(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Use all cores, within reason: each worker migrates a database of its own."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(max(cores, FEWEST), MOST)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling | None:
    """Spread the tests in our way, unless `--dist` names another one."""
    return Scheduling(config, log) if config.getvalue("dist") == "load" else None
