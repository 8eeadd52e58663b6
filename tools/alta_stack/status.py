"""`status` and `restart`: what runs where."""

import asyncio
import contextlib
import os
import signal
import time
from datetime import datetime

import httpx

from alta_common.clock import utc_now
from alta_stack import terminal
from alta_stack.processes import StackError, memory_bytes
from alta_stack.settings import Home
from alta_stack.stack_file import ServiceState, find_stack, get_stack, supervisor_pid

_COLUMNS = ("process", "pid", "state", "restarts", "up", "memory", "where")


async def status(home: Home) -> int:
    """Print a table of everything that runs. Returns 0 when all of it is ready."""
    stack = find_stack(home)
    if stack is None:
        pid = supervisor_pid(home)
        print(
            f"The stack is starting or stopping (supervisor {pid})."
            if pid
            else "The stack does not run; make up starts it."
        )
        return 3
    names = list(stack["services"])
    states = dict(zip(names, await asyncio.gather(*(_state(stack["services"][name]) for name in names)), strict=True))
    rows = [_COLUMNS, *(_row(name, stack["services"][name], states[name]) for name in names)]
    places = {
        "mail": stack["mail"],
        "rabbitmq": stack["rabbitmq_management"],
        "postgres": _without_password(stack["postgres_dsn"]),
    }
    places |= {
        "redis": _without_password(stack["redis_url"]),
        "cloud-storage": stack["gcs_endpoint"],
        "google-engines": stack["google_engines"],
    }
    for name, pid in stack["servers"].items():
        rows.append((name, str(pid), _alive(pid), "", "", terminal.megabytes(memory_bytes(pid)), places[name]))
    _print_table(rows)
    total = terminal.megabytes(memory_bytes(stack["supervisor_pid"]))
    print(f"\n{total} in all. Gateway: {terminal.cyan(stack['gateway'])}  ·  everything else: {home.stack_file}")
    for name, service in stack["services"].items():
        if service.get("last_exit"):
            print(terminal.red(f"{name} {service['last_exit']} and was started again; its log: {home.log(name)}"))
    return 0 if all(state == "ready" for state in states.values()) else 1


def restart(home: Home, name: str) -> None:
    """Stop one service; the supervisor starts it again. Returns when the new process is there."""
    services = get_stack(home)["services"]
    if name not in services:
        raise StackError(f"there is no {name}; the services are {', '.join(services)}")
    old, started = services[name]["pid"], time.monotonic()
    with contextlib.suppress(ProcessLookupError):
        os.kill(old, signal.SIGTERM)
    while time.monotonic() - started < 60:
        service = get_stack(home)["services"][name]
        if service["pid"] != old and asyncio.run(_state(service)) == "ready":
            took = terminal.seconds(time.monotonic() - started)
            print(f"{name} runs again as process {service['pid']}, ready after {took}.")
            return
        time.sleep(0.2)
    raise StackError(f"{name} did not come back within 60 s; its log: {home.log(name)}")


async def _state(service: ServiceState) -> str:
    if _alive(service["pid"]) == "gone":
        return "gone"
    try:
        async with httpx.AsyncClient(timeout=3, trust_env=False) as client:
            answer = await client.get(f"{service['internal_url']}/health/ready")
    except httpx.HTTPError:
        return "starting"
    return "ready" if answer.is_success else "not ready"


def _row(name: str, service: ServiceState, state: str) -> tuple[str, ...]:
    started = service.get("started_at")
    age = f"{(utc_now() - datetime.fromisoformat(started)).total_seconds():.0f} s" if started else ""
    memory = terminal.megabytes(memory_bytes(service["pid"]))
    where = service.get("url") or service["internal_url"]
    return name, str(service["pid"]), state, str(service.get("restarts", 0)), age, memory, where


def _alive(pid: int) -> str:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return "gone"
    except PermissionError:  # another account's, so it is there
        return "runs"
    return "runs"


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def _print_table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    for number, row in enumerate(rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        line = "  ".join(cells).rstrip()
        print(terminal.bold(line) if number == 0 else line)
