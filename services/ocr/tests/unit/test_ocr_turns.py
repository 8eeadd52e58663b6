"""Which document reads next when there are more than workers."""

import asyncio
from collections.abc import Callable

import pytest

from alta_ocr.engines.turns import Share, Turns


class Reading:
    """One worker that reads by a clock of its own, and what it has read."""

    def __init__(self) -> None:
        self.now = 0.0
        self.turns = Turns(1, lambda: self.now)
        self.order: list[str] = []
        self._begun: dict[int, asyncio.Event] = {}

    async def begun(self, turns: int) -> None:
        """Wait until so many turns have begun."""
        await self._begun.setdefault(turns, asyncio.Event()).wait()

    async def read(
        self, share: Share, name: str, seconds: float = 0.0, meanwhile: Callable[[], None] = lambda: None
    ) -> None:
        """Read a part of document `name` for some `seconds`; `meanwhile` is called when its turn has come."""
        async with self.turns.turn(share):
            meanwhile()
            self.order.append(name)
            self._begun.setdefault(len(self.order), asyncio.Event()).set()
            await asyncio.sleep(0)
            self.now += seconds


async def test_who_has_had_the_least_is_next() -> None:
    reading = Reading()
    with reading.turns.share() as book, reading.turns.share() as letter:
        pages = [reading.read(book, "book", 8) for _ in range(3)]

        await asyncio.gather(*pages, reading.read(letter, "letter", 1))

    assert reading.order == ["book", "letter", "book", "book"]


async def test_a_letter_that_comes_among_books_is_next() -> None:
    reading = Reading()
    with reading.turns.share() as first, reading.turns.share() as second:
        books = [asyncio.create_task(reading.read(book, "book", 8)) for book in (first, second) for _ in range(10)]
        await reading.begun(7)
        with reading.turns.share() as letter:
            await reading.read(letter, "letter", 1)
        await asyncio.gather(*books)

    # It waits for the page that is being read, and for one whose book has had as little as itself.
    assert reading.order.index("letter") <= 9


async def test_letters_that_keep_coming_do_not_starve_a_book() -> None:
    reading = Reading()

    letters: list[asyncio.Task[None]] = []

    def next_letter(left: int) -> None:
        if left:
            letters.append(asyncio.create_task(letter(left)))

    async def letter(left: int) -> None:
        with reading.turns.share() as share:
            await reading.read(share, "letter", 1, meanwhile=lambda: next_letter(left - 1))

    with reading.turns.share() as book:
        await asyncio.gather(letter(50), *(reading.read(book, "book", 1) for _ in range(3)))
        while letters:
            await letters.pop()

    assert [i for i, name in enumerate(reading.order) if name == "book"][-1] < 15


async def test_as_many_turns_run_as_there_are_workers() -> None:
    turns, running, most = Turns(2), 0, 0

    async def work(share: Share) -> None:
        nonlocal running, most
        async with turns.turn(share):
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1

    with turns.share() as share:
        await asyncio.gather(*(work(share) for _ in range(9)))

    assert most == 2


@pytest.mark.parametrize("handed_over", [False, True])
async def test_a_cancelled_document_leaves_its_turn_to_the_next(handed_over: bool) -> None:
    reading = Reading()
    with reading.turns.share() as share:
        async with reading.turns.turn(share):
            gone = asyncio.create_task(reading.read(share, "gone"))
            here = asyncio.create_task(reading.read(share, "here"))
            await asyncio.sleep(0)
            if not handed_over:
                gone.cancel()
        gone.cancel()
        await here

    assert reading.order == ["here"]
