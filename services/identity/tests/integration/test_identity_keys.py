import asyncio

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from alta_identity.security.keys import KeySealedOtherwiseError


async def kids(api):
    return [key["kid"] for key in (await api.get("/.well-known/jwks.json")).json()["keys"]]


async def test_the_key_set_is_public_and_holds_nothing_private(api):
    answer = await api.get("/.well-known/jwks.json")

    assert answer.headers["cache-control"] == "public, max-age=300"
    [key] = answer.json()["keys"]
    assert {name: key[name] for name in ("kty", "crv", "use", "alg")} == {
        "kty": "EC",
        "crv": "P-256",
        "use": "sig",
        "alg": "ES256",
    }
    assert "d" not in key


async def test_the_private_part_is_encrypted_at_rest(api, records):
    row = await records.connection.fetchrow("SELECT * FROM identity.signing_key")

    assert row["private_sealed"].startswith("gAAAA")
    assert '"d"' not in row["public_jwk"] + row["private_sealed"]


async def test_replicas_that_start_at_once_share_one_key(open_api):
    apis = await asyncio.gather(*(open_api() for _ in range(4)))

    found = [await kids(api) for api in apis]

    assert len(found[0]) == 1
    assert all(one == found[0] for one in found)


async def test_a_token_of_one_replica_works_at_another(api, open_api, person):
    other = await open_api()

    assert (await other.get("/v1/users/me", headers=person.headers)).status_code == 200


async def test_keys_are_published_a_day_before_use_and_withdrawn_a_day_after(api, clock):
    signing = api.parts.services.ring
    [first] = await kids(api)

    clock.advance(days=28.9)
    await api.parts.keys.keep()
    assert await kids(api) == [first]

    clock.advance(days=0.2)
    await api.parts.keys.keep()
    second, last = await kids(api)
    assert (last, signing.signer(clock())["kid"]) == (first, first)

    clock.advance(days=1)
    await api.parts.keys.keep()
    assert signing.signer(clock())["kid"] == second
    assert await kids(api) == [second, first]

    clock.advance(days=1)
    await api.parts.keys.keep()
    assert await kids(api) == [second]


async def test_rotation_keeps_old_tokens_and_sessions_alive(api, person, clock):
    clock.advance(days=13)
    token = (await api.refresh(person.tokens["refresh_token"])).json()
    for _ in range(2):
        clock.advance(days=12)
        await api.parts.keys.keep()
        token = (await api.refresh(token["refresh_token"])).json()

    headers = {"Authorization": f"Bearer {token['access_token']}"}

    assert (await api.get("/v1/users/me", headers=headers)).status_code == 200


async def test_withdrawn_keys_and_what_is_long_over_are_swept(api, records, person, clock):
    clock.advance(days=29.5)
    await api.parts.keys.keep()
    clock.advance(days=95)
    await api.parts.keys.keep()

    await api.parts.housekeeping.sweep()

    # The key that replaced the first one, and the one that will replace that.
    assert await records.count("signing_key") == 2
    assert await records.count("one_time_token") == 0
    assert await records.count("login_session") == 0
    assert await records.count("refresh_token") == 0
    assert await records.count("account") == 1
    assert len(await records.audit()) == 3


async def test_what_is_in_use_is_not_swept(api, records, person, clock):
    clock.advance(days=13)

    await api.parts.housekeeping.sweep()

    assert (await api.refresh(person.tokens["refresh_token"])).status_code == 200


async def test_another_encryption_key_is_named_and_the_old_one_beside_it_is_enough(api, open_api, settings, person):
    new = Fernet.generate_key().decode()
    both = f"{new},{settings.key_encryption_keys[0]}"

    with pytest.raises(KeySealedOtherwiseError, match="IDENTITY_KEY_ENCRYPTION_KEY"):
        await open_api(identity_key_encryption_key=SecretStr(new))
    other = await open_api(identity_key_encryption_key=SecretStr(both))

    assert (await other.get("/v1/users/me", headers=person.headers)).status_code == 200


async def test_metadata_says_what_there_is(api):
    body = (await api.get("/.well-known/oauth-authorization-server")).json()

    assert body["issuer"] == "alta-identity"
    assert body["jwks_uri"] == "http://localhost:8000/.well-known/jwks.json"
    assert (body["response_types_supported"], body["grant_types_supported"]) == ([], [])
