"""The process as it is deployed: migrate, start, health, metrics, SIGTERM."""

import asyncio
import signal
import sys

import httpx
import pytest
from cryptography.fernet import Fernet

from alta_common.testing import eventually
from alta_common.testing.plugin import MakeDatabase
from alta_stack.processes import free_ports


@pytest.fixture
async def environment(make_database: MakeDatabase, redis_url):
    empty = await make_database()
    public, internal = free_ports(2)
    return {
        **empty.environment("identity"),
        "REDIS_URL": redis_url,
        "HTTP_PORT": str(public),
        "INTERNAL_PORT": str(internal),
        "MAIL_SEALING_KEY": Fernet.generate_key().decode(),
        "IDENTITY_KEY_ENCRYPTION_KEY": Fernet.generate_key().decode(),
        "IDENTITY_PASSWORD_PEPPER": "a pepper that is only for tests",
    }


async def start(module, environment):
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )


async def test_it_migrates_serves_and_stops_cleanly(environment):
    migrations = [await start("alta_identity.migrate", environment) for _ in range(2)]
    assert [await migration.wait() for migration in migrations] == [0, 0]
    process = await start("alta_identity.main", environment)
    internal = f"http://127.0.0.1:{environment['INTERNAL_PORT']}"
    public = f"http://127.0.0.1:{environment['HTTP_PORT']}"
    try:
        async with httpx.AsyncClient(timeout=60) as client:
            await eventually(lambda: is_ready(client, internal))
            body = {"email": "ada@example.com", "password": "violet-kettle-orbit-93", "full_name": "Ada"}
            assert (await client.post(f"{public}/v1/auth/register", json=body)).status_code == 202
            assert len((await client.get(f"{public}/.well-known/jwks.json")).json()["keys"]) == 1
            metrics = (await client.get(f"{internal}/metrics")).text
            assert 'alta_identity_registrations_total{outcome="new"} 1.0' in metrics
    finally:
        process.send_signal(signal.SIGTERM)
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    assert b"violet-kettle" not in output
    assert b"ada@example.com" not in output


async def test_a_missing_secret_is_named(environment):
    del environment["IDENTITY_PASSWORD_PEPPER"]

    process = await start("alta_identity.main", environment)
    output, _ = await process.communicate()

    assert process.returncode == 2
    assert b"IDENTITY_PASSWORD_PEPPER" in output


async def test_a_schema_without_tables_is_told_from_a_fault(environment):
    process = await start("alta_identity.main", environment)
    output, _ = await process.communicate()

    assert process.returncode == 1
    assert b"python -m alta_identity.migrate" in output
    assert b"Traceback" not in output


async def is_ready(client, internal):
    return (await client.get(f"{internal}/health/ready")).status_code == 200
