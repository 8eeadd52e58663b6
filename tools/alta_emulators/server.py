"""The server that all emulated services share."""

from collections.abc import Sequence

import grpc

_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class EmulatorServer:
    """Serves gRPC in plaintext on one port. Made inside of the event loop that it runs in."""

    def __init__(self, services: Sequence[grpc.GenericRpcHandler]) -> None:
        self._server = grpc.aio.server(options=_UNLIMITED)
        self._server.add_generic_rpc_handlers(services)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen; return the address, `host:port`. Port 0 is any free one. Raises `RuntimeError` when it is taken."""
        bound = self._server.add_insecure_port(f"{host}:{port}")
        await self._server.start()
        return f"{host}:{bound}"

    async def stop(self, grace_seconds: float | None = None) -> None:
        """Take no more calls; end those that run after `grace_seconds`, by default at once."""
        await self._server.stop(grace_seconds)
