"""What becomes of a document when its workers crash, hang or fail: with workers that do so on cue."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from alta_common.contracts.results import EngineInfo, Line, Page
from alta_common.engines.port import EngineError, InputError, SourceFile
from alta_common.errors import UnavailableError
from alta_common.workers.errors import WorkerCrashedError, WorkerMemoryError, WorkerTimeoutError
from alta_common.workers.pool import ignore
from alta_common.workers.wire import Task
from alta_ocr.engines.engine import DocumentReading, OcrOptions, PageReading
from alta_ocr.engines.limits import DocumentLimits
from alta_ocr.engines.local import LocalConfig, LocalEngine
from alta_ocr.engines.plan import Plan

OCR = EngineInfo(name="rapidocr", version="1")
PAGE_SECONDS = 9.0
TEXT = EngineInfo(name="pdf-text", version="1")


class ScriptedWorkers:
    """Reads `pages` pages; raises what `faults` holds for a page, each once, when it comes to it."""

    def __init__(
        self,
        pages: int,
        faults: dict[int, list[Exception]] | None = None,
        sources: str = "ocr",
        pages_a_turn: int | None = None,
        texts: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Where there are `texts`, they say source and text of each page."""
        self._plan = Plan("application/pdf", pages, OCR, TEXT)
        self._faults = faults or {}
        self._sources = sources
        self._pages_a_turn = pages_a_turn
        self._texts = texts
        self.read: Counter[int] = Counter()
        self.ranges: list[range] = []

    async def run(
        self,
        task: Task,
        *,
        on_progress: Callable[[Any], None] = ignore,
        seconds: float | None = None,
        step_seconds: float | None = None,
    ) -> Any:
        assert seconds is not None
        assert step_seconds == PAGE_SECONDS
        if task.function.endswith(":inspect"):
            self._stumble(0)
            return self._plan
        numbers = task.kwargs["numbers"]
        self.ranges.append(numbers)
        for number in numbers[: self._pages_a_turn]:
            self._stumble(number)
            self.read[number] += 1
            source, text = self._texts[number - 1] if self._texts else (self._sources, "")
            lines = [Line(text=text, confidence=None, box=(0, 0, 1, 1), words=[])] if text else []
            page = Page(number=number, width=1, height=1, source=source, confidence=None, lines=lines)
            on_progress(PageReading.of(page, 0.1))
        return None

    async def check(self) -> None: ...

    def _stumble(self, number: int) -> None:
        if faults := self._faults.get(number):
            raise faults.pop(0)


async def recognize(workers: ScriptedWorkers, language: str | None = "nl", **config: Any) -> DocumentReading:
    engine = LocalEngine(
        workers, LocalConfig(**{"workers": 2, "page_seconds": PAGE_SECONDS, "limits": DocumentLimits(), **config})
    )
    return await engine.recognize(SourceFile(Path("x"), "application/pdf"), OcrOptions(language), lambda *_: None)


async def failure_of(workers: ScriptedWorkers) -> EngineError:
    with pytest.raises(EngineError) as failed:
        await recognize(workers)
    return failed.value


async def test_a_crash_costs_the_page_that_was_being_read() -> None:
    workers = ScriptedWorkers(40, {3: [WorkerCrashedError("signal 9")]})

    reading = await recognize(workers)

    assert [page.number for page in reading.pages] == list(range(1, 41))
    assert set(workers.read.values()) == {1}


async def test_pages_crashing_once_each_are_read_all_the_same() -> None:
    workers = ScriptedWorkers(8, {number: [WorkerCrashedError("signal 9")] for number in range(9)})

    assert len((await recognize(workers)).pages) == 8


@pytest.mark.parametrize("page", [0, 5])
async def test_a_document_that_crashes_its_reader_twice_at_one_place_ends_as_failed(page: int) -> None:
    failed = await failure_of(ScriptedWorkers(8, {page: [WorkerCrashedError("11"), WorkerCrashedError("11")]}))

    assert (failed.code, failed.retryable) == ("engine_crashed", True)


async def test_memory_is_named_as_what_was_missing() -> None:
    failed = await failure_of(ScriptedWorkers(8, {5: [WorkerCrashedError("9"), WorkerMemoryError("too much")]}))

    assert (failed.code, failed.retryable) == ("out_of_memory", False)


@pytest.mark.parametrize(("page", "named"), [(0, "Page 1"), (5, "Page 5")])
async def test_a_page_that_takes_too_long_is_named_and_not_tried_again(page: int, named: str) -> None:
    workers = ScriptedWorkers(8, {page: [WorkerTimeoutError("killed")]})

    failed = await failure_of(workers)

    assert (failed.code, failed.retryable) == ("timeout", False)
    assert named in failed.detail


async def test_a_fault_of_the_reader_is_not_tried_again() -> None:
    assert (await failure_of(ScriptedWorkers(8, {5: [ZeroDivisionError()]}))).code == "engine_failed"


async def test_what_is_wrong_with_the_file_is_told_as_it_is() -> None:
    assert (await failure_of(ScriptedWorkers(8, {5: [InputError("corrupt_file", "Bad.")]}))).code == "corrupt_file"


async def test_no_workers_is_no_fault_of_the_document() -> None:
    with pytest.raises(UnavailableError):
        await recognize(ScriptedWorkers(8, {5: [UnavailableError("stopping")]}))


@pytest.mark.parametrize(("pages", "longest"), [(1, 1), (8, 2), (20, 5), (1000, 100)])
async def test_a_document_is_read_in_ever_shorter_turns(pages: int, longest: int) -> None:
    workers = ScriptedWorkers(pages)

    await recognize(workers)

    lengths = [len(numbers) for numbers in workers.ranges]
    assert lengths == sorted(lengths, reverse=True)
    assert (lengths[0], lengths[-1]) == (longest, 1)
    assert sum(workers.read.values()) == pages


async def test_what_a_turn_had_no_time_for_is_read_in_later_ones() -> None:
    workers = ScriptedWorkers(30, pages_a_turn=1)

    reading = await recognize(workers)

    assert [page.number for page in reading.pages] == list(range(1, 31))
    assert set(workers.read.values()) == {1}


@pytest.mark.parametrize(("source", "engine"), [("ocr", OCR), ("embedded", TEXT)])
async def test_the_result_names_who_read_it(source: str, engine: EngineInfo) -> None:
    reading = await recognize(ScriptedWorkers(2, sources=source))

    assert reading.engine == engine
    assert (reading.language, reading.warnings) == ("nl", ["no_text"])


SEEN, EMBEDDED, BLANK = ("ocr", "Bblnncka"), ("embedded", "Выписка"), ("ocr", "")


@pytest.mark.parametrize(
    ("texts", "warnings"),
    [
        ([EMBEDDED, EMBEDDED], []),
        ([EMBEDDED, BLANK], []),
        ([EMBEDDED, SEEN], ["low_confidence_or_unsupported_language"]),
        ([BLANK, BLANK], ["no_text"]),
    ],
)
async def test_a_text_layer_is_read_in_any_language(texts: list[tuple[str, str]], warnings: list[str]) -> None:
    reading = await recognize(ScriptedWorkers(2, texts=texts), "ru")

    assert (reading.warnings, reading.language) == (warnings, "ru")


async def test_a_scan_in_letters_that_the_engine_does_not_know_is_not_called_read() -> None:
    with pytest.raises(EngineError) as failed:
        await recognize(ScriptedWorkers(2, texts=[SEEN, BLANK]), "ru")

    assert (failed.value.code, failed.value.retryable) == ("unsupported_language", False)
    assert "'ru'" in failed.value.detail


@pytest.mark.parametrize("language", [None, "en", "DE-ch", "zh-Hant-TW", "cmn-Hans-CN", "ja", "sr-Latn", "sw"])
async def test_languages_whose_letters_the_engine_knows_are_read(language: str | None) -> None:
    assert (await recognize(ScriptedWorkers(1, texts=[SEEN]), language)).warnings == []


@pytest.mark.parametrize(
    "language", ["ru", "uk-UA", "ar", "ko-KR", "hi", "EL", "he", "th", "vi", "uz-Cyrl", "sr-Cyrl-RS", "ru-x-latn"]
)
async def test_languages_in_other_letters_are_not(language: str) -> None:
    with pytest.raises(EngineError, match="unsupported_language"):
        await recognize(ScriptedWorkers(1, texts=[SEEN]), language)
