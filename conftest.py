"""Tests on several workers (pytest-xdist): each has servers of its own, and takes whole files.

Fixtures of a module are then made once and not once a worker. What starts a whole stack or crashes servers takes
longest, and comes first: begun last, it would leave the other worker with nothing to do.
"""

from pathlib import PurePosixPath

import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

ON_ONE_STACK = "tests/journey"
LONGEST = "tests"

# How long an example takes says how busy the machine is; and what a run finds, the next must find too.
hypothesis.settings.register_profile(
    "repeatable", deadline=None, derandomize=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("repeatable")


class ByFile(LoadScopeScheduling):
    """Hands out test files in the order in which they were collected; the journey's, which share a stack, as one."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        super().__init__(config, log)
        # Else it would begin with the files that have most tests, and those are the quickest.
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        file = PurePosixPath(nodeid.partition("::")[0])
        return ON_ONE_STACK if file.is_relative_to(ON_ONE_STACK) else str(file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    """Have files handed out."""
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    items.sort(key=lambda item: not PurePosixPath(item.nodeid).is_relative_to(LONGEST))
