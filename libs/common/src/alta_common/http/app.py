"""A FastAPI application as every HTTP service has it."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict

from alta_common.http.openapi import install_openapi
from alta_common.http.principal import TokenVerifier
from alta_common.http.problems import install_problem_handlers
from alta_common.http.request_id import RequestContextMiddleware

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


class ApiModel(BaseModel):
    """The base of request bodies: a field that we do not know is refused (422), not dropped."""

    model_config = ConfigDict(extra="forbid")


def create_api(
    title: str, *, lifespan: Lifespan | None = None, verifier: TokenVerifier | None = None, version: str = "0.1.0"
) -> FastAPI:
    """Return an application with request context, problems and `/openapi.json`; the gateway shows the merged docs.

    `verifier` makes `CurrentPrincipal` work; a lifespan that builds its own sets `app.state.token_verifier`.
    """
    app = FastAPI(
        title=title,
        version=version,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        # A redirect would be neither the resource nor a problem.
        redirect_slashes=False,
        # Ours is RequestContextMiddleware; two server spans for one request would tell the story twice.
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    app.state.token_verifier = verifier
    app.add_middleware(RequestContextMiddleware)
    install_problem_handlers(app)
    install_openapi(app)
    return app
