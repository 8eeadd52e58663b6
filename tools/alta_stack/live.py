"""Following a project as a client does: Server-Sent Events, from where one left off."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx

from alta_stack.client import AltaClient, Item, Kind, ProblemError

_KINDS = {"document": Kind.DOCUMENT, "voice_sample": Kind.VOICE_SAMPLE}
_PAUSE_SECONDS = 1.0
# The stream says every 15 s that it is there.
_SILENCE_SECONDS = 45.0


@dataclass(frozen=True)
class LiveEvent:
    """What happened to an item (`completed`, `progress`, …), and the item as it was then."""

    number: str
    what: str
    item: Item


async def follow(client: AltaClient, project_id: str, after: str = "0") -> AsyncIterator[LiveEvent]:
    """Yield what happens in a project, from behind the event `after`; after a lost connection it goes on by itself.

    Raises `ProblemError` when the project cannot be followed.
    """
    while True:
        try:
            async for event in _connected(client, project_id, after):
                after = event.number
                yield event
        except httpx.TransportError:
            await asyncio.sleep(_PAUSE_SECONDS)


async def _connected(client: AltaClient, project_id: str, after: str) -> AsyncIterator[LiveEvent]:
    headers = {**await client.authorization(), "Last-Event-ID": after}
    timeout = httpx.Timeout(10, read=_SILENCE_SECONDS)
    path = f"/v1/projects/{project_id}/events"
    async with client.http.stream("GET", path, headers=headers, timeout=timeout) as answer:
        if not answer.is_success:
            await answer.aread()
            raise ProblemError(answer)
        block: dict[str, str] = {}
        async for line in answer.aiter_lines():
            if line:
                name, _, value = line.partition(": ")
                block[name] = value
                continue
            kind, _, what = block.get("event", "").partition(".")
            if what:
                yield LiveEvent(block["id"], what, Item(_KINDS[kind], json.loads(block["data"])))
            block = {}
