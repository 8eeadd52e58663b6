"""Members over HTTP: roles, invitations, the last owner."""

import asyncio
from typing import Any
from uuid import UUID

import orjson
import pytest
from sqlalchemy import text

from alta_common.audit import AuditTrail
from alta_common.db.engine import Sessions
from alta_common.ids import new_id
from alta_common.inbox import Inbox
from alta_projects.application.audit import ProjectAudit
from alta_projects.application.people import PersonService


@pytest.fixture
def people(sessions: Sessions) -> PersonService:
    return PersonService(sessions, Inbox("projects"), ProjectAudit(AuditTrail("projects")))


@pytest.fixture
async def project(ada: Any, people: PersonService) -> dict[str, Any]:
    await people.take_in(ada.registered("Ada"))
    return await ada.project("Registers")


async def join(api: Any, ada: Any, people: PersonService, project: dict[str, Any], role: str) -> Any:
    """Return somebody who is a member with a role."""
    member = api.somebody()
    await people.take_in(member.registered())
    added = await ada.http.post(f"/v1/projects/{project['id']}/members", json={"email": member.email, "role": role})
    assert added.status_code == 201, added.text
    return member


async def mails_to(email: str, sessions: Sessions) -> list[dict[str, Any]]:
    async with sessions() as session:
        query = text("SELECT body FROM projects.outbox_event WHERE event_type = 'EMAIL_SEND_REQUESTED' ORDER BY id")
        requests = [orjson.loads(body)["data"] for body in (await session.execute(query)).scalars()]
    return [request for request in requests if request["to"] == email]


async def test_somebody_we_know_is_a_member_at_once(
    ada: Any, bob: Any, people: PersonService, project: dict[str, Any], sessions: Sessions
) -> None:
    await people.take_in(bob.registered("Bob"))

    added = await ada.http.post(
        f"/v1/projects/{project['id']}/members",
        json={"email": bob.email.replace("example.org", "Example.ORG").upper(), "role": "viewer"},
    )

    assert added.status_code == 201
    assert (await bob.http.get(f"/v1/projects/{project['id']}")).json()["role"] == "viewer"
    listed = (await ada.http.get(f"/v1/projects/{project['id']}/members")).json()["items"]
    assert [(one["user_id"], one["email"], one["full_name"], one["role"]) for one in listed] == [
        (str(ada.user_id), ada.email, "Ada", "owner"),
        (str(bob.user_id), bob.email, "Bob", "viewer"),
    ]
    assert await mails_to(bob.email, sessions) == []


async def test_an_unknown_address_is_invited_and_joins_when_it_registers(
    ada: Any, bob: Any, people: PersonService, project: dict[str, Any], sessions: Sessions
) -> None:
    path = f"/v1/projects/{project['id']}"
    invited = await ada.http.post(f"{path}/members", json={"email": bob.email, "role": "contributor"})
    assert invited.status_code == 201
    waiting = (await ada.http.get(f"{path}/members")).json()["items"][1]
    assert (waiting["user_id"], waiting["email"], waiting["joined_at"]) == (None, bob.email, None)
    assert (await bob.http.get(path)).status_code == 404

    registration = bob.registered("Bob")
    await people.take_in(registration)
    await people.take_in(registration)

    assert (await bob.http.get(path)).json()["role"] == "contributor"
    joined = (await ada.http.get(f"{path}/members")).json()["items"][1]
    assert (joined["user_id"], joined["full_name"], joined["invitation_id"]) == (str(bob.user_id), "Bob", None)
    (mail,) = await mails_to(bob.email, sessions)
    assert mail["template"] == "project_invitation"
    assert (mail["values"]["inviter_name"], mail["values"]["project_name"]) == ("Ada", "Registers")


async def test_the_answer_does_not_tell_whether_an_address_has_an_account(
    ada: Any, bob: Any, people: PersonService, project: dict[str, Any]
) -> None:
    await people.take_in(bob.registered("Bob"))
    path = f"/v1/projects/{project['id']}/members"

    known = await ada.http.post(path, json={"email": bob.email, "role": "viewer"})
    unknown = await ada.http.post(path, json={"email": "eve@example.org", "role": "viewer"})
    known_again = await ada.http.post(path, json={"email": bob.email, "role": "viewer"})
    unknown_again = await ada.http.post(path, json={"email": "eve@example.org", "role": "viewer"})

    assert known.status_code == unknown.status_code == 201
    assert known.json().keys() == unknown.json().keys() == {"email", "role", "created_at"}
    assert known.headers.keys() == unknown.headers.keys()
    assert (known_again.status_code, known_again.json()["code"]) == (409, "already_member")
    assert (unknown_again.status_code, unknown_again.json()["code"]) == (409, "already_member")


async def test_an_invitation_can_be_changed_and_taken_back(
    ada: Any, bob: Any, people: PersonService, project: dict[str, Any]
) -> None:
    path = f"/v1/projects/{project['id']}/members"
    await ada.http.post(path, json={"email": bob.email, "role": "viewer"})
    invitation = (await ada.http.get(path)).json()["items"][1]["invitation_id"]

    changed = await ada.http.patch(f"{path}/{invitation}", json={"role": "manager"})
    removed = await ada.http.delete(f"{path}/{invitation}")
    await people.take_in(bob.registered("Bob"))

    assert (changed.status_code, changed.json()["role"]) == (200, "manager")
    assert removed.status_code == 204
    assert (await bob.http.get(f"/v1/projects/{project['id']}")).status_code == 404


async def test_a_registration_and_an_invitation_at_the_same_time_meet(
    api: Any, ada: Any, people: PersonService, project: dict[str, Any]
) -> None:
    path = f"/v1/projects/{project['id']}"
    newcomers = [api.somebody() for _ in range(8)]

    await asyncio.gather(
        *(people.take_in(one.registered()) for one in newcomers),
        *(ada.http.post(f"{path}/members", json={"email": one.email, "role": "viewer"}) for one in newcomers),
    )

    assert [(await one.http.get(path)).status_code for one in newcomers] == [200] * len(newcomers)


# What each role may do: its status for an edit of the project, an invitation, an upload, a deletion of the project.
@pytest.mark.parametrize(
    ("role", "edit", "invite", "upload", "delete"),
    [
        ("viewer", 403, 403, 403, 403),
        ("reviewer", 403, 403, 403, 403),
        ("contributor", 403, 403, 202, 403),
        ("manager", 200, 201, 202, 403),
        ("owner", 200, 201, 202, 204),
    ],
)
async def test_a_role_may_do_what_it_may(
    api: Any,
    ada: Any,
    people: PersonService,
    project: dict[str, Any],
    role: str,
    edit: int,
    invite: int,
    upload: int,
    delete: int,
) -> None:
    member = await join(api, ada, people, project, role)
    path = f"/v1/projects/{project['id']}"

    assert (await member.http.get(path)).status_code == 200
    assert (await member.http.get(f"{path}/members")).status_code == 200
    assert (await member.http.patch(path, json={"name": "Other"})).status_code == edit
    invitation = {"email": "new@example.org", "role": "viewer"}
    assert (await member.http.post(f"{path}/members", json=invitation)).status_code == invite
    assert (await member.upload(project["id"])).status_code == upload
    refused = await member.http.delete(path)
    assert refused.status_code == delete
    if delete == 403:
        assert refused.json()["code"] == "forbidden"
        assert role in refused.json()["detail"]


async def test_only_owners_make_and_unmake_owners(
    api: Any, ada: Any, people: PersonService, project: dict[str, Any]
) -> None:
    manager = await join(api, ada, people, project, "manager")
    viewer = await join(api, ada, people, project, "viewer")
    path = f"/v1/projects/{project['id']}/members"

    for refused in (
        await manager.http.post(path, json={"email": "x@example.org", "role": "owner"}),
        await manager.http.patch(f"{path}/{viewer.user_id}", json={"role": "owner"}),
        await manager.http.patch(f"{path}/{ada.user_id}", json={"role": "viewer"}),
        await manager.http.delete(f"{path}/{ada.user_id}"),
        await viewer.http.patch(f"{path}/{viewer.user_id}", json={"role": "manager"}),
        await viewer.http.delete(f"{path}/{manager.user_id}"),
    ):
        assert refused.status_code == 403, refused.text
    promoted = await ada.http.patch(f"{path}/{manager.user_id}", json={"role": "owner"})
    assert (promoted.status_code, promoted.json()["role"]) == (200, "owner")


async def test_everybody_may_leave_but_the_last_owner(
    api: Any, ada: Any, people: PersonService, project: dict[str, Any]
) -> None:
    viewer = await join(api, ada, people, project, "viewer")
    path = f"/v1/projects/{project['id']}/members"

    left = await viewer.http.delete(f"{path}/{viewer.user_id}")
    stays = await ada.http.delete(f"{path}/{ada.user_id}")
    keeps = await ada.http.patch(f"{path}/{ada.user_id}", json={"role": "manager"})

    assert left.status_code == 204
    assert (await viewer.http.get(f"/v1/projects/{project['id']}")).status_code == 404
    assert (stays.status_code, stays.json()["code"]) == (409, "last_owner")
    assert (keeps.status_code, keeps.json()["code"]) == (409, "last_owner")


async def test_of_two_owners_who_leave_at_once_one_stays(
    api: Any, ada: Any, people: PersonService, project: dict[str, Any]
) -> None:
    other = await join(api, ada, people, project, "owner")
    path = f"/v1/projects/{project['id']}/members"

    answers = await asyncio.gather(
        ada.http.delete(f"{path}/{ada.user_id}"), other.http.delete(f"{path}/{other.user_id}")
    )

    assert sorted(answer.status_code for answer in answers) == [204, 409]


async def test_a_change_of_an_older_version_of_a_member_is_refused(
    api: Any, ada: Any, people: PersonService, project: dict[str, Any]
) -> None:
    member = await join(api, ada, people, project, "viewer")
    path = f"/v1/projects/{project['id']}/members/{member.user_id}"
    old = (await ada.http.patch(path, json={"role": "reviewer"})).headers["ETag"]
    await ada.http.patch(path, json={"role": "contributor"}, headers={"If-Match": old})

    refused = await ada.http.patch(path, json={"role": "manager"}, headers={"If-Match": old})

    assert refused.status_code == 412


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"email": "nobody", "role": "viewer"}, "/email"),
        ({"email": "a@example.org", "role": "king"}, "/role"),
        ({"email": "a@example.org"}, "/role"),
        ({"email": "a@example.org", "role": "viewer", "note": "hi"}, "/note"),
        ({"email": "a" * 250 + "@example.org", "role": "viewer"}, "/email"),
    ],
)
async def test_a_wrong_invitation_is_refused(
    ada: Any, project: dict[str, Any], body: dict[str, Any], pointer: str
) -> None:
    refused = await ada.http.post(f"/v1/projects/{project['id']}/members", json=body)

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == pointer


async def test_strangers_and_unknown_members_are_not_found(ada: Any, bob: Any, project: dict[str, Any]) -> None:
    path = f"/v1/projects/{project['id']}/members"

    for refused in (
        await bob.http.get(path),
        await bob.http.post(path, json={"email": "a@example.org", "role": "viewer"}),
        await bob.http.patch(f"{path}/{ada.user_id}", json={"role": "viewer"}),
        await bob.http.delete(f"{path}/{bob.user_id}"),
        await ada.http.patch(f"{path}/{new_id()}", json={"role": "viewer"}),
        await ada.http.delete(f"{path}/{new_id()}"),
    ):
        assert refused.status_code == 404, refused.text


async def test_the_list_of_members_has_pages(ada: Any, project: dict[str, Any]) -> None:
    path = f"/v1/projects/{project['id']}/members"
    for number in range(4):
        await ada.http.post(path, json={"email": f"{number}@example.org", "role": "viewer"})

    seen, cursor = [], None
    while True:
        page = (await ada.http.get(path, params={"limit": 2, **({"cursor": cursor} if cursor else {})})).json()
        seen += [member["email"] for member in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert seen == [ada.email, *(f"{number}@example.org" for number in range(4))]


async def test_the_owner_of_a_new_project_can_be_told(ada: Any, people: PersonService, sessions: Sessions) -> None:
    await people.take_in(ada.registered())
    project = await ada.project()

    async with sessions() as session:
        query = text("SELECT body FROM projects.outbox_event WHERE aggregate_id = :project_id")
        body = (await session.execute(query, {"project_id": project["id"]})).scalar_one()
    assert orjson.loads(body)["data"]["owner_email"] == ada.email


async def test_no_address_gets_into_the_audit_trail(ada: Any, project: dict[str, Any], sessions: Sessions) -> None:
    path = f"/v1/projects/{project['id']}/members"
    await ada.http.post(path, json={"email": "secret@example.org", "role": "viewer"})

    async with sessions() as session:
        noted = await AuditTrail("projects").list(session, stream=UUID(project["id"]))
    assert [record.entry.action for record in noted] == ["member.invited", "project.created"]
    assert "secret" not in str(noted)
