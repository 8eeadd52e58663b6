"""What goes over the wire."""

from typing import Any, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from alta_common.contracts.projects import Channels
from alta_common.http.app import ApiModel
from alta_projects.api import examples
from alta_projects.api.engines import CHANNELS_WORDS, ENGINE_WORDS, LANGUAGE_WORDS
from alta_projects.api.error_codes import ERROR_CODES
from alta_projects.api.fields import Description, EmailAddress, Name, ProjectSettings
from alta_projects.models.access import Role
from alta_projects.models.document import Document
from alta_projects.models.media_item import ItemStatus, MediaItem
from alta_projects.models.member import Member
from alta_projects.models.reading import Language
from alta_projects.models.result_revision import ResultRevision
from alta_projects.models.voice_sample import VoiceSample
from alta_projects.repositories.members import KnownMember
from alta_projects.repositories.projects import Membership


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


class ProjectIn(ApiModel):
    """A project to be made."""

    name: Name = Field(examples=["Parish registers 1820-1860"])
    description: Description | None = None
    settings: ProjectSettings = Field(default_factory=dict)


class ProjectChanges(ApiModel):
    """What is to be different; what is left out stays. `settings` is a merge patch (RFC 7396)."""

    # Never null and never empty: what stands for "left out" here is no value that a client could send.
    name: Name = Field(default="", examples=["Parish registers 1820-1870"], json_schema_extra=_without_default)
    description: Description | None = None
    settings: ProjectSettings = Field(default_factory=dict)


class ProjectOut(BaseModel):
    """A project, and what the caller is in it."""

    id: UUID
    name: str
    description: str | None
    settings: dict[str, Any]
    role: Role
    created_by: UUID
    created_at: AwareDatetime
    updated_at: AwareDatetime

    @classmethod
    def of(cls, membership: Membership) -> Self:
        """Return a membership as it is shown."""
        project = membership.project
        return cls(
            id=project.id,
            name=project.name,
            description=project.description,
            settings=project.settings,
            role=membership.role,
            created_by=project.created_by,
            created_at=project.created_at,
            updated_at=project.updated_at,
        )


class MemberIn(ApiModel):
    """Somebody to be given a place."""

    email: EmailAddress = Field(examples=["ada@example.org"])
    role: Role


class MemberRole(ApiModel):
    """What a member is to be."""

    role: Role


class InvitedOut(BaseModel):
    """The answer to an invitation: the same whether or not the address has an account."""

    email: str
    role: Role
    created_at: AwareDatetime

    @classmethod
    def of(cls, member: Member) -> Self:
        """Return a new member as it is shown to the one who invited."""
        return cls(email=member.invited_email or "", role=member.role, created_at=member.created_at)


class MemberOut(BaseModel):
    """A member; `user_id` is null while an invitation waits, and then `invitation_id` names it."""

    user_id: UUID | None
    invitation_id: UUID | None
    email: str | None
    full_name: str | None
    role: Role
    created_at: AwareDatetime
    joined_at: AwareDatetime | None

    @classmethod
    def of(cls, known: KnownMember) -> Self:
        """Return a member as it is shown."""
        member, person = known.member, known.person
        return cls(
            user_id=member.user_id,
            invitation_id=member.id if member.is_invitation else None,
            email=person.email if person else member.invited_email,
            full_name=person.full_name if person else None,
            role=member.role,
            created_at=member.created_at,
            joined_at=member.joined_at,
        )


class ProgressOut(BaseModel):
    """How far the work is; `total` is null until it is known."""

    done: int
    total: int | None
    unit: str


class ItemErrorOut(BaseModel):
    """Why an item could not be read."""

    code: str = Field(description=ERROR_CODES, examples=["password_protected"])
    detail: str = Field(description="A sentence for the owner of the file.")
    retryable: bool = Field(description="Whether reading the same file again may work.")


class _ItemOut(BaseModel):
    id: UUID
    project_id: UUID
    filename: str
    content_type: str
    size_bytes: int
    sha256: str
    status: ItemStatus
    progress: ProgressOut
    attempt: int = Field(description="The present run: how often it has been asked to be read.")
    revision: int = Field(description="The number of the last result; 0 while there is none.")
    deadline_at: AwareDatetime | None = Field(description="What has not been read by then fails with `timeout`.")
    engine: str | None = Field(description="The engine that is asked for; once it has been read, the one that did.")
    language: str | None = Field(description="The language that is asked for; once it has been read, the one found.")
    confidence: float | None = Field(description="0-1, or null where no engine said.")
    warnings: list[str] = Field(description="What to know about the result, e.g. `no_text`, `no_speech`.")
    needs_review: bool
    review_status: str | None
    error: ItemErrorOut | None
    metadata: dict[str, Any]
    created_by: UUID
    created_at: AwareDatetime
    updated_at: AwareDatetime
    completed_at: AwareDatetime | None


class DocumentOut(_ItemOut):
    """A document."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.DOCUMENT]})

    pages: int | None

    @classmethod
    def of(cls, document: Document) -> Self:
        """Return a document as it is shown."""
        return cls(**_shown(document), pages=document.pages)


class VoiceSampleOut(_ItemOut):
    """A voice sample."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.VOICE_SAMPLE]})

    channels: Channels = Field(description="How the channels of the recording are heard.")
    duration_ms: int | None

    @classmethod
    def of(cls, sample: VoiceSample) -> Self:
        """Return a voice sample as it is shown."""
        return cls(**_shown(sample), channels=sample.channels or "mixed", duration_ms=sample.duration_ms)


class ReprocessIn(ApiModel):
    """What is to be different when an item is read again."""

    engine: str | None = Field(default=None, description=ENGINE_WORDS)
    language: Language | None = Field(default=None, description=LANGUAGE_WORDS)


class DocumentReprocessIn(ReprocessIn):
    """What is to be different when a document is read again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"engine": "documentai", "language": "de"}]})


class VoiceSampleReprocessIn(ReprocessIn):
    """What is to be different when a voice sample is transcribed again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"engine": "google-speech", "language": "de-CH"}]})

    channels: Channels | None = Field(default=None, description=CHANNELS_WORDS)


class EngineOut(BaseModel):
    """Who made a result; `config_hash` tells one configuration from another."""

    name: str
    version: str
    config_hash: str | None


class _RevisionOut(BaseModel):
    revision: int
    attempt: int = Field(description="The run that it came from.")
    engine: EngineOut
    language: str | None
    confidence: float | None
    warnings: list[str]
    created_at: AwareDatetime


class DocumentRevisionOut(_RevisionOut):
    """One of the results that a document has had."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.DOCUMENT_REVISION]})

    pages: int | None

    @classmethod
    def of(cls, revision: ResultRevision) -> Self:
        """Return a revision as it is shown."""
        return cls(**_revision(revision), pages=revision.pages)


class VoiceSampleRevisionOut(_RevisionOut):
    """One of the results that a voice sample has had."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.VOICE_SAMPLE_REVISION]})

    duration_ms: int | None

    @classmethod
    def of(cls, revision: ResultRevision) -> Self:
        """Return a revision as it is shown."""
        return cls(**_revision(revision), duration_ms=revision.duration_ms)


def _revision(revision: ResultRevision) -> dict[str, Any]:
    same = _RevisionOut.model_fields.keys() - {"engine"}
    engine = EngineOut(name=revision.engine, version=revision.engine_version, config_hash=revision.engine_config_hash)
    return {**{name: getattr(revision, name) for name in same}, "engine": engine}


def _shown(item: MediaItem) -> dict[str, Any]:
    same = _ItemOut.model_fields.keys() - {"progress", "error", "metadata"}
    return {
        **{name: getattr(item, name) for name in same},
        "progress": ProgressOut(done=item.progress_done, total=item.progress_total, unit=item.UNIT),
        "error": _error(item),
        "metadata": item.attributes,
    }


def _error(item: MediaItem) -> ItemErrorOut | None:
    if item.error_code is None:
        return None
    return ItemErrorOut(code=item.error_code, detail=item.error_detail or "", retryable=bool(item.error_retryable))
