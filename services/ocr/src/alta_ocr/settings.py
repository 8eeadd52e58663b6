"""Settings of ocr, from the environment."""

import os
from typing import Literal, Self

from pydantic import Field, model_validator

from alta_common.settings import GoogleSettings, RabbitmqSettings, ServiceSettings, StorageSettings


def _processors() -> int:
    return len(os.sched_getaffinity(0))


class OcrSettings(ServiceSettings, RabbitmqSettings, StorageSettings, GoogleSettings):
    """What the process reads from its environment."""

    ocr_workers: int = Field(
        default_factory=lambda: min(2, _processors()),
        ge=1,
        le=64,
        description="Worker processes, one engine of one thread each; up to 1.6 GB of memory each. Default: 1 or 2.",
    )
    ocr_engine: Literal["local", "documentai", "google"] = Field(
        "local", description="Who reads documents that name no engine themselves; google is Document AI."
    )
    ocr_fallback_engine: Literal["", "local", "documentai", "google"] = Field(
        "",
        description="Who reads a document instead when its engine is away; empty: nobody, it fails. The result carries "
        "the warning fallback_engine_used. Quality differs, and so does who sees the document.",
    )
    ocr_backend: Literal["auto", "openvino", "onnxruntime"] = Field(
        "auto", description="What runs RapidOCR's models; auto: OpenVINO where it works, else ONNX Runtime."
    )
    ocr_page_seconds: float = Field(120.0, gt=0, description="How long one page may take before its worker is killed.")
    ocr_slice_minutes: float = Field(
        20.0,
        gt=0,
        le=25,
        description="How long one delivery may read; then the message goes to the end of its queue, and whoever takes "
        "it goes on from the pages that are kept. Below the broker's consumer timeout (30 minutes).",
    )
    ocr_keep_seconds: float = Field(
        30.0, ge=0, description="How often the pages that are read are kept; a killed process costs no more than that."
    )
    ocr_job_seconds: float = Field(
        14400.0,
        gt=0,
        description="How long one document may be worked on, in all its slices. Waiting for a batch at Google does not "
        "count; its deadline may be sooner.",
    )
    ocr_worker_memory_mb: int = Field(
        6144, ge=2048, description="Address space of a worker (RLIMIT_AS), about twice what it keeps in memory."
    )
    ocr_worker_recycle_pages: int = Field(500, ge=1, description="Pages after which a worker is replaced by a new one.")
    ocr_max_pages: int = Field(1000, ge=1, description="Pages that a document may have.")
    ocr_max_megapixels: float = Field(40.0, gt=0, description="Pixels that an image may have, in millions.")
    documentai_processor: str = Field(
        "", description="Id of a Document AI processor (Enterprise Document OCR); empty: that engine is not here."
    )
    documentai_processor_version: str = Field(
        "", description="Version of the processor, e.g. pretrained-ocr-v2.1-2024-08-07; empty: the processor's default."
    )
    documentai_location: str = Field("us", description="Region of the processor: us, eu or another.")
    documentai_endpoint: str = Field("", description="host:port of an emulator, in plaintext; empty: Google's.")
    documentai_imageless: bool = Field(
        False, description="Whether Document AI takes 30 pages a request instead of 15 and looks less closely at them."
    )
    documentai_native_pdf: bool = Field(
        True, description="Whether Document AI takes the text that a PDF has; OCR and form processors can."
    )
    documentai_batch_pages: int = Field(
        200,
        ge=1,
        description="Documents with more pages are read in a batch, where GCS_BUCKET_NAME is set: slower, but a "
        "restarted process waits for it instead of asking again.",
    )

    @model_validator(mode="after")
    def _documentai_is_complete(self) -> Self:
        if self.documentai_processor and not self.gcs_project_id:
            raise ValueError("DOCUMENTAI_PROCESSOR needs GCS_PROJECT_ID, the project that the processor is in")
        for engine in (self.ocr_engine, self.ocr_fallback_engine):
            if engine in {"documentai", "google"} and not self.documentai_processor:
                raise ValueError(f"the engine {engine!r} needs DOCUMENTAI_PROCESSOR")
        return self
