"""Where the pieces of a page stand in two columns, side by side.

A gutter is a place across the page and a run of rows in which nothing crosses it. It parts columns where enough rows
have a long piece on both of its sides, and where most of these fill their column, as the lines of a text do and the
cells of a table don't. The columns need not be in step: pieces stand beside each other if their middles are less than
a line apart.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int_]
Flags = NDArray[np.bool_]

_LONG_PIECE = 18
"""Characters; cells of most tables are shorter."""

_FEWEST_ROWS = 5
_FEWEST_ROWS_AGAIN = 2
"""Where the same gutter parts columns elsewhere on the page."""

_BESIDE = 1.25
"""How far apart the middles of two lines side by side are at most, in heights of the lower one."""

_SPARSEST = 0.2
"""Rows take up at least this share of the height between the first and the last."""

_FULL = 0.8
_FULL_LINES = 0.7
_FULL_LINES_OF_A_COLUMN = 0.45
"""A full line takes up this share of its column's width; so many are full in both columns, and in each."""

_ONE_IS_LONG = -0.25
_NONE_IS_LONG = -1.0
_MOST_AGAINST = -3.0
"""What pieces side by side say against columns, where a pair of long ones says 1 for them; and how much of it may
stand above or below the pairs before it is a table that stands there."""

_NARROW = 0.75
_APART = 1.7
"""A running head takes up at most this share of its column's width, and keeps so many lines away from it."""

_PLACES = 100
"""To look for gutters at."""


@dataclass(frozen=True)
class Columns:
    """A part of the page in two columns, and the rest of it: indices of pieces."""

    gutter: float
    above: Indices
    left: Indices
    between: Indices
    """What stands over the gutter with both columns running around it."""
    right: Indices
    below: Indices


def columns_of(boxes: Floats, lengths: Indices, known: Sequence[float] = ()) -> Columns | None:
    """Return the two columns with the most rows among these pieces; each may have columns in turn.

    `boxes` are as in `reading_order`. `known` are the gutters of columns that were found elsewhere on the page.
    """
    if np.count_nonzero(lengths >= _LONG_PIECE) < 2 * (_FEWEST_ROWS_AGAIN if known else _FEWEST_ROWS):
        return None
    part = _Part(boxes, lengths, known)
    bands = (band for place in part.places() for band in part.bands(place))
    # Of equals the one in the middle: so the rest is cut in halves, which is fast however many there are.
    best = max(bands, key=lambda band: (band.rows, -abs(band.middle - part.middle)), default=None)
    return None if best is None else part.parted(best)


@dataclass(frozen=True)
class _Band:
    """Rows in which nothing crosses the gutter: the heights between which they stand, and how many have a pair."""

    gutter: float
    top: float
    bottom: float
    rows: int
    middle: float
    pitch: float


@dataclass(frozen=True)
class _Rows:
    """The rows of a left column, from top to bottom, and how much each speaks for a column to its right."""

    middles: Floats
    paired: Flags
    worth: Floats

    def best_run(self) -> slice:
        """Return the run of rows that speak most for columns (Kadane's algorithm)."""
        sums = np.concatenate([[0.0], np.cumsum(self.worth)])
        lowest = np.minimum.accumulate(sums)
        end = int(np.argmax(sums - lowest))
        return slice(int(np.flatnonzero(sums[: end + 1] == lowest[end])[-1]), end)

    def reach(self, run: slice) -> tuple[float, float]:
        """Return the middles of the rows, above and below a run, at which a table or the like begins beside it."""
        before = np.flatnonzero(self.worth[: run.start] < 0)
        after = np.flatnonzero(self.worth[run.stop :] < 0) + run.stop
        top = self.middles[before[-1]] if self.worth[before].sum() < _MOST_AGAINST else -np.inf
        bottom = self.middles[after[0]] if self.worth[after].sum() < _MOST_AGAINST else np.inf
        return float(top), float(bottom)


class _Part:
    def __init__(self, boxes: Floats, lengths: Indices, known: Sequence[float]) -> None:
        self._left, self._top, self._right, self._bottom = boxes.T
        self._widths, self._heights = self._right - self._left, self._bottom - self._top
        self._middles = (self._top + self._bottom) / 2
        # Slightly skewed columns overlap a little: what counts is the inner part of each piece.
        self._inset = np.minimum(self._heights / 2, self._widths / 4)
        self._long = lengths >= _LONG_PIECE
        self._line = float(np.median(self._heights))
        self._known = known
        self.middle = float(np.median(self._middles))

    @functools.cached_property
    def _flanked(self) -> Flags:
        """Say which pieces have others in their row on both sides."""
        left, right = self._left + self._inset, self._right - self._inset
        away = np.abs(self._middles[:, None] - self._middles)
        in_a_row = away < np.minimum(self._heights[:, None], self._heights)
        before: Flags = (in_a_row & (right <= left[:, None])).any(axis=1)
        after: Flags = (in_a_row & (left >= right[:, None])).any(axis=1)
        return before & after

    def places(self) -> Floats:
        """Return where gutters may be: before the left edges of long pieces."""
        edges = np.sort(self._left[self._long])
        step = max(float(self._right.max() - self._left.min()) / _PLACES, self._line / 2) or 1.0
        _, firsts = np.unique(edges // step, return_index=True)
        return edges[firsts]

    def bands(self, place: float) -> Iterator[_Band]:
        """Yield the runs of rows in which columns stand on both sides of `place`."""
        left, right = self._sides(place)
        fewest = _FEWEST_ROWS_AGAIN if any(abs(place - x) < self._line for x in self._known) else _FEWEST_ROWS
        if min((left & self._long).sum(), (right & self._long).sum()) < fewest:
            return
        crossing = np.flatnonzero(~left & ~right)
        around = self._flanked[crossing]
        edges = np.concatenate([[-np.inf], np.sort(self._middles[crossing[~around]]), [np.inf]])
        band = np.searchsorted(edges, self._middles)
        long_left, long_right = (np.bincount(band[side & self._long], minlength=len(edges)) for side in (left, right))
        for i in np.flatnonzero((long_left >= fewest) & (long_right >= fewest)):
            lines, beside = np.flatnonzero(left & (band == i)), np.flatnonzero(right & (band == i))
            found = self._band(place, lines, beside, crossing[around], fewest)
            if found is not None:
                yield replace(found, top=max(found.top, edges[i - 1]), bottom=min(found.bottom, edges[i]))

    def parted(self, band: _Band) -> Columns:
        """Return the columns of a band, without the running heads and page numbers above and below them."""
        left, right = self._sides(band.gutter)
        within = (self._middles > band.top) & (self._middles < band.bottom)
        top, bottom = self._between_heads(left & within, right & within, band.pitch)
        above = self._middles <= max(top, band.top)
        below = ~above & (self._middles >= min(bottom, band.bottom))
        within = ~above & ~below
        parts = (above, left & within, within & ~left & ~right, right & within, below)
        return Columns(band.gutter, *(np.flatnonzero(part) for part in parts))

    def _sides(self, place: float) -> tuple[Flags, Flags]:
        left = self._right - self._inset <= place
        return left, ~left & (self._left + self._inset >= place)

    def _beside(self, pieces: Indices, others: Indices, furthest: float = 1.0) -> Flags:
        """Say which of `pieces` have one of `others` beside them, their middles at most so many heights apart."""
        found = np.zeros(len(pieces), dtype=bool)
        if len(others) == 0:
            return found
        others = others[np.argsort(self._middles[others])]
        after = np.searchsorted(self._middles[others], self._middles[pieces])
        for nearest in (np.maximum(after - 1, 0), np.minimum(after, len(others) - 1)):
            other = others[nearest]
            away = np.abs(self._middles[other] - self._middles[pieces])
            found |= away < furthest * np.minimum(self._heights[other], self._heights[pieces])
        return found

    def _band(self, gutter: float, left: Indices, right: Indices, around: Indices, fewest: int) -> _Band | None:
        rows = self._rows(left, right, around)
        run = rows.best_run()
        paired = int(rows.paired[run].sum())
        if paired < fewest:
            return None
        first, last = rows.middles[run.start], rows.middles[run.stop - 1]
        if paired * self._line < _SPARSEST * (last - first):
            return None
        if paired >= _FEWEST_ROWS and not self._is_text(left, right, first, last):
            return None
        half, obstacles = self._line / 2, self._middles[around]
        top, bottom = rows.reach(run)
        return _Band(
            gutter,
            top=max([top + half, *obstacles[obstacles < first - half]]),
            bottom=min([bottom - half, *obstacles[obstacles > last + half]]),
            rows=paired,
            middle=float(first + last) / 2,
            pitch=float(np.median(np.diff(rows.middles[run]))),
        )

    def _rows(self, left: Indices, right: Indices, around: Indices) -> _Rows:
        left = left[np.argsort(self._middles[left], kind="stable")]
        middles, long, long_right = self._middles[left], self._long[left], right[self._long[right]]
        starts = np.flatnonzero(np.diff(middles, prepend=-np.inf) > self._heights[left] / 2)
        beside, beside_long, interrupted, long = (
            np.logical_or.reduceat(flags, starts)
            for flags in (
                self._beside(left, right),
                self._beside(left, long_right, _BESIDE),
                self._beside(left, around),
                long,
            )
        )
        paired = long & beside_long & ~interrupted
        one_long = beside & (long | beside_long) & ~interrupted
        worth = np.select([paired, one_long, beside], [1.0, _ONE_IS_LONG, _NONE_IS_LONG], 0.0)
        return _Rows(middles[starts], paired, worth)

    def _is_text(self, left: Indices, right: Indices, first: float, last: float) -> bool:
        """Say whether most of the long pieces between two heights fill their column."""
        shares = []
        for column in (left, right):
            within = (self._middles[column] > first - self._line / 2) & (self._middles[column] < last + self._line / 2)
            widths = self._widths[column[within & self._long[column]]]
            if len(widths) == 0:
                return False
            shares.append(float((widths >= _FULL * np.quantile(widths, 0.9)).mean()))
        return min(shares) >= _FULL_LINES_OF_A_COLUMN and sum(shares) / 2 >= _FULL_LINES

    def _between_heads(self, left: Flags, right: Flags, pitch: float) -> tuple[float, float]:
        """Return the heights between which the columns stand without what is set apart from both of them."""
        narrow = np.zeros_like(left)
        for column in (left, right):
            narrow[column] = self._widths[column] < _NARROW * np.quantile(self._widths[column], 0.9)
        pieces = np.flatnonzero(left | right)
        return (
            self._end_of_head(pieces, self._top, self._bottom, narrow, pitch),
            -self._end_of_head(pieces, -self._bottom, -self._top, narrow, pitch),
        )

    def _end_of_head(self, pieces: Indices, top: Floats, bottom: Floats, narrow: Flags, pitch: float) -> float:
        """Return a height between the first narrow pieces and the rest, if there is as much room between them."""
        pieces = pieces[np.argsort(top[pieces])]
        reached = np.maximum.accumulate(bottom[pieces])
        gaps = np.flatnonzero(top[pieces][1:] - reached[:-1] > _APART * pitch - self._line)
        if len(gaps) == 0:
            return -np.inf
        head, end = pieces[: gaps[0] + 1], reached[gaps[0]]
        if end - top[head[0]] > 2 * self._line or not narrow[head].all():
            return -np.inf
        return float(end + top[pieces[gaps[0] + 1]]) / 2
