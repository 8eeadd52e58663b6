"""The calls to Google Document AI that are made here. What comes back are raw protocol buffers."""

from collections.abc import Sequence
from typing import Any

from google.cloud import documentai_v1 as documentai
from google.protobuf.field_mask_pb2 import FieldMask

from alta_common.engines.google.api import GoogleApi
from alta_common.engines.google.calls import Patience
from alta_common.engines.google.errors import InputFault
from alta_common.engines.google.limiter import Limiter
from alta_ocr.engines.documentai_config import NAME, SHARD_PAGES, DocumentAiConfig

FIELDS = (
    # Without a mask the answer holds a picture of every page.
    "text",
    "shard_info",
    "pages.page_number",
    "pages.dimension",
    "pages.layout",
    "pages.detected_languages",
    "pages.lines",
    "pages.tokens",
)

FAULTS = (
    InputFault.of(
        r"pages.* exceed the limit|PAGE_LIMIT_EXCEEDED|too many pages",
        "too_many_pages",
        "The document has more pages than the engine takes.",
    ),
    InputFault.of(
        r"payload size exceeds|file size exceeds|DOCUMENT_SIZE|too large to process",
        "file_too_large",
        "The document has more bytes than the engine takes.",
    ),
    InputFault.of(
        r"image (size|dimension|resolution).*exceed|megapixel",
        "image_too_large",
        "The image has more pixels than the engine takes; 40 megapixels are allowed.",
    ),
    InputFault.of(
        r"encrypt|password",
        "password_protected",
        "The PDF is protected by a password. Remove the password and upload it again.",
    ),
    # Said of files of the right kind as well, when the parser gives up on them.
    InputFault.of(
        r"unsupported input file|corrupt|malformed|(failed|unable) to (parse|decode|open|read the (pdf|image))",
        "corrupt_file",
        "The engine cannot open the document: it is damaged, or made in a way that it does not know.",
    ),
)
"""How Google words what is wrong with a file."""


class DocumentAiApi(GoogleApi[documentai.DocumentProcessorServiceAsyncClient]):
    """A processor of Google's."""

    def __init__(
        self,
        client: documentai.DocumentProcessorServiceAsyncClient,
        config: DocumentAiConfig,
        limiter: Limiter,
        patience: Patience,
    ) -> None:
        super().__init__(NAME, client, FAULTS, limiter, patience)
        self.config = config

    async def process(self, content: bytes, media_type: str, language: str | None) -> Any:
        """Return the `Document` that is read in a file of few pages.

        Raises `EngineError`, and `UnavailableError` for what may go better later.
        """
        request = documentai.ProcessRequest(
            name=self.config.processor,
            raw_document=documentai.RawDocument(content=content, mime_type=media_type),
            field_mask=FieldMask(paths=FIELDS),
            process_options=self._options(language),
            imageless_mode=self.config.imageless,
            skip_human_review=True,
        )
        answer = await self._calls.call(self._client.process_document, request)
        return documentai.ProcessResponse.pb(answer).document

    async def begin(self, files: Sequence[tuple[str, str]], output: str, language: str | None) -> str:
        """Begin to read files, given as gs:// addresses and media types; return the name of the operation.

        It writes to the folder `output` (gs://). Raises as `process` does.
        """
        documents = [documentai.GcsDocument(gcs_uri=uri, mime_type=media_type) for uri, media_type in files]
        gcs_output = documentai.DocumentOutputConfig.GcsOutputConfig
        request = documentai.BatchProcessRequest(
            name=self.config.processor,
            input_documents=documentai.BatchDocumentsInputConfig(
                gcs_documents=documentai.GcsDocuments(documents=documents)
            ),
            document_output_config=documentai.DocumentOutputConfig(
                gcs_output_config=gcs_output(
                    gcs_uri=output + "/",
                    field_mask=FieldMask(paths=FIELDS),
                    sharding_config=gcs_output.ShardingConfig(pages_per_shard=SHARD_PAGES),
                )
            ),
            process_options=self._options(language),
            skip_human_review=True,
        )
        answer = await self._calls.call(self._client.batch_process_documents, request)
        return str(answer.operation.name)

    def _options(self, language: str | None) -> documentai.ProcessOptions:
        # The language is a hint, which Google weighs against what it sees.
        hints = documentai.OcrConfig.Hints(language_hints=[language] if language else [])
        ocr = documentai.OcrConfig(enable_native_pdf_parsing=self.config.native_pdf, hints=hints)
        return documentai.ProcessOptions(ocr_config=ocr)
