"""A virtual host of RabbitMQ for each test, and what its management API knows."""

from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import httpx

from alta_common.ids import new_id
from alta_common.testing.servers import Broker

_PASSWORD = "alta-test"  # noqa: S105 - of users on servers that are for tests only


class Management:
    """RabbitMQ's management API. Each virtual host has a user of its own, so that its connections can be told apart."""

    def __init__(self, broker: Broker) -> None:
        address = urlsplit(broker.url)
        self._broker = broker
        user, password = unquote(address.username or "guest"), unquote(address.password or "guest")
        self._client = httpx.AsyncClient(base_url=broker.management, auth=(user, password), timeout=120)

    def new_vhost_url(self) -> str:
        """Return the URL of a virtual host that does not exist yet."""
        address, name = urlsplit(self._broker.url), f"test-{new_id()}"
        place = f"{name}:{_PASSWORD}@{address.hostname}:{address.port or 5672}"
        return urlunsplit(address._replace(netloc=place, path=f"/{name}"))

    async def create_vhost(self, url: str) -> None:
        """Create the virtual host that `url` names, and its user with all rights in it."""
        name = vhost_of(url)
        await self._call("PUT", f"/api/vhosts/{name}")
        await self._call("PUT", f"/api/users/{name}", {"password": _PASSWORD, "tags": ""})
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        await self._call("PUT", f"/api/permissions/{name}/{name}", everything)

    async def delete_vhost(self, url: str) -> None:
        """Delete a virtual host with all its queues and its user, and close its connections."""
        await self._call("DELETE", f"/api/vhosts/{vhost_of(url)}")
        await self._call("DELETE", f"/api/users/{vhost_of(url)}")

    async def close_connections(self, url: str) -> int:
        """Force-close every connection of a virtual host and return how many there were."""
        # By user: this the broker knows at once, while what is listed by virtual host is up to five seconds old.
        of_user = f"/api/connections/username/{vhost_of(url)}"
        connections = await self._call("GET", of_user)
        await self._call("DELETE", of_user)
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
