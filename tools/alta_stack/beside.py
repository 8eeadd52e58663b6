"""A whole stack of its own, beside any that a developer has running: for the journey tests and the benchmarks."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from alta_stack.settings import CHECKOUT, Cloud, Home, environment


@contextmanager
def stack_beside(purpose: str, *, cloud: Cloud = "local", **settings: str) -> Iterator[Home]:
    """Start a stack on free ports and delete it afterwards; `settings` are environment variables of its services.

    What it says while it starts goes to stderr. Raises `CalledProcessError` when it does not start.
    """
    home = Home(CHECKOUT / ".alta" / f"{purpose}-{os.getpid()}")
    variables = {**environment(), "ALTA_HOME": str(home.folder), "CLOUD": cloud, "GATEWAY_PORT": "0", **settings}

    def command(verb: str) -> None:
        argv = [sys.executable, "-m", "alta_stack", verb]
        subprocess.run(argv, env=variables, cwd=CHECKOUT, check=True, stdout=sys.stderr)

    try:
        command("up")
        yield home.in_cloud(cloud)
    finally:
        command("reset")
