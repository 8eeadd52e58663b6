"""What the supervisor and the commands do besides starting servers."""

import socket
import sys
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from alta_stack.credentials import load_credentials
from alta_stack.follow import readable
from alta_stack.processes import StackError, free_ports
from alta_stack.running import Running
from alta_stack.settings import CHECKOUT, Home, environment
from alta_stack.stack_file import find_stack, hold_lock, supervisor_pid
from alta_stack.up import up

_SERVER = """
import http.server, sys

class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Ready).serve_forever()
"""
_BROKEN = "import sys; print('the settings cannot be used: REDIS_URL'); sys.exit(2)"

Start = Callable[[str], Running]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    started: list[Running] = []

    def start_program(program: str) -> Running:
        (port,) = free_ports(1)
        argv = [sys.executable, "-c", program, str(port)]
        running = Running("ocr", argv, environment(), tmp_path / "ocr.log", f"http://127.0.0.1:{port}/")
        running.start()
        started.append(running)
        return running

    yield start_program
    for running in started:
        await running.stop(timedelta(seconds=5))


async def test_a_process_that_is_killed_is_started_again(start: Start) -> None:
    running = start(_SERVER)
    await running.until_ready(timedelta(seconds=120))
    first = running.pid

    await running.stop(timedelta(seconds=0))
    how = await running.until_ended()
    await running.start_again()
    await running.until_ready(timedelta(seconds=120))

    assert how in {"was killed by SIGTERM", "was killed by SIGKILL"}
    assert running.pid != first
    assert running.restarts == 1


async def test_a_process_that_ends_while_starting_is_named_with_the_end_of_its_log(start: Start) -> None:
    running = start(_BROKEN)

    with pytest.raises(StackError, match=r"ocr ended with status 2 while starting.*(\n.*)*REDIS_URL"):
        await running.until_ready(timedelta(seconds=120))


async def test_a_process_that_never_answers_is_given_up(start: Start) -> None:
    running = start("import signal; signal.pause()")

    with pytest.raises(StackError, match="ocr is not ready after 1 s"):
        await running.until_ready(timedelta(seconds=1))


def test_a_taken_port_is_named_with_the_process_that_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setenv("GATEWAY_PORT", str(port))

        with pytest.raises(StackError, match=rf"port {port} of the gateway is taken by .*python.*GATEWAY_PORT="):
            up(Home(tmp_path))


def test_a_port_is_given_once_and_a_server_may_listen_on_it() -> None:
    ports = free_ports(200)

    assert len(set(ports)) == 200
    assert set(ports).isdisjoint(free_ports(200))
    with socket.create_server(("127.0.0.1", ports[0])) as server:
        assert server.getsockname()[1] == ports[0]


def test_one_supervisor_a_home(tmp_path: Path) -> None:
    home = Home(tmp_path)

    with hold_lock(home):
        assert supervisor_pid(home) is not None
        with pytest.raises(StackError, match="already runs"):
            hold_lock(home)

    assert supervisor_pid(home) is None
    assert find_stack(home) is None


def test_secrets_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "secrets.env"

    first = load_credentials(path)

    assert load_credentials(path) == first
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(set(first.values())) == len(first)


def test_log_lines_are_shown_as_people_read_them() -> None:
    line = '{"timestamp": "2026-01-02T10:20:30.456789Z", "level": "info", "event": "document.uploaded", "id": 7}'

    assert "10:20:30.456 INFO    document.uploaded" in readable(line)
    assert "id=7" in readable(line)
    assert readable("Traceback (most recent call last):") == "Traceback (most recent call last):"
    assert readable('{"not": "a log line"}') == '{"not": "a log line"}'


def test_uv_itself_is_the_one_that_the_lock_names() -> None:
    own = (CHECKOUT / "requirements" / "uv.txt").read_text(encoding="utf-8")
    locked = (CHECKOUT / "requirements" / "dev.txt").read_text(encoding="utf-8")

    assert own.strip() in locked, "make lock writes both"
