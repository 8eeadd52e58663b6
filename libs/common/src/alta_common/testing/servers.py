"""The real servers that tests run on, each started when a test first asks for it.

Where they come from: an address in the environment (the servers are then the tests' own: roles get the tests'
passwords), else containers where Docker can run, else private local servers in the checkout's `.alta` folder.
"""

import contextlib
import os
import warnings
from collections.abc import Callable
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
        dsn: str | None = self._contained(_postgres_container)
        return dsn or str(self._local("postgres").postgres_dsn)

    @cached_property
    def redis_url(self) -> str:
        """Redis, without a database number."""
        if self._given.alta_test_redis_url:
            return urlunsplit(urlsplit(self._given.alta_test_redis_url)._replace(path=""))
        url: str | None = self._contained(_redis_container)
        return url or urlunsplit(urlsplit(self._local("redis").redis_url)._replace(path=""))

    @cached_property
    def broker(self) -> Broker:
        """RabbitMQ."""
        given = self._given
        if given.alta_test_rabbitmq_url:
            host = urlsplit(given.alta_test_rabbitmq_url).hostname
            return Broker(given.alta_test_rabbitmq_url, given.alta_test_rabbitmq_management or f"http://{host}:15672")
        broker: Broker | None = self._contained(_rabbitmq_container)
        if broker is None:
            infra = self._local("rabbitmq")
            broker = Broker(infra.amqp_url, infra.rabbitmq_management)
        return broker

    def close(self) -> None:
        """Stop what was started, and delete its data."""
        self._closing.close()

    def _local(self, name: str) -> Any:
        """Start one private server; it ends with this process, however that ends."""
        from alta_stack.infra import start_infra

        wanted = {"postgres": False, "redis": False, "rabbitmq": False} | {name: True}
        infra = start_infra(self._folder / name, durable=False, **wanted)
        self._closing.callback(infra.discard)
        return infra

    def _contained(self, start: Callable[[contextlib.ExitStack], Any]) -> Any:
        if not _docker_runs():
            return None
        try:
            return start(self._closing)
        except Exception as error:  # noqa: BLE001 - no registry, no rights…: the local servers remain
            warnings.warn(f"no container could be started, using local servers: {error}", stacklevel=2)
            return None


def local_folder() -> Path:
    """Return where the private servers of this process keep their data."""
    return Path(__file__).parents[5] / ".alta" / f"test-{os.getpid()}"


def _docker_runs() -> bool:
    import docker  # type: ignore[import-untyped]  # it ships no types
    from docker.errors import DockerException  # type: ignore[import-untyped]  # as above

    try:
        client = docker.from_env(timeout=2)
    except DockerException:
        return False
    client.close()
    return True


def _postgres_container(closing: contextlib.ExitStack) -> str:
    from testcontainers.postgres import PostgresContainer

    container = closing.enter_context(PostgresContainer("postgres:15", driver=None))
    return str(container.get_connection_url())


def _redis_container(closing: contextlib.ExitStack) -> str:
    from testcontainers.redis import RedisContainer

    container = closing.enter_context(RedisContainer("redis:7"))
    return f"redis://{container.get_container_host_ip()}:{container.get_exposed_port(6379)}"


def _rabbitmq_container(closing: contextlib.ExitStack) -> Broker:
    from testcontainers.rabbitmq import RabbitMqContainer

    container = closing.enter_context(RabbitMqContainer("rabbitmq:3-management").with_exposed_ports(15672))
    host = container.get_container_host_ip()
    return Broker(
        f"amqp://guest:guest@{host}:{container.get_exposed_port(5672)}/",
        f"http://{host}:{container.get_exposed_port(15672)}",
    )
