"""Routes of voice samples."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from alta_common.contracts.media_types import VOICE_TYPES
from alta_common.contracts.results import TranscriptResult
from alta_common.http.pagination import Page
from alta_projects.api.items import ItemList, OneItem, Wait
from alta_projects.api.kinds import VOICE_SAMPLES
from alta_projects.api.responses import (
    NOT_MODIFIED,
    cancel_responses,
    content_responses,
    reprocess_responses,
    result_responses,
)
from alta_projects.api.results import ResultOf, Revision, RevisionList
from alta_projects.api.runs import Cancel, Reprocess
from alta_projects.api.schemas import VoiceSampleOut, VoiceSampleReprocessIn, VoiceSampleRevisionOut
from alta_projects.api.uploads import CHANNELS_FIELD, VoiceUpload, upload_body, upload_responses
from alta_projects.formats.table import TRANSCRIPT_FORMATS, TranscriptFormat

router = APIRouter(prefix="/v1", tags=["Voice samples"])


@router.post(
    "/projects/{project_id}/voice-samples",
    status_code=HTTPStatus.ACCEPTED,
    response_model=VoiceSampleOut,
    responses=upload_responses(VoiceSampleOut),
    openapi_extra=upload_body(VOICE_TYPES, CHANNELS_FIELD),
)
async def upload_voice_sample(project_id: UUID, upload: VoiceUpload) -> Response:
    """Upload a recording to be transcribed.

    What it is is decided by its bytes. The same bytes again give the first sample back, unless `allow_duplicate`.
    """
    return await upload.take(VOICE_SAMPLES, project_id)


@router.get("/projects/{project_id}/voice-samples", response_model=Page[VoiceSampleOut], responses=NOT_MODIFIED)
async def list_voice_samples(project_id: UUID, listing: ItemList) -> Response:
    """List the voice samples of a project, newest first."""
    return await listing.page(VOICE_SAMPLES, project_id)


@router.get("/voice-samples/{sample_id}", response_model=VoiceSampleOut, responses=NOT_MODIFIED)
async def get_voice_sample(sample_id: UUID, one: OneItem, wait: Wait = 0) -> Response:
    """Read a voice sample; `wait` holds the answer back until there is news."""
    return await one.read(VOICE_SAMPLES, sample_id, wait)


@router.delete("/voice-samples/{sample_id}", status_code=HTTPStatus.NO_CONTENT)
async def delete_voice_sample(sample_id: UUID, one: OneItem) -> None:
    """Delete a voice sample with its file and transcript (managers; contributors their own)."""
    await one.delete(VOICE_SAMPLES, sample_id)


@router.head("/voice-samples/{sample_id}/content", include_in_schema=False)
@router.get("/voice-samples/{sample_id}/content", responses=content_responses(), response_class=Response)
async def get_voice_sample_content(sample_id: UUID, one: OneItem) -> Response:
    """Download the original, or the `Range` of it."""
    return await one.content(VOICE_SAMPLES, sample_id)


@router.get(
    "/voice-samples/{sample_id}/result",
    responses=result_responses(TranscriptResult, TRANSCRIPT_FORMATS.values()),
    response_class=Response,
)
async def get_voice_sample_result(
    sample_id: UUID,
    results: ResultOf,
    wanted: Annotated[TranscriptFormat, Query(alias="format")] = TranscriptFormat.JSON,
    revision: Revision = None,
) -> Response:
    """Read what was said: the canonical transcript, its text alone, or captions made from it.

    While it is transcribed again, and when that fails, this is the last result that there was. Where there never was
    one: 409 `result_not_ready` while it is being transcribed, `processing_failed` when it could not be,
    `processing_cancelled` when that was stopped.
    """
    return await results.read(VOICE_SAMPLES, sample_id, TRANSCRIPT_FORMATS[wanted], revision)


@router.get("/voice-samples/{sample_id}/revisions", response_model=Page[VoiceSampleRevisionOut], responses=NOT_MODIFIED)
async def list_voice_sample_revisions(sample_id: UUID, revisions: RevisionList) -> Response:
    """List the results that a voice sample has had, the last one first: which engine made each, and when."""
    return await revisions.page(VOICE_SAMPLES, sample_id)


@router.post(
    "/voice-samples/{sample_id}/reprocess",
    status_code=HTTPStatus.ACCEPTED,
    response_model=VoiceSampleOut,
    responses=reprocess_responses(),
)
async def reprocess_voice_sample(
    sample_id: UUID, again: Reprocess, body: VoiceSampleReprocessIn | None = None
) -> Response:
    """Have a voice sample transcribed again: by another engine, in another language, its channels mixed or separate.

    For managers; contributors their own. What you leave out stays as it was asked for before; null leaves it to the
    project's settings. The last result can be read until there is a new one.
    """
    return await again.take(VOICE_SAMPLES, sample_id, body or VoiceSampleReprocessIn())


@router.post(
    "/voice-samples/{sample_id}/cancel",
    status_code=HTTPStatus.ACCEPTED,
    response_model=VoiceSampleOut,
    responses=cancel_responses(),
)
async def cancel_voice_sample(sample_id: UUID, cancel: Cancel) -> Response:
    """Stop transcribing a voice sample (managers; contributors their own). Doing it again changes nothing."""
    return await cancel.take(VOICE_SAMPLES, sample_id)
