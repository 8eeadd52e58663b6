"""Document AI's answer as canonical pages.

Works on the raw protobuf: its proto-plus wrapping takes ten times as long. Runs in a thread, as a dense document
takes a good part of a second.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from alta_common.contracts.results import Box, Line, Page, Word
from alta_ocr.engines.engine import PageReading

_DIGITS = 5
_ROTATIONS = {
    # Where the upper side of the text points to, and the clockwise turn that brings it up (Layout.Orientation).
    1: 0,  # PAGE_UP
    2: 270,  # PAGE_RIGHT
    3: 180,  # PAGE_DOWN
    4: 90,  # PAGE_LEFT
}
_TURNED: dict[int, Callable[[float, float], tuple[float, float]]] = {
    # Where a point comes to stand when its page is turned clockwise.
    0: lambda x, y: (x, y),
    90: lambda x, y: (1 - y, x),
    180: lambda x, y: (1 - x, 1 - y),
    270: lambda x, y: (y, 1 - x),
}
_WHOLE: Box = (0.0, 0.0, 1.0, 1.0)


@dataclass
class ReadPages:
    """Pages that were read, in order, and how much of their text is in which language."""

    pages: list[PageReading] = field(default_factory=list)
    languages: Counter[str] = field(default_factory=Counter)

    def add(self, other: "ReadPages") -> None:
        """Append the pages that come next."""
        self.pages += other.pages
        self.languages += other.languages

    def dumped(self) -> bytes:
        """Return this as JSON, which `loaded` reads."""
        pages = [{"page": orjson.Fragment(page.content), "seconds": page.seconds} for page in self.pages]
        return orjson.dumps({"pages": pages, "languages": dict(self.languages)})

    @classmethod
    def loaded(cls, content: bytes) -> "ReadPages":
        """Return what `dumped` has written. Raises `ValueError` for anything else."""
        kept = orjson.loads(content)
        try:
            pages = [PageReading.of(Page.model_validate(item["page"]), item["seconds"]) for item in kept["pages"]]
            return cls(pages, Counter(kept["languages"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"these are no pages: {error!r}") from error


def pages_of(document: Any, first: int, seconds: float) -> ReadPages:
    """Return the pages of an answer (`Document.pb(document)`), numbered from `first`, which took `seconds` together.

    The numbers that come with the pages begin anew in each part and shard, so they are not looked at.
    """
    read = ReadPages()
    offset = _offset(document)
    for index, shape in enumerate(document.pages):
        page = _Shape(shape, document.text, offset).page(first + index)
        read.pages.append(PageReading.of(page, seconds / len(document.pages)))
        read.languages += _languages(shape, sum(len(line.text) for line in page.lines))
    return read


def _offset(document: Any) -> int:
    """Return what to take off the indices of a shard: some count from the beginning of the whole document's text."""
    ends = (part.end_index for page in document.pages for part in page.layout.text_anchor.text_segments)
    lines = (
        part.end_index
        for page in document.pages
        for line in page.lines
        for part in line.layout.text_anchor.text_segments
    )
    last = max((*ends, *lines), default=0)
    return document.shard_info.text_offset if last > len(document.text) else 0


def _languages(shape: Any, characters: int) -> Counter[str]:
    shares: Counter[str] = Counter()
    for language in shape.detected_languages:
        if language.language_code and language.language_code != "und":
            # Without a confidence the page is in the languages in equal parts.
            share = language.confidence or 1 / len(shape.detected_languages)
            shares[language.language_code] += round(1000 * share * characters)
    return shares


@dataclass(frozen=True)
class _Token:
    """A piece of text; Google parts words from their punctuation."""

    start: int
    end: int
    text: str
    confidence: float | None
    box: Box | None


class _Shape:
    """A page as it came."""

    def __init__(self, shape: Any, text: str, offset: int) -> None:
        self._shape = shape
        self._text = text
        self._offset = offset
        self._rotation = _rotation_of(shape)

    def page(self, number: int) -> Page:
        """Return the canonical page."""
        lines = self._lines()
        scores = [word.confidence for line in lines for word in line.words if word.confidence is not None]
        width, height = self._shape.dimension.width or 1.0, self._shape.dimension.height or 1.0
        if self._rotation in {90, 270}:
            width, height = height, width
        return Page(
            number=number,
            width=width,
            height=height,
            unit="px",
            rotation=self._rotation,
            confidence=round(sum(scores) / len(scores), _DIGITS) if scores else None,
            lines=lines,
        )

    def _lines(self) -> list[Line]:
        # In the order in which Google gives them, which is that of reading.
        tokens = self._tokens_of_lines()
        lines = [self._line(line.layout, tokens[index]) for index, line in enumerate(self._shape.lines)]
        return [line for line in lines if line.text]

    def _tokens_of_lines(self) -> defaultdict[int, list[_Token]]:
        """Return the tokens of each line, by the line's index; what belongs to what is told by where it stands."""
        tokens = sorted((self._token(token.layout) for token in self._shape.tokens), key=lambda token: token.start)
        of_line: defaultdict[int, list[_Token]] = defaultdict(list)
        position = 0
        for start, end, index in sorted(self._line_spans()):
            while position < len(tokens) and tokens[position].start < end:
                if tokens[position].start >= start:
                    of_line[index].append(tokens[position])
                position += 1
        return of_line

    def _line_spans(self) -> Iterator[tuple[int, int, int]]:
        for index, line in enumerate(self._shape.lines):
            for start, end in self._spans(line.layout):
                yield start, end, index

    def _line(self, layout: Any, tokens: Sequence[_Token]) -> Line:
        text, confidence, box = self._said(layout), _known(layout.confidence), self._box(layout) or _WHOLE
        words = [_word(group, box) for group in _words(tokens)] or [Word(text=text, confidence=confidence, box=box)]
        return Line(text=text, confidence=confidence, box=box, words=words)

    def _token(self, layout: Any) -> _Token:
        spans = list(self._spans(layout))
        text = "".join(self._text[start:end] for start, end in spans)
        start, end = (spans[0][0], spans[-1][1]) if spans else (0, 0)
        return _Token(start, end, text, _known(layout.confidence), self._box(layout))

    def _said(self, layout: Any) -> str:
        # An anchor may have several segments; a line's text ends with the break after it.
        return " ".join("".join(self._text[start:end] for start, end in self._spans(layout)).split())

    def _spans(self, layout: Any) -> Iterator[tuple[int, int]]:
        for part in layout.text_anchor.text_segments:
            yield part.start_index - self._offset, part.end_index - self._offset

    def _box(self, layout: Any) -> Box | None:
        poly = layout.bounding_poly
        points = [(vertex.x, vertex.y) for vertex in poly.normalized_vertices]
        if not points:
            width, height = self._shape.dimension.width or 1.0, self._shape.dimension.height or 1.0
            points = [(vertex.x / width, vertex.y / height) for vertex in poly.vertices]
        turned = _TURNED[self._rotation]
        return _bounds(turned(x, y) for x, y in points) if points else None


def _rotation_of(shape: Any) -> int:
    if shape.layout.orientation:
        return _ROTATIONS.get(shape.layout.orientation, 0)
    votes: Counter[int] = Counter()
    for line in shape.lines:
        votes[line.layout.orientation] += sum(
            part.end_index - part.start_index for part in line.layout.text_anchor.text_segments
        )
    return _ROTATIONS.get(votes.most_common(1)[0][0], 0) if votes else 0


def _bounds(points: Iterable[tuple[float, float]]) -> Box:
    across, down = zip(*((_share(x), _share(y)) for x, y in points), strict=True)
    return min(across), min(down), max(across), max(down)


def _share(value: float) -> float:
    return round(min(max(value, 0.0), 1.0), _DIGITS)


def _known(confidence: float) -> float | None:
    # Zero is how a field that was not set reads.
    return round(min(confidence, 1.0), _DIGITS) if confidence else None


def _words(tokens: Sequence[_Token]) -> Iterator[list[_Token]]:
    """Yield the tokens between two spaces together: what everybody else calls a word."""
    word: list[_Token] = []
    for token in tokens:
        if not token.text.strip():
            continue
        if word and (word[-1].end != token.start or word[-1].text[-1:].isspace() or token.text[:1].isspace()):
            yield word
            word = []
        word.append(token)
    if word:
        yield word


def _word(tokens: Sequence[_Token], line: Box) -> Word:
    known = [(token.confidence, len(token.text.strip())) for token in tokens if token.confidence is not None]
    characters = sum(count for _, count in known)
    boxes = [token.box for token in tokens if token.box is not None]
    return Word(
        text=" ".join("".join(token.text for token in tokens).split()),
        confidence=round(sum(score * count for score, count in known) / characters, _DIGITS) if characters else None,
        box=_bounds(corner for box in boxes for corner in (box[:2], box[2:])) if boxes else line,
    )
