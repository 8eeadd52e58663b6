"""The real servers that tests run on, each started when a test first asks for it.

Where they come from: an address in the environment (the servers are then the tests' own: roles get the tests'
passwords), else private local servers in the checkout's `.alta` folder, else (when they are not installed) containers.
"""

import contextlib
import os
import shutil
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from alta_common.testing.settings import ServerAddresses


@dataclass(frozen=True)
class Broker:
    """A RabbitMQ: its URL, and its management API without credentials (they are those of the URL)."""

    url: str
    management: str


class Servers:
    """PostgreSQL, Redis and RabbitMQ, started on first use and stopped with `close`."""

    def __init__(self, given: ServerAddresses, folder: Path) -> None:
        self._given = given
        self._folder = folder
        self._closing = contextlib.ExitStack()

    @cached_property
    def postgres_dsn(self) -> str:
        """The superuser's URL of PostgreSQL."""
        if self._given.alta_test_postgres_dsn:
            return self._given.alta_test_postgres_dsn
        infra = self._local("postgres")
        return str(infra.postgres_dsn) if infra else _postgres_container(self._closing)

    @cached_property
    def redis_url(self) -> str:
        """Redis, without a database number."""
        if self._given.alta_test_redis_url:
            return urlunsplit(urlsplit(self._given.alta_test_redis_url)._replace(path=""))
        infra = self._local("redis")
        return urlunsplit(urlsplit(infra.redis_url)._replace(path="")) if infra else _redis_container(self._closing)

    @cached_property
    def broker(self) -> Broker:
        """RabbitMQ."""
        given = self._given
        if given.alta_test_rabbitmq_url:
            host = urlsplit(given.alta_test_rabbitmq_url).hostname
            return Broker(given.alta_test_rabbitmq_url, given.alta_test_rabbitmq_management or f"http://{host}:15672")
        infra = self._local("rabbitmq")
        return Broker(infra.amqp_url, infra.rabbitmq_management) if infra else _rabbitmq_container(self._closing)

    def close(self) -> None:
        """Stop what was started, and delete its data."""
        self._closing.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _local(self, name: str) -> Any:
        """Start one private server, which ends with this process, however that ends; None when it is not installed."""
        from alta_stack.infra import delete_data, start_infra
        from alta_stack.processes import StackError

        for folder in _left_behind(self._folder.parent):
            # Another run may be clearing up at the same moment.
            with contextlib.suppress(OSError):
                for data in folder.iterdir():
                    delete_data(data)
                folder.rmdir()
        wanted = {"postgres": False, "redis": False, "rabbitmq": False} | {name: True}
        try:
            infra = start_infra(self._folder / name, durable=False, **wanted)
        except StackError as error:
            warnings.warn(f"using a container instead of a local server: {error}", stacklevel=3)
            return None
        self._closing.callback(infra.discard)
        return infra


def local_folder() -> Path:
    """Return where the private servers of this process keep their data."""
    return Path(__file__).parents[5] / ".alta" / f"test-{os.getpid()}"


def _left_behind(parent: Path) -> list[Path]:
    """Return the folders of test runs that were killed; their servers died with them."""
    return [
        folder
        for folder in parent.glob("test-*")
        if folder.name.removeprefix("test-").isdigit() and not Path("/proc", folder.name.removeprefix("test-")).exists()
    ]


def _postgres_container(closing: contextlib.ExitStack) -> str:
    from testcontainers.community.postgres import PostgresContainer

    container = closing.enter_context(PostgresContainer("postgres:15", driver=None))
    return str(container.get_connection_url())


def _redis_container(closing: contextlib.ExitStack) -> str:
    from testcontainers.community.redis import RedisContainer

    container = closing.enter_context(RedisContainer("redis:7"))
    return f"redis://{container.get_container_host_ip()}:{container.get_exposed_port(6379)}"


def _rabbitmq_container(closing: contextlib.ExitStack) -> Broker:
    # Not testcontainers' own class for it: that one brings another client library along.
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    container = DockerContainer("rabbitmq:3-management").with_exposed_ports(5672, 15672)
    closing.enter_context(container.waiting_for(LogMessageWaitStrategy("Server startup complete")))
    host = container.get_container_host_ip()
    return Broker(
        f"amqp://guest:guest@{host}:{container.get_exposed_port(5672)}/",
        f"http://{host}:{container.get_exposed_port(15672)}",
    )
