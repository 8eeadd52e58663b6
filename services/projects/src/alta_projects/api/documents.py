"""Routes of documents."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from alta_common.contracts.media_types import DOCUMENT_TYPES
from alta_common.contracts.results import OcrResult
from alta_common.http.pagination import Page
from alta_projects.api.items import ItemList, OneItem, Wait
from alta_projects.api.kinds import DOCUMENTS
from alta_projects.api.responses import (
    NOT_MODIFIED,
    cancel_responses,
    content_responses,
    reprocess_responses,
    result_responses,
)
from alta_projects.api.results import ResultOf, Revision, RevisionList
from alta_projects.api.runs import Cancel, Reprocess
from alta_projects.api.schemas import DocumentOut, DocumentReprocessIn, DocumentRevisionOut
from alta_projects.api.uploads import Upload, upload_body, upload_responses
from alta_projects.formats.table import DOCUMENT_FORMATS, DocumentFormat

router = APIRouter(prefix="/v1", tags=["Documents"])


@router.post(
    "/projects/{project_id}/documents",
    status_code=HTTPStatus.ACCEPTED,
    response_model=DocumentOut,
    responses=upload_responses(DocumentOut),
    openapi_extra=upload_body(DOCUMENT_TYPES),
)
async def upload_document(project_id: UUID, upload: Upload) -> Response:
    """Upload a document to be read.

    What it is is decided by its bytes. The same bytes again give the first document back, unless `allow_duplicate`.
    """
    return await upload.take(DOCUMENTS, project_id)


@router.get("/projects/{project_id}/documents", response_model=Page[DocumentOut], responses=NOT_MODIFIED)
async def list_documents(project_id: UUID, listing: ItemList) -> Response:
    """List the documents of a project, newest first."""
    return await listing.page(DOCUMENTS, project_id)


@router.get("/documents/{document_id}", response_model=DocumentOut, responses=NOT_MODIFIED)
async def get_document(document_id: UUID, one: OneItem, wait: Wait = 0) -> Response:
    """Read a document; `wait` holds the answer back until there is news."""
    return await one.read(DOCUMENTS, document_id, wait)


@router.delete("/documents/{document_id}", status_code=HTTPStatus.NO_CONTENT)
async def delete_document(document_id: UUID, one: OneItem) -> None:
    """Delete a document with its file and result (managers; contributors their own)."""
    await one.delete(DOCUMENTS, document_id)


@router.head("/documents/{document_id}/content", include_in_schema=False)
@router.get("/documents/{document_id}/content", responses=content_responses(), response_class=Response)
async def get_document_content(document_id: UUID, one: OneItem) -> Response:
    """Download the original, or the `Range` of it."""
    return await one.content(DOCUMENTS, document_id)


@router.get(
    "/documents/{document_id}/result",
    responses=result_responses(OcrResult, DOCUMENT_FORMATS.values()),
    response_class=Response,
)
async def get_document_result(
    document_id: UUID,
    results: ResultOf,
    wanted: Annotated[DocumentFormat, Query(alias="format")] = DocumentFormat.JSON,
    revision: Revision = None,
) -> Response:
    """Read what the document says: the canonical result, its text alone, or another format made from it.

    While it is read again, and when that fails, this is the last result that there was. Where there never was one:
    409 `result_not_ready` while it is being read, `processing_failed` when it could not be, `processing_cancelled` when
    that was stopped.
    """
    return await results.read(DOCUMENTS, document_id, DOCUMENT_FORMATS[wanted], revision)


@router.get("/documents/{document_id}/revisions", response_model=Page[DocumentRevisionOut], responses=NOT_MODIFIED)
async def list_document_revisions(document_id: UUID, revisions: RevisionList) -> Response:
    """List the results that a document has had, the last one first: which engine made each, and when."""
    return await revisions.page(DOCUMENTS, document_id)


@router.post(
    "/documents/{document_id}/reprocess",
    status_code=HTTPStatus.ACCEPTED,
    response_model=DocumentOut,
    responses=reprocess_responses(),
)
async def reprocess_document(document_id: UUID, again: Reprocess, body: DocumentReprocessIn | None = None) -> Response:
    """Have a document read again, by another engine or in another language.

    For managers; contributors their own. What you leave out stays as it was asked for before; null leaves it to the
    project's settings. The last result can be read until there is a new one.
    """
    return await again.take(DOCUMENTS, document_id, body or DocumentReprocessIn())


@router.post(
    "/documents/{document_id}/cancel",
    status_code=HTTPStatus.ACCEPTED,
    response_model=DocumentOut,
    responses=cancel_responses(),
)
async def cancel_document(document_id: UUID, cancel: Cancel) -> Response:
    """Stop reading a document (managers; contributors their own). Doing it again changes nothing."""
    return await cancel.take(DOCUMENTS, document_id)
