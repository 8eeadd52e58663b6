"""The open connections of a process: how many there are, from where, and which of them are too slow."""

import asyncio
from collections import Counter
from ipaddress import ip_address
from typing import Protocol

from alta_gateway.settings import ProtocolSettings

_SWEEP_SECONDS = 0.5


class Connection(Protocol):
    """What is watched of a connection."""

    def check_pace(self, now: float, elapsed: float) -> None:
        """End the connection if it is too slow; `elapsed` seconds have passed since the last look."""


class Connections:
    """Counts connections, and looks twice a second at how they get on: one sweep costs less than a timer a request."""

    def __init__(self, settings: ProtocolSettings) -> None:
        self.settings = settings
        self._open: set[Connection] = set()
        self._of_address: Counter[str] = Counter()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: Connection, address: str) -> bool:
        """Say whether one more connection from an address is taken, and count it."""
        if len(self._open) >= self.settings.connections_max:
            return False
        if self._of_address[address] >= self.settings.connections_per_address and not self._is_trusted(address):
            return False
        self._of_address[address] += 1
        self._open.add(connection)
        return True

    def release(self, connection: Connection, address: str) -> None:
        """Forget a connection; one that was not admitted is not known anyway."""
        if connection not in self._open:
            return
        self._open.discard(connection)
        self._of_address[address] -= 1
        if self._of_address[address] <= 0:
            del self._of_address[address]

    def start(self) -> None:
        """Look after the pace of connections from now on."""
        self._task = asyncio.get_running_loop().create_task(self._sweep(), name="connections")

    def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()

    def _is_trusted(self, address: str) -> bool:
        networks = self.settings.trusted_networks
        return bool(networks) and any(ip_address(address) in network for network in networks)

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        before = loop.time()
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = loop.time()
            # A loop that was held up must not be blamed on the clients.
            elapsed = min(now - before, 2 * _SWEEP_SECONDS)
            for connection in tuple(self._open):
                connection.check_pace(now, elapsed)
            before = now
