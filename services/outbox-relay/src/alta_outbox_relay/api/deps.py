"""What routes are handed: the use cases, built in `admin.py`, and who asks."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request, Response

from alta_common.errors import ForbiddenError
from alta_common.http.principal import AdminPrincipal
from alta_outbox_relay.models.operator import Operator
from alta_outbox_relay.wiring import Operations

READ = "admin:read"
WRITE = "admin:write"


class InsufficientScopeError(ForbiddenError):
    """The token of this admin does not cover it."""

    code = "insufficient_scope"


# Asynchronous, like all dependencies here: FastAPI sends plain functions and classes through a pool of threads.
async def _operations(request: Request) -> Operations:
    operations: Operations = request.app.state.operations
    return operations


async def no_store(response: Response) -> None:
    """Keep an answer out of every cache: it is about one moment."""
    response.headers["Cache-Control"] = "no-store"


def _allowed(scope: str) -> Callable[[AdminPrincipal], Awaitable[Operator]]:
    async def operator(principal: AdminPrincipal) -> Operator:
        if scope not in principal.scopes:
            raise InsufficientScopeError(f"This needs the scope {scope}.")
        return Operator(principal.user_id)

    return operator


App = Annotated[Operations, Depends(_operations)]
Reader = Annotated[Operator, Depends(_allowed(READ))]
Writer = Annotated[Operator, Depends(_allowed(WRITE))]
