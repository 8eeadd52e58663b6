import asyncio

import pytest

GUESSABLE = {
    "short": "Tr0ub4dor&3",
    "common": "passwordpassword",
    "keyboard": "qwertyuiop[]asdf",
    "repeated": "abcabcabcabcabc",
    "own name": "ada.lovelace2024",
    "own address": "grace.hopper-grace",
    "long": "x" * 129,
}


async def test_a_registration_is_accepted_and_a_mail_goes_out(api, records):
    answer = await api.register("Ada@Example.COM")

    assert answer.status_code == 202
    assert answer.json() == {"status": "verification_sent"}
    assert answer.headers["cache-control"] == "no-store"
    [mail] = await records.mails("Ada@example.com")
    assert mail["template"] == "verify_email"
    assert mail["values"] == {"full_name": "Ada Lovelace"}
    assert await records.last_token("Ada@example.com") not in str(mail)
    [row] = await records.audit()
    assert row["action"] == "account.registered"


async def test_the_password_is_stored_as_a_peppered_argon2id_hash(api, records):
    await api.register()

    stored = await records.connection.fetchval("SELECT password_hash FROM identity.account")
    assert stored.startswith("p1$argon2id$v=19$m=64,t=1,p=1$")


async def test_account_token_mail_and_audit_row_are_written_together_or_not_at_all(api, records):
    await records.connection.execute("ALTER TABLE identity.audit_log ADD CONSTRAINT refused CHECK (false) NOT VALID")

    try:
        answer = await api.register()
    finally:
        await records.connection.execute("ALTER TABLE identity.audit_log DROP CONSTRAINT refused")

    assert answer.status_code == 500
    assert await records.count("account") == 0
    assert await records.count("one_time_token") == 0
    assert await records.count("outbox_event") == 0


@pytest.mark.parametrize("again", ["ada@example.com", "ADA@EXAMPLE.com", "  ada@example.com "])
async def test_a_known_address_gets_the_same_answer_and_its_owner_a_warning(api, records, person, again):
    known = await api.register(again, password="turquoise-anvil-meadow-7")
    unknown = await api.register("new@example.com", password="turquoise-anvil-meadow-7")

    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
    assert _headers(known) == _headers(unknown)
    assert [mail["template"] for mail in await records.mails(person.email)] == ["verify_email", "already_registered"]
    assert (await api.login(password="turquoise-anvil-meadow-7")).status_code == 401
    assert (await api.login()).status_code == 200


async def test_registering_an_unproven_address_again_replaces_what_was_said_and_the_token(api, records):
    await api.register()
    first = await records.last_token("ada@example.com")

    await api.register(password="turquoise-anvil-meadow-7", full_name="Augusta Ada King")
    second = await records.last_token("ada@example.com")

    refused = await api.post_json("/v1/auth/verify-email", {"token": first})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_token")
    assert (await api.post_json("/v1/auth/verify-email", {"token": second})).status_code == 204
    assert (await api.login()).status_code == 401
    assert (await api.login(password="turquoise-anvil-meadow-7")).status_code == 200
    assert await records.connection.fetchval("SELECT full_name FROM identity.account") == "Augusta Ada King"


async def test_registrations_of_one_address_at_once_make_one_account(api, records):
    answers = await asyncio.gather(*(api.register("ada@example.com", full_name=f"Ada {n}") for n in range(8)))

    assert {answer.status_code for answer in answers} == {202}
    assert await records.count("account") == 1
    unspent = "SELECT count(*) FROM identity.one_time_token WHERE withdrawn_at IS NULL"
    assert await records.connection.fetchval(unspent) == 1
    token = await records.last_token("ada@example.com")
    assert (await api.post_json("/v1/auth/verify-email", {"token": token})).status_code == 204


@pytest.mark.parametrize("kind", GUESSABLE)
async def test_a_guessable_password_is_refused_and_the_answer_says_why(api, records, kind):
    answer = await api.register("grace.hopper@example.com", password=GUESSABLE[kind])

    body = answer.json()
    assert (answer.status_code, body["code"]) == (422, "password_refused")
    assert body["errors"][0]["pointer"] == "/password"
    assert len(body["errors"][0]["detail"]) > 10
    assert GUESSABLE[kind] not in answer.text
    assert await records.count("account") == 0


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"email": "not an address"}, "/email"),
        ({"email": "nul\x00@example.com"}, "/email"),
        ({"email": "ada@example.com", "full_name": ""}, "/full_name"),
        ({"full_name": "Ada\nBcc: all@example.com"}, "/full_name"),
        ({"full_name": "Ada\x00"}, "/full_name"),
        ({"full_name": "Win at https://evil.example"}, "/full_name"),
        ({"full_name": "x" * 201}, "/full_name"),
        ({"password": 12}, "/password"),
        ({"password": "x" * 1025}, "/password"),
        ({"role": "admin"}, "/role"),
    ],
)
async def test_a_field_that_cannot_be_right_is_named(api, changed, pointer):
    answer = await api.register(**{"email": "ada@example.com", **changed})

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_bodies_that_are_no_json_objects_are_refused(api):
    path = "/v1/auth/register"
    json = {"content-type": "application/json"}

    assert (await api.post(path, content=b'{"email": ', headers=json)).status_code == 400
    assert (await api.post(path, content=b'{"email": "\xff"}', headers=json)).status_code in {400, 422}
    assert (await api.post(path, content=b'{"email": "\\ud800"}', headers=json)).status_code == 422
    assert (await api.post(path, content=b"[]", headers=json)).status_code == 422
    assert (await api.post(path)).status_code == 422
    assert (await api.post(path, data={"email": "ada@example.com"})).status_code == 415
    assert (await api.get(path)).status_code == 405


async def test_the_same_key_and_request_get_the_same_answer_and_one_mail(api, records):
    body = {"email": "ada@example.com", "password": "violet-kettle-orbit-93", "full_name": "Ada"}
    key = {"Idempotency-Key": "first-try"}

    first = await api.post_json("/v1/auth/register", body, headers=key)
    second = await api.post_json("/v1/auth/register", body, headers=key)
    other = await api.post_json("/v1/auth/register", body | {"full_name": "Eve"}, headers=key)
    elsewhere = await api.post_json("/v1/auth/register", body | {"email": "eve@example.com"}, headers=key)

    assert (first.status_code, second.status_code) == (202, 202)
    assert first.content == second.content
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert (elsewhere.status_code, "idempotency-replayed" in elsewhere.headers) == (202, False)
    assert len(await records.mails("ada@example.com")) == 1


async def test_what_is_stored_of_a_request_does_not_give_its_password_away(api, records):
    body = {"email": "ada@example.com", "password": "violet-kettle-orbit-93", "full_name": "Ada"}
    await api.post_json("/v1/auth/register", body, headers={"Idempotency-Key": "k"})

    first = await records.connection.fetchrow("SELECT * FROM identity.idempotency_key")
    assert "ada" not in str(first["principal_id"]) + first["fingerprint"]
    assert len(first["fingerprint"]) == 64


async def test_too_many_hashes_at_once_are_answered_with_503(open_api):
    api = await open_api(
        identity_argon2_memory_kib=65536,
        identity_argon2_time_cost=4,
        identity_hash_threads=1,
        identity_hash_queue_seconds=0.5,
    )

    answers = await asyncio.gather(*(api.register(f"p{number}@example.com") for number in range(30)))

    assert {answer.status_code for answer in answers} == {202, 503}
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert refused.json()["code"] == "unavailable"
    assert int(refused.headers["retry-after"]) >= 1


def _headers(answer):
    return {name: value for name, value in answer.headers.items() if name not in {"x-request-id", "date"}}
