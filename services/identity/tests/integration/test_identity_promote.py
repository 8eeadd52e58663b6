"""The first administrator of the platform is made at the command line."""

import asyncio
import base64
import sys

import asyncpg
import orjson
import pytest


async def promote(database, email, *more):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "alta_identity.promote", email, *more),
        env=database.environment("identity"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()


def claims_of(token):
    body = token.split(".")[1]
    return orjson.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


async def test_who_is_promoted_administers_the_platform_from_the_next_sign_in_on(api, person, database, verify_audit):
    assert claims_of(person.tokens["access_token"])["role"] == "user"

    first = await promote(database, "ADA@example.com", "--operator", "grace")
    again = await promote(database, "ada@example.com")

    assert first[0] == again[0] == 0, (first, again)
    claims = claims_of((await api.login()).json()["access_token"])
    assert claims["role"] == "admin"
    assert {"admin:read", "admin:write"} <= set(claims["scope"].split())
    (noted,) = await api.records.audit("account.promoted")
    assert orjson.loads(noted["details"]) == {"role": "admin", "operator": "grace"}
    assert noted["actor_id"] is None
    assert noted["request_id"]
    assert (await verify_audit(noted["stream"])).intact


async def test_nobody_is_promoted_who_cannot_sign_in(api, database):
    await api.register("unproven@example.com")

    unproven = await promote(database, "unproven@example.com")
    unknown = await promote(database, "nobody@example.com")

    assert unproven[0] == unknown[0] == 1
    assert "cannot sign in" in unproven[2]
    assert "no account" in unknown[2]
    assert await api.records.audit("account.promoted") == []


@pytest.mark.parametrize("statement", ["SELECT * FROM identity.audit_log", "DELETE FROM identity.audit_head"])
async def test_the_relay_may_append_to_the_trail_but_not_read_or_shorten_it(database, statement):
    relay = await asyncpg.connect(database.settings("relay").postgres_dsn)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await relay.execute(statement)
    finally:
        await relay.close()
