"""`ops` and `admin`: the command lines of operators, with the environment of the running stack."""

import subprocess
import sys
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from alta_stack.addresses import Addresses
from alta_stack.credentials import load_credentials, password_variable
from alta_stack.settings import CHECKOUT, Home, environment
from alta_stack.stack_file import get_stack


def operate(home: Home, words: Sequence[str]) -> int:
    """Run `alta` with these words and return its exit status. Raises `StackError` when no stack runs."""
    return _run(home, "alta_relay", "alta_outbox_relay.cli", words or ["--help"])


def promote(home: Home, email: str) -> int:
    """Make the account with this address an administrator of the platform; return the exit status."""
    return _run(home, "alta_identity", "alta_identity.promote", [email])


def _run(home: Home, role: str, module: str, words: Sequence[str]) -> int:
    stack = get_stack(home)
    addresses = Addresses(
        postgres_dsn=stack["postgres_dsn"],
        redis_url=stack["redis_url"],
        amqp_url=stack["amqp_url"],
        rabbitmq_management=stack["rabbitmq_management"],
        database=unquote(urlsplit(stack["postgres_dsn"]).path[1:]),
    )
    own = {"RABBITMQ_URL": addresses.amqp_url, "RABBITMQ_MANAGEMENT_URL": addresses.rabbitmq_management}
    password = load_credentials(home.secrets_file)[password_variable(role)]
    own |= addresses.postgres_environment(role, password)
    return subprocess.run(
        [sys.executable, "-m", module, *words], cwd=CHECKOUT, env=environment() | own, check=False
    ).returncode
