"""`up`: start the supervisor, show how far it is, and say where everything is."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from alta_stack import terminal
from alta_stack.postgres import place_of_data
from alta_stack.processes import StackError, free_ports, is_free, last_lines, memory_bytes
from alta_stack.report import messages
from alta_stack.settings import CHECKOUT, Home, environment, gateway_port
from alta_stack.stack_file import Stack, find_stack, supervisor_pid

_SUPERVISOR = "supervisor"


def up(home: Home) -> Stack:
    """Start the stack and return where it is. Raises `StackError` when it cannot start."""
    stack = find_stack(home)
    if stack is not None:
        print(f"The stack already runs: {terminal.cyan(stack['gateway'])} (make status shows it, make down stops it).")
        return stack
    if (pid := supervisor_pid(home)) is not None:
        raise StackError(f"another command is starting or stopping the stack (supervisor {pid}); try again in a moment")
    started = time.monotonic()
    port = _chosen_port()
    print(terminal.bold(f"Starting Alta Data in {home.folder}"), flush=True)
    if home.cloud == "emulated":
        print("  With Google's cloud emulated on this machine: accounts and files of its own, nothing leaves it.")
    data = place_of_data(home.servers)
    if not data.is_relative_to(home.folder):
        print(f"  PostgreSQL's account may not enter {home.folder}, so its data goes to {data}.", flush=True)
    _run_supervisor(home, port)
    stack = find_stack(home)
    if stack is None:
        raise StackError(f"the supervisor ended early.\n{last_lines(home.log(_SUPERVISOR))}")
    took, memory = (
        terminal.seconds(time.monotonic() - started),
        terminal.megabytes(memory_bytes(stack["supervisor_pid"])),
    )
    print(f"{terminal.green('Ready')} in {took}, using {memory} of memory.\n")
    print(where_things_are(stack, home))
    return stack


def where_things_are(stack: Stack, home: Home) -> str:
    """Return the addresses that a person wants to open."""
    rows = {
        "API": f"{stack['gateway']}/docs",
        "Mail": stack["mail"] or "the mail server that SMTP_HOST names",
        "Cloud": _cloud_of(stack),
        "RabbitMQ": f"{stack['rabbitmq_management']}  (user and password: amqp_url in {home.stack_file.name})",
        "Metrics": f"{stack['services']['gateway']['internal_url']}/metrics  (make status lists every service's)",
        "Stack": f"{home.stack_file}",
        "Next": "make demo · make status · make logs · make down",
    }
    return "\n".join(f"  {name:<9} {value}" for name, value in rows.items() if value)


def _cloud_of(stack: Stack) -> str:
    if stack["cloud"] == "local":
        return ""
    return f"emulated: Document AI and Speech-to-Text on {stack['google_engines']}, Storage on {stack['gcs_endpoint']}"


def _chosen_port() -> int:
    try:
        port = gateway_port()
    except ValueError as error:
        raise StackError(str(error)) from None
    if port is None:
        return free_ports(1)[0]
    if not is_free(port):
        advice = "Stop that, or choose another: GATEWAY_PORT=8001 make up"
        raise StackError(f"port {port} of the gateway is taken{_owner_of(port)}. {advice}")
    return port


def _owner_of(port: int) -> str:
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
                process = psutil.Process(connection.pid)
                return f" by {process.name()} (process {process.pid}: {' '.join(process.cmdline())[:100]})"
    return ""


def _run_supervisor(home: Home, port: int) -> None:
    reader, writer = os.pipe()
    log = home.log(_SUPERVISOR)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as output:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "alta_stack", "supervise", "--gateway-port", str(port), "--report", str(writer)],
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment() | {"CLOUD": home.cloud},
            pass_fds=[writer],
            start_new_session=True,
        )
    os.close(writer)
    try:
        _show_progress(reader, log)
    except KeyboardInterrupt:
        print("\nStopping what was started …", flush=True)
        supervisor.send_signal(signal.SIGTERM)
        supervisor.wait()
        raise
    except StackError:
        line = terminal.Line()
        line.now(terminal.dim("  … stopping what was started"))
        supervisor.wait()
        line.clear()
        raise


def _show_progress(reader: int, log: Path) -> None:
    line = terminal.Line()
    with os.fdopen(reader, encoding="utf-8") as pipe:
        for message in messages(pipe):
            if "began" in message:
                line.now(terminal.dim(f"  … {message['began']}"))
            elif "done" in message:
                line.done(f"  {terminal.green('✓')} {message['done']:<28} {terminal.seconds(message['seconds']):>8}")
            elif "failed" in message:
                line.clear()
                raise StackError(message["failed"])
            elif "ready" in message:
                line.clear()
                return
    line.clear()
    raise StackError(f"the supervisor ended before the stack was ready.\n{last_lines(log)}")
