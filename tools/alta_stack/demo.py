"""`demo`: the main job, done through the gateway as a client would, with everything it shows on the way."""

import asyncio
import contextlib
import textwrap
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from alta_stack import terminal
from alta_stack.client import AltaClient, Item, Kind, ProblemError
from alta_stack.live import follow
from alta_stack.processes import StackError
from alta_stack.progress import Progress
from alta_stack.settings import CHECKOUT, Home
from alta_stack.stack_file import Stack
from alta_stack.up import where_things_are

SAMPLES = CHECKOUT / "samples"
DOCUMENTS = ("lease-agreement-scan.pdf", "invoice-photo.jpg", "quarterly-report.pdf")
RECORDINGS = ("site-visit-note.wav", "support-call.ogg")
_TICK_SECONDS = 0.2
_WITHIN_SECONDS = 600
_SHOWN_LINES = 9
_READING = "all files, from the last upload to the end"


@dataclass
class _Timings:
    steps: dict[str, float] = field(default_factory=dict)
    files: dict[str, float] = field(default_factory=dict)
    """Seconds from the last upload until each file's text was there."""

    @contextlib.asynccontextmanager
    async def step(self, name: str) -> AsyncIterator[None]:
        started = time.monotonic()
        try:
            yield
        except ProblemError as error:
            raise StackError(f"the demo failed at “{name}”: {error}") from error
        except TimeoutError as error:
            raise StackError(f"the demo failed at “{name}”: it took too long. make logs shows why.") from error
        except httpx.HTTPError as error:
            raise StackError(f"the demo failed at “{name}”: no answer from the gateway ({error!r})") from error
        self.steps[name] = time.monotonic() - started
        print(f"  {terminal.green('✓')} {name:<44} {terminal.seconds(self.steps[name]):>8}", flush=True)


async def demo(stack: Stack, home: Home) -> None:
    """Run the demo against a running stack. Raises `StackError` naming the step that failed."""
    if not stack["mail"]:
        raise StackError("the demo reads its mail from the stack's mail catcher, but SMTP_HOST names another server")
    started, timings = time.monotonic(), _Timings()
    async with AltaClient(stack["gateway"], stack["mail"]) as client:
        project = await _begin(client, timings)
        items = await _upload(client, timings, project["id"])
        print(terminal.bold("\nReading and listening"), flush=True)
        finished = await _watch(client, timings, project["id"], items)
        print(terminal.bold("\nWhat came back"), flush=True)
        for item in finished:
            await _show(client, item)
    failed = [item.filename for item in finished if item.status != "completed"]
    if failed:
        raise StackError(f"these did not complete: {', '.join(failed)}")
    _summarise(timings, time.monotonic() - started)
    print(f"Signed in as {client.email}, password {client.password}, project {project['id']}\n")
    print(where_things_are(stack, home))
    print("  The stack goes on running; make down stops it.")


async def _begin(client: AltaClient, timings: _Timings) -> dict[str, Any]:
    print(terminal.bold("\nA new user"), flush=True)
    async with timings.step("register"):
        await client.register()
    async with timings.step("verification mail arrives"):
        token = await client.verification_token()
    print(terminal.dim(f"      to {client.email}, token {token[:12]}…"))
    async with timings.step("verify the address, sign in"):
        await client.verify(token)
        await client.sign_in()
    async with timings.step("create a project"):
        return await client.create_project("Demo", "Three documents and two recordings")


async def _upload(client: AltaClient, timings: _Timings, project_id: str) -> list[Item]:
    print(terminal.bold("\nUploads"), flush=True)
    files = [(SAMPLES / name, Kind.DOCUMENT) for name in DOCUMENTS]
    files += [(SAMPLES / name, Kind.VOICE_SAMPLE) for name in RECORDINGS]
    items = []
    for path, kind in files:
        if not path.exists():
            raise StackError(f"{path} is missing; python samples/make_samples.py makes the samples")
        async with timings.step(f"upload {path.name} ({_size(path)})"):
            items.append(await client.upload(project_id, path, kind))
    return items


async def _watch(client: AltaClient, timings: _Timings, project_id: str, items: list[Item]) -> list[Item]:
    """Show how far each file is until all have ended."""
    latest = {item.id: item for item in items}
    with Progress(list(latest.values())) as progress:
        async with timings.step(_READING):
            async with asyncio.timeout(_WITHIN_SECONDS):
                following = asyncio.create_task(_follow(client, project_id, latest))
                while not all(item.has_ended for item in latest.values()) and not following.done():
                    await asyncio.sleep(_TICK_SECONDS)
                    progress.show(list(latest.values()))
                following.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await following
    timings.files = {latest[item_id].filename: seconds for item_id, seconds in progress.seconds.items()}
    return list(latest.values())


async def _follow(client: AltaClient, project_id: str, latest: dict[str, Item]) -> None:
    """Keep `latest` up to date with what the gateway tells."""
    async for event in follow(client, project_id):
        if event.item.id in latest:
            latest[event.item.id] = event.item


async def _show(client: AltaClient, item: Item) -> None:
    data = item.data
    print(f"\n  {terminal.bold(item.filename)}  {terminal.dim(_about(data))}")
    if item.status != "completed":
        error = data.get("error") or {}
        print(
            terminal.red(f"    {item.status}: {error.get('detail', 'no reason was given')} ({error.get('code', '?')})")
        )
        return
    try:
        text = await client.result_text(item)
    except ProblemError as error:
        raise StackError(f"the demo failed at “read the result of {item.filename}”: {error}") from error
    lines = [part for line in text.splitlines() if line.strip() for part in textwrap.wrap(line, 100)]
    for line in lines[:_SHOWN_LINES]:
        print(f"    {terminal.cyan('│')} {line}")
    if len(lines) > _SHOWN_LINES:
        print(f"    {terminal.cyan('│')} {terminal.dim(f'… {len(lines) - _SHOWN_LINES} more lines')}")


def _about(data: dict[str, Any]) -> str:
    engine = data.get("engine")
    name = f"{engine.get('name')} {engine.get('version') or ''}".strip() if isinstance(engine, dict) else engine
    parts = [str(name) if name else ""]
    if data.get("pages"):
        parts.append(f"{data['pages']} page{'s' if data['pages'] != 1 else ''}")
    if data.get("duration_ms"):
        parts.append(f"{data['duration_ms'] / 1000:.0f} s of speech")
    if data.get("confidence") is not None:
        parts.append(f"confidence {data['confidence']:.2f}")
    return " · ".join(part for part in parts if part)


def _summarise(timings: _Timings, total: float) -> None:
    print(terminal.bold("\nHow long it took"))
    uploads = {name: seconds for name, seconds in timings.steps.items() if name.startswith("upload ")}
    rest = sum(timings.steps.values()) - sum(uploads.values()) - timings.steps[_READING]
    print(f"  {'account, mail, sign-in, project':<46} {terminal.seconds(rest):>8}")
    print(f"  {f'{len(uploads)} uploads':<46} {terminal.seconds(sum(uploads.values())):>8}")
    for name, seconds in sorted(timings.files.items(), key=lambda file: file[1]):
        print(f"  {f'text of {name}':<46} {terminal.seconds(seconds):>8}  {terminal.dim('after the uploads')}")
    print(f"  {'everything':<46} {terminal.seconds(total):>8}\n")


def _size(path: Path) -> str:
    return f"{path.stat().st_size / 1000:,.0f} kB"
