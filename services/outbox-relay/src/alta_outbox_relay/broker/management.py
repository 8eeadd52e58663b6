"""RabbitMQ's management API: what AMQP itself does not tell."""

from collections.abc import Mapping
from urllib.parse import quote, unquote, urlsplit

import httpx
import structlog

from alta_common.http.client import create_client
from alta_outbox_relay.models.queue import QueueFacts

log = structlog.get_logger()

# Somebody waits, and the numbers that matter most do not come from here.
_ANSWER_SECONDS = 5
_COLUMNS = "name,messages_unacknowledged"


class ManagementApi:
    """Asks the management API of one broker about one virtual host."""

    def __init__(self, management_url: str, rabbitmq_url: str) -> None:
        given, broker = urlsplit(management_url), urlsplit(rabbitmq_url)
        owner = given if given.username else broker
        address = f"{given.scheme}://{given.netloc.rpartition('@')[2]}{given.path.rstrip('/')}"
        self._client = create_client(address, read_seconds=_ANSWER_SECONDS)
        self._client.auth = httpx.BasicAuth(unquote(owner.username or "guest"), unquote(owner.password or "guest"))
        self._path = f"/api/queues/{quote(unquote(broker.path[1:]) or '/', safe='')}"

    async def facts(self) -> Mapping[str, QueueFacts]:
        """Return what is known of every queue; nothing while the API does not answer (AMQP's numbers stay right)."""
        try:
            answer = await self._client.get(self._path, params={"columns": _COLUMNS})
            answer.raise_for_status()
            return {queue["name"]: QueueFacts(queue.get("messages_unacknowledged")) for queue in answer.json()}
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            log.warning("management.unavailable", error=repr(error))
            return {}

    async def aclose(self) -> None:
        """Close the client."""
        await self._client.aclose()
