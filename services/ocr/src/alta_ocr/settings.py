"""Settings of ocr, from the environment."""

import os
from typing import Literal

from pydantic import Field

from alta_common.settings import RabbitmqSettings, ServiceSettings, StorageSettings


def _processors() -> int:
    return len(os.sched_getaffinity(0))


class OcrSettings(ServiceSettings, RabbitmqSettings, StorageSettings):
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
    ocr_job_seconds: float = Field(
        14400.0, gt=0, description="How long one document may take, in all its slices; its deadline may be sooner."
    )
    ocr_worker_memory_mb: int = Field(
        6144, ge=2048, description="Address space of a worker (RLIMIT_AS), about twice what it keeps in memory."
    )
    ocr_worker_recycle_pages: int = Field(500, ge=1, description="Pages after which a worker is replaced by a new one.")
    ocr_max_pages: int = Field(1000, ge=1, description="Pages that a document may have.")
    ocr_max_megapixels: float = Field(40.0, gt=0, description="Pixels that an image may have, in millions.")
