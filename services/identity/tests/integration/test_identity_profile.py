import pytest


async def test_the_profile_is_the_callers_own(api, person):
    answer = await api.get("/v1/users/me", headers=person.headers)

    body = answer.json()
    assert answer.status_code == 200
    assert set(body) == {"id", "email", "full_name", "role", "email_verified", "created_at", "updated_at"}
    assert (body["email"], body["full_name"], body["role"]) == ("ada@example.com", "Ada Lovelace", "user")
    assert body["created_at"].endswith("Z")
    assert answer.headers["cache-control"] == "private, no-cache"


async def test_an_unchanged_profile_is_not_sent_again(api, person):
    etag = (await api.get("/v1/users/me", headers=person.headers)).headers["etag"]

    again = await api.get("/v1/users/me", headers=person.headers | {"If-None-Match": etag})

    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)


async def test_the_name_changes_for_whoever_read_the_present_version(api, records, person, verify_audit):
    etag = (await api.get("/v1/users/me", headers=person.headers)).headers["etag"]

    changed = await rename(api, person, "Ada King", {"If-Match": etag})
    stale = await rename(api, person, "Ada Byron", {"If-Match": etag})
    blind = await rename(api, person, "Ada Lovelace", {})

    assert (changed.status_code, changed.json()["full_name"]) == (200, "Ada King")
    assert changed.headers["etag"] != etag
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    assert (blind.status_code, blind.json()["full_name"]) == (200, "Ada Lovelace")
    rows = await records.audit("account.changed")
    assert len(rows) == 2
    assert "Ada" not in str([row["details"] for row in rows])
    assert (await verify_audit(rows[0]["stream"])).intact


@pytest.mark.parametrize(
    "body", [{"full_name": " "}, {"full_name": "A", "role": "admin"}, {}, {"email": "b@example.com"}]
)
async def test_nothing_else_changes(api, person, body):
    answer = await api.patch("/v1/users/me", json=body, headers=person.headers | {"If-Match": "*"})

    assert answer.status_code == 422


async def test_an_access_token_works_for_five_minutes(api, person, clock):
    clock.advance(seconds=person.tokens["expires_in"] - 1)
    assert (await api.get("/v1/users/me", headers=person.headers)).status_code == 200

    clock.advance(seconds=10)
    late = await api.get("/v1/users/me", headers=person.headers)

    assert (late.status_code, late.json()["code"]) == (401, "token_expired")


async def rename(api, person, name, headers):
    return await api.patch("/v1/users/me", json={"full_name": name}, headers=person.headers | headers)
