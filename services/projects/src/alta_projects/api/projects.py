"""Routes of projects."""

from collections.abc import Callable
from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter, Response

from alta_common.http.etags import IfMatch, IfNoneMatch
from alta_common.http.idempotency import StoredAnswer
from alta_common.http.pagination import Cursor, Limit, Page
from alta_common.http.principal import CurrentPrincipal
from alta_common.http.replay import replay
from alta_projects.api.answers import answer, listed, project_etag, refuse_stale, stored_answer, versioned
from alta_projects.api.deps import App, OncePerKey, cursor_of, position_of
from alta_projects.api.responses import NOT_MODIFIED, problems
from alta_projects.api.schemas import ProjectChanges, ProjectIn, ProjectOut
from alta_projects.application.projects import ProjectDraft
from alta_projects.repositories.projects import Membership

router = APIRouter(prefix="/v1/projects", tags=["Projects"])


@router.post("", status_code=HTTPStatus.CREATED, response_model=ProjectOut)
async def create_project(body: ProjectIn, caller: CurrentPrincipal, app: App, once: OncePerKey) -> Response:
    """Make a project that you own."""
    draft = ProjectDraft(body.name, body.description, body.settings)
    made = await app.projects.create(caller, draft, once(_created))
    return replay(made) if isinstance(made, StoredAnswer) else answer(_created(made))


@router.get("", response_model=Page[ProjectOut], responses=NOT_MODIFIED)
async def list_projects(
    caller: CurrentPrincipal, app: App, limit: Limit = 50, cursor: Cursor = None, if_none_match: IfNoneMatch = None
) -> Response:
    """List the projects that you are a member of, newest first."""
    found = await app.projects.list_projects(caller, after=position_of(cursor), limit=limit)
    items = [ProjectOut.of(one) for one in found.items]
    return listed(Page(items=items, next_cursor=cursor_of(found.next_after)), if_none_match)


@router.get("/{project_id}", response_model=ProjectOut, responses=NOT_MODIFIED)
async def get_project(
    project_id: UUID, caller: CurrentPrincipal, app: App, if_none_match: IfNoneMatch = None
) -> Response:
    """Read a project."""
    membership = await app.projects.get(caller, project_id)
    return versioned(ProjectOut.of(membership), project_etag(membership), if_none_match)


@router.patch("/{project_id}", response_model=ProjectOut, responses=problems(r412="It has changed meanwhile."))
async def change_project(
    project_id: UUID, body: ProjectChanges, caller: CurrentPrincipal, app: App, if_match: IfMatch = None
) -> Response:
    """Change name, description or settings (managers and owners)."""
    changes = body.model_dump(exclude_unset=True)
    membership = await app.projects.change(caller, project_id, changes, _refuse_stale(if_match))
    return versioned(ProjectOut.of(membership), project_etag(membership))


@router.delete("/{project_id}", status_code=HTTPStatus.NO_CONTENT)
async def delete_project(project_id: UUID, caller: CurrentPrincipal, app: App, if_match: IfMatch = None) -> None:
    """Delete a project with everything in it (owners)."""
    await app.projects.delete(caller, project_id, _refuse_stale(if_match))


def _created(membership: Membership) -> StoredAnswer:
    project = ProjectOut.of(membership)
    headers = {"Location": f"/v1/projects/{project.id}", "ETag": project_etag(membership)}
    return stored_answer(HTTPStatus.CREATED, project, headers)


def _refuse_stale(if_match: str | None) -> Callable[[Membership], None]:
    return lambda membership: refuse_stale(if_match, project_etag(membership))
