"""A virtual host of RabbitMQ for each test, and what its management API knows."""

from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import httpx

from alta_common.ids import new_id
from alta_common.testing.servers import Broker


class Management:
    """RabbitMQ's management API."""

    def __init__(self, broker: Broker) -> None:
        address = urlsplit(broker.url)
        self._broker = broker
        self._user = unquote(address.username or "guest")
        self._client = httpx.AsyncClient(
            base_url=broker.management, auth=(self._user, unquote(address.password or "guest")), timeout=30
        )

    def new_vhost_url(self) -> str:
        """Return the URL of a virtual host that does not exist yet."""
        return urlunsplit(urlsplit(self._broker.url)._replace(path=f"/test-{new_id()}"))

    async def create_vhost(self, url: str) -> None:
        """Create the virtual host that `url` names, with all rights for its user."""
        name = vhost_of(url)
        await self._call("PUT", f"/api/vhosts/{name}")
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        await self._call("PUT", f"/api/permissions/{name}/{quote(self._user, safe='')}", everything)

    async def delete_vhost(self, url: str) -> None:
        """Delete a virtual host with all its queues, and close its connections."""
        await self._call("DELETE", f"/api/vhosts/{vhost_of(url)}")

    async def close_connections(self, url: str) -> int:
        """Force-close every connection of a virtual host and return how many there were."""
        connections = await self._call("GET", f"/api/vhosts/{vhost_of(url)}/connections")
        for connection in connections:
            await self._call("DELETE", f"/api/connections/{quote(connection['name'], safe='')}")
        return len(connections)

    async def aclose(self) -> None:
        """Close the client."""
        await self._client.aclose()

    async def _call(self, method: str, path: str, body: dict[str, str] | None = None) -> Any:
        answer = await self._client.request(method, path, json=body)
        # What has gone by itself meanwhile was to be deleted anyway.
        if not (method == "DELETE" and answer.status_code == httpx.codes.NOT_FOUND):
            answer.raise_for_status()
        return answer.json() if method == "GET" else None


def vhost_of(url: str) -> str:
    """Return the virtual host that an AMQP URL names, as it stands in a path."""
    return quote(unquote(urlsplit(url).path[1:]) or "/", safe="")
