"""Servers that may be crashed."""

from collections.abc import Iterator

import pytest

from alta_common.testing.servers import local_folder
from alta_stack.processes import StackError
from faults_servers import PrivateServers


@pytest.fixture(scope="session")
def private_servers() -> Iterator[PrivateServers]:
    """Start servers for all fault tests, never those that other tests use."""
    try:
        servers = PrivateServers(local_folder() / "faults")
    except StackError as error:
        if "is not installed" not in str(error):
            raise
        # Containers, which the other tests would take now, cannot be killed and started again from here.
        pytest.skip(str(error))
    yield servers
    servers.discard()
