"""The commands of the local stack.

Each command imports what it needs when it runs: `make status` should not load what `make demo` does.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable

from alta_stack import terminal
from alta_stack.processes import StackError
from alta_stack.stack_file import home

Command = Callable[[argparse.Namespace], int]


def main() -> None:
    """Run one command; a `StackError` becomes a message and status 1."""
    arguments = _parser().parse_args()
    command: Command = arguments.function
    try:
        sys.exit(command(arguments))
    except StackError as error:
        sys.stderr.write(f"{terminal.red('error:')} {error}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        sys.exit(130)


def _up(_: argparse.Namespace) -> int:
    from alta_stack.up import up

    up(home())
    return 0


def _demo(_: argparse.Namespace) -> int:
    from alta_stack.demo import demo
    from alta_stack.up import up

    asyncio.run(demo(up(home()), home()))
    return 0


def _down(_: argparse.Namespace) -> int:
    from alta_stack.down import down

    down(home())
    return 0


def _reset(_: argparse.Namespace) -> int:
    from alta_stack.down import reset

    reset(home())
    return 0


def _status(_: argparse.Namespace) -> int:
    from alta_stack.status import status

    return asyncio.run(status(home()))


def _restart(arguments: argparse.Namespace) -> int:
    from alta_stack.status import restart

    restart(home(), arguments.name)
    return 0


def _logs(arguments: argparse.Namespace) -> int:
    from alta_stack.follow import follow

    follow(home(), arguments.name or None, forever=not arguments.once)
    return 0


def _ops(arguments: argparse.Namespace) -> int:
    from alta_stack.operate import operate

    return operate(home(), _after_dashes(arguments.words))


def _admin(arguments: argparse.Namespace) -> int:
    from alta_stack.operate import promote

    return promote(home(), arguments.email)


def _after_dashes(words: list[str]) -> list[str]:
    return words[1:] if words[:1] == ["--"] else words


def _supervise(arguments: argparse.Namespace) -> int:
    from alta_stack.report import Report
    from alta_stack.supervisor import supervise

    return supervise(home(), arguments.gateway_port, Report(arguments.report))


def _with_infra(arguments: argparse.Namespace) -> int:
    from alta_stack.with_infra import with_infra

    return with_infra(home(), _after_dashes(arguments.run))


def _env_example(_: argparse.Namespace) -> int:
    from alta_stack.env_example import env_example

    sys.stdout.write(env_example())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m alta_stack", description="The local stack of Alta Data.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, function: Command, says: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=says, description=says)
        command.set_defaults(function=function)
        return command

    add("up", _up, "start everything and leave it running")
    add("demo", _demo, "start everything if needed, and do the main job as a client")
    add("down", _down, "stop everything; the data stays")
    add("reset", _reset, "stop everything and delete the data")
    add("status", _status, "show what runs where")
    add("restart", _restart, "restart one service").add_argument("name")
    logs = add("logs", _logs, "follow the logs of all services, or of one")
    logs.add_argument("name", nargs="?", default="")
    logs.add_argument("--once", action="store_true", help="show the end of the logs and leave")
    ops = add("ops", _ops, "look at outboxes, queues and dead letters: -- outbox ls")
    ops.add_argument("words", nargs=argparse.REMAINDER, metavar="-- WORDS")
    add("admin", _admin, "make an account an administrator of the platform").add_argument("email")
    supervise = add("supervise", _supervise, "what `up` starts in the background")
    supervise.add_argument("--gateway-port", type=int, required=True)
    supervise.add_argument("--report", type=int, help="descriptor of the pipe to report to")
    run = add("with-infra", _with_infra, "run a command with servers of its own, gone afterwards")
    run.add_argument("run", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    add("env-example", _env_example, "print env.example, made from the settings of all services")
    return parser
