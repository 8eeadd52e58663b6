"""What the adapters of Google's APIs share: calls, operations, the connection."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from alta_common.engines.google.calls import GoogleCalls, Patience
from alta_common.engines.google.connection import check_client, close_client
from alta_common.engines.google.errors import Fault, error_of
from alta_common.engines.google.limiter import Limiter
from alta_common.engines.google.long_running import LongRunning, OperationsClient

Client = TypeVar("Client", bound=OperationsClient)


class GoogleApi(Generic[Client]):
    """An API that is called through `client`, which belongs to the running event loop; `close` closes it.

    `name` stands in logs and metrics, `faults` are those that it words in its own way, the first that matches counts.
    """

    def __init__(
        self, name: str, client: Client, faults: Sequence[Fault], limiter: Limiter, patience: Patience
    ) -> None:
        self._client = client
        self._calls = GoogleCalls(name, limiter, faults, patience)
        self.operations = LongRunning(self._calls, client, patience)

    def failure_of(self, code: int, message: str) -> Exception:
        """Return what to raise for a status that came inside of an answer, such as that of one file of a batch."""
        return self._calls.translated(error_of(code, message))

    def check(self) -> None:
        """Raise `UnavailableError` when the connection is broken or Google refuses us. Asks Google nothing."""
        check_client(self._client)
        self._calls.check()

    async def close(self) -> None:
        """Close the connection; running calls fail."""
        await close_client(self._client)
