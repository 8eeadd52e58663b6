"""Routes of members."""

from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter, Response

from alta_common.http.etags import IfMatch, IfNoneMatch
from alta_common.http.idempotency import StoredAnswer
from alta_common.http.pagination import Cursor, Limit, Page
from alta_common.http.principal import CurrentPrincipal
from alta_common.http.replay import replay
from alta_projects.api.answers import answer, listed, member_etag, refuse_stale, stored_answer, versioned
from alta_projects.api.deps import App, OncePerKey, cursor_of, position_of
from alta_projects.api.responses import NOT_MODIFIED, problems
from alta_projects.api.schemas import InvitedOut, MemberIn, MemberOut, MemberRole
from alta_projects.models.member import Member

router = APIRouter(prefix="/v1/projects/{project_id}/members", tags=["Members"])


@router.get("", response_model=Page[MemberOut], responses=NOT_MODIFIED)
async def list_members(
    project_id: UUID,
    caller: CurrentPrincipal,
    app: App,
    *,
    limit: Limit = 50,
    cursor: Cursor = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """List members and open invitations, in the order in which they came."""
    found = await app.members.list_members(caller, project_id, after=position_of(cursor), limit=limit)
    items = [MemberOut.of(one) for one in found.items]
    return listed(Page(items=items, next_cursor=cursor_of(found.next_after)), if_none_match)


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    response_model=InvitedOut,
    responses=problems(r409="The address has a place or an invitation already."),
)
async def add_member(
    project_id: UUID, body: MemberIn, caller: CurrentPrincipal, app: App, once: OncePerKey
) -> Response:
    """Give whoever has this address a place (managers and owners).

    Somebody with an account is a member at once; another address gets an invitation mail and its place when it has
    registered. The answer is the same for both.
    """
    made = await app.members.invite(caller, project_id, body.email, body.role, once(_invited))
    return replay(made) if isinstance(made, StoredAnswer) else answer(_invited(made))


@router.patch("/{user_id}", response_model=MemberOut, responses=problems(r412="It has changed meanwhile."))
async def change_member(
    project_id: UUID, user_id: UUID, body: MemberRole, *, caller: CurrentPrincipal, app: App, if_match: IfMatch = None
) -> Response:
    """Change a member's role, or that of an invitation by its `invitation_id`. Only owners make or unmake owners."""
    known = await app.members.change_role(
        caller, project_id, user_id, body.role, lambda member: refuse_stale(if_match, member_etag(member))
    )
    return versioned(MemberOut.of(known), member_etag(known.member))


@router.delete("/{user_id}", status_code=HTTPStatus.NO_CONTENT)
async def remove_member(project_id: UUID, user_id: UUID, caller: CurrentPrincipal, app: App) -> None:
    """Remove a member or an invitation (managers and owners), or leave the project yourself."""
    await app.members.remove(caller, project_id, user_id)


def _invited(member: Member) -> StoredAnswer:
    headers = {"Location": f"/v1/projects/{member.project_id}/members"}
    return stored_answer(HTTPStatus.CREATED, InvitedOut.of(member), headers)
