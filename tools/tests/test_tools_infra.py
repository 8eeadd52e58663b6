"""The private servers: real ones, started, killed and started again."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
import redis as redis_client

from alta_common.testing import eventually
from alta_stack.cluster import ROLES, create_roles_and_schemas
from alta_stack.infra import Infra, start_infra
from alta_stack.processes import StackError
from alta_stack.settings import CHECKOUT, Home
from alta_stack.with_infra import with_infra


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not pytest's own: PostgreSQL's account may not enter a folder of mode 700.
    path = CHECKOUT / ".alta" / f"tools-{os.getpid()}"
    yield path
    start_infra(path, postgres=False, redis=False, rabbitmq=False).discard()


def kill_everything(infra: Infra) -> None:
    """What a power cut does to processes."""
    for pid in infra.pids.values():
        os.kill(pid, signal.SIGKILL)
    infra.lock.close()


def has_ended(pid: int) -> bool:
    """Say whether a process is gone, or only waits to be buried by its parent."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def test_data_survives_the_kill_of_everything(folder: Path) -> None:
    infra = start_infra(folder, redis=False, rabbitmq=False)
    passwords = dict.fromkeys(ROLES, "it's a secret")
    await create_roles_and_schemas(infra.postgres_dsn, passwords)
    kill_everything(infra)

    again = start_infra(folder, redis=False, rabbitmq=False)

    try:
        owner = await asyncpg.connect(
            again.postgres_dsn, user="alta_projects", password="it's a secret", database="alta"
        )
        await owner.execute("CREATE TABLE projects.kept (n int)")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await owner.execute("CREATE TABLE identity.stolen (n int)")
        await owner.close()
        # What is there stays when it is prepared once more.
        await create_roles_and_schemas(again.postgres_dsn, passwords)
    finally:
        again.stop()


async def test_a_server_that_was_left_behind_is_replaced(folder: Path) -> None:
    left = start_infra(folder, postgres=False, rabbitmq=False)
    left.lock.close()

    infra = start_infra(folder, postgres=False, rabbitmq=False)

    try:
        assert has_ended(left.pids["redis"])
        assert redis_client.Redis.from_url(infra.redis_url).ping()
    finally:
        infra.stop()


def test_a_folder_in_use_is_refused(folder: Path) -> None:
    infra = start_infra(folder, postgres=False, rabbitmq=False)

    try:
        with pytest.raises(StackError, match="another process runs servers"):
            start_infra(folder, postgres=False, rabbitmq=False)
    finally:
        infra.stop()


def start_elsewhere(folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Start Redis from another process; returns that and the server's pid."""
    program = (
        "import sys; from pathlib import Path; from alta_stack.infra import start_infra\n"
        "print(start_infra(Path(sys.argv[1]), postgres=False, rabbitmq=False).pids['redis'], flush=True); input()"
    )
    argv = [sys.executable, "-c", program, str(folder)]
    starter = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert starter.stdout is not None
    return starter, int(starter.stdout.readline())


async def test_servers_end_with_the_process_that_started_them(folder: Path) -> None:
    starter, server = start_elsewhere(folder)
    assert psutil.pid_exists(server)

    starter.kill()
    starter.communicate()

    await eventually(lambda: has_ended(server))


def test_a_command_gets_servers_of_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALTA_TEST_POSTGRES_DSN", "postgresql://elsewhere/postgres")
    monkeypatch.setenv("ALTA_TEST_RABBITMQ_URL", "amqp://elsewhere/")
    monkeypatch.delenv("ALTA_TEST_REDIS_URL", raising=False)
    program = (
        "import os, sys, redis; given = os.environ\n"
        "redis.Redis.from_url(given['ALTA_TEST_REDIS_URL']).ping()\n"
        "sys.exit(7 if given['ALTA_TEST_POSTGRES_DSN'] == 'postgresql://elsewhere/postgres' else 1)"
    )

    status = with_infra(Home(folder), [sys.executable, "-c", program])

    assert status == 7
    assert not list(folder.glob("test-*"))
