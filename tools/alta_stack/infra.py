"""Private PostgreSQL, Redis, RabbitMQ and Cloud Storage servers in a folder, on free loopback ports.

They never touch the system's own services, end with the process that started them, and come back with their data
when they are started in the same folder again, whatever ended them.
"""

import contextlib
import fcntl
import json
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from alta_stack.cloud_storage import CloudStorageServer
from alta_stack.postgres import PostgresServer, place_of_data
from alta_stack.processes import StackError
from alta_stack.rabbitmq import RabbitmqServer
from alta_stack.redis import RedisServer

Server = PostgresServer | RedisServer | RabbitmqServer | CloudStorageServer


@dataclass(frozen=True)
class Infra:
    """Running servers and where they are; an address is empty when that server was not asked for."""

    folder: Path
    postgres_dsn: str
    """The superuser's, of the maintenance database `postgres`."""
    redis_url: str
    amqp_url: str
    rabbitmq_management: str
    """Without credentials: user and password are those of `amqp_url`."""
    rabbitmq_metrics: str
    gcs_endpoint: str
    servers: tuple[Server, ...] = field(repr=False)
    lock: IO[str] = field(repr=False)

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by server name."""
        return {server.name: server.process.pid for server in self.servers if server.process is not None}

    def stop(self) -> None:
        """Stop the servers cleanly and keep their data."""
        for server in self.servers:
            server.stop()
        self.lock.close()

    def discard(self) -> None:
        """Stop the servers at once and delete everything they have written."""
        for server in self.servers:
            server.kill()
        self.lock.close()
        delete_data(self.folder)


def start_infra(
    folder: Path, *, postgres: bool = True, redis: bool = True, rabbitmq: bool = True, durable: bool = True
) -> Infra:
    """Start the servers asked for with their data in `folder` and return when all of them answer.

    Call it from the main thread, or from one that lives as long as the servers should. With `durable=False`
    PostgreSQL does not force its writes to disk, which tests do not need. Raises `StackError` when a server is not
    installed, when it does not start (with the end of its log), or when another process uses `folder`.
    """
    infra = launch_infra(folder, postgres=postgres, redis=redis, rabbitmq=rabbitmq, durable=durable)
    with _stopped_on_failure(infra.servers, infra.lock):
        for server in infra.servers:
            wait_for(server)
    return infra


def wait_for(server: Server) -> None:
    """Return when a launched server answers. Raises `StackError` when it ends instead, or takes too long."""
    starting = server.starting()
    while not server.answers():
        starting.check()
        time.sleep(0.05)


def launch_infra(
    folder: Path,
    *,
    postgres: bool = True,
    redis: bool = True,
    rabbitmq: bool = True,
    cloud_storage: bool = False,
    durable: bool = True,
) -> Infra:
    """Do what `start_infra` does, with Cloud Storage as well when wanted, but do not wait until the servers answer."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    lock = _lock(folder)
    passwords = _passwords(folder)
    # RabbitMQ first: it takes longest, and the others start while it does.
    broker = RabbitmqServer(folder, passwords["rabbitmq"]) if rabbitmq else None
    cache = RedisServer(folder, passwords["redis"]) if redis else None
    database = PostgresServer(folder, passwords["postgres"], durable=durable) if postgres else None
    objects = CloudStorageServer(folder) if cloud_storage else None
    wanted = (broker, cache, database, objects)
    servers: tuple[Server, ...] = tuple(server for server in wanted if server is not None)
    with _stopped_on_failure(servers, lock):
        for server in servers:
            server.launch()
    return Infra(
        folder=folder,
        postgres_dsn=database.dsn if database else "",
        redis_url=cache.url if cache else "",
        amqp_url=broker.url if broker else "",
        rabbitmq_management=broker.management if broker else "",
        rabbitmq_metrics=broker.metrics if broker else "",
        gcs_endpoint=objects.endpoint if objects else "",
        servers=servers,
        lock=lock,
    )


def delete_data(folder: Path) -> None:
    """Delete what servers of `folder` have written, wherever it is. They must not run."""
    outside = place_of_data(folder.resolve()).parent
    if outside != folder.resolve():
        shutil.rmtree(outside, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _stopped_on_failure(servers: tuple[Server, ...], lock: IO[str]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        for server in servers:
            server.kill()
        lock.close()
        raise


def _lock(folder: Path) -> IO[str]:
    file = (folder / "lock").open("w", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise StackError(f"another process runs servers in {folder}") from None
    return file


def _passwords(folder: Path) -> dict[str, str]:
    path = folder / "passwords.json"
    if not path.exists():
        values = {name: secrets.token_urlsafe(24) for name in ("postgres", "redis", "rabbitmq")}
        path.touch(mode=0o600)
        path.write_text(json.dumps(values), encoding="utf-8")
    stored: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return stored
