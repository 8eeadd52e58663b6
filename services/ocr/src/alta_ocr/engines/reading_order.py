"""The order in which a person reads the pieces of a page.

Engines return pieces row by row, across columns. A page is cut at its columns, from the tallest down to those within
them (`columns`); each part that is left (a column's text, a receipt, a table, a form) is read row by row. Where the
pieces come in an order that somebody gave them (a text layer's), that order stays within each part, but for what
stands above something else in its column.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alta_ocr.engines.columns import columns_of

Boxes = NDArray[np.float64]
"""`(n, 4)`: x0, y0, x1, y1 in any unit that is the same in both directions, y growing downwards."""

Indices = NDArray[np.int_]

_LONGEST_LABEL = 6
_LABEL_GAP = 2.0
_MOST_PIECES = 2000


@dataclass(frozen=True)
class ReadingOrder:
    """Indices of the pieces as they are read, and whether the page is set in columns."""

    order: list[int]
    columnar: bool


def reading_order(boxes: Boxes, lengths: Indices, *, authored: bool = False) -> ReadingOrder:
    """Return how to read pieces that stand at `boxes` and have `lengths` characters.

    `authored` says that the pieces come in the order in which somebody set them.
    """
    if len(boxes) == 0:
        return ReadingOrder([], columnar=False)
    upright, sideways = _separate(boxes)
    if len(upright) > _MOST_PIECES:
        parts, authored = [upright], False
    else:
        parts = _parts(boxes, lengths, upright)
    in_order = _as_authored if authored else _row_by_row
    order = [part[in_order(boxes[part])] for part in parts]
    return ReadingOrder([int(i) for i in np.concatenate([*order, sideways])], columnar=len(parts) > 1)


def authored_order(boxes: Boxes) -> list[int]:
    """Return how to read pieces of a page that has no columns, in the order in which somebody set them."""
    if len(boxes) == 0:
        return []
    upright, sideways = _separate(boxes)
    in_order = _row_by_row if len(upright) > _MOST_PIECES else _as_authored
    return [int(i) for i in np.concatenate([upright[in_order(boxes[upright])], sideways])]


def labels_of(boxes: Boxes, lengths: NDArray[np.int_]) -> dict[int, int]:
    """Return which pieces are labels (a number, a bullet) hanging close before another piece, and before which one.

    Taken for themselves they would make up a column of their own. What stands closer to the piece on its left is the
    end of that line.
    """
    labels = {}
    for row in rows_of(boxes):
        gaps = boxes[row[1:], 0] - boxes[row[:-1], 2]
        for i, gap in enumerate(gaps):
            label, piece = int(row[i]), int(row[i + 1])
            height = max(boxes[label, 3] - boxes[label, 1], boxes[piece, 3] - boxes[piece, 1])
            ends_a_line = i > 0 and gaps[i - 1] < gap
            if lengths[label] <= _LONGEST_LABEL < lengths[piece] and gap <= _LABEL_GAP * height and not ends_a_line:
                labels[label] = piece
    return labels


def rows_of(boxes: Boxes) -> list[NDArray[np.int_]]:
    """Return the pieces that stand side by side, rows from top to bottom, each from left to right."""
    middles, heights = (boxes[:, 1] + boxes[:, 3]) / 2, boxes[:, 3] - boxes[:, 1]
    rows: list[list[int]] = []
    middle = height = 0.0
    for i in np.argsort(middles, kind="stable"):
        if rows and middles[i] - middle < min(heights[i], height) / 2:
            row = rows[-1]
            row.append(int(i))
            middle += (middles[i] - middle) / len(row)
            height += (heights[i] - height) / len(row)
        else:
            rows.append([int(i)])
            middle, height = middles[i], heights[i]
    return [np.array(sorted(row, key=lambda i: float(boxes[i, 0]))) for row in rows]


def _separate(boxes: Boxes) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Part what runs up the page's side (a stamp in the margin), which would tie all rows together."""
    widths, heights = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    sideways = (heights > 2 * widths) & (heights > 4 * np.median(heights))
    indices = np.arange(len(boxes))
    return indices[~sideways], indices[sideways]


def _parts(boxes: Boxes, lengths: Indices, pieces: Indices) -> list[Indices]:
    """Cut a page at its columns, and these at theirs, into parts that are read one after the other."""
    parts, waiting, gutters = [], [pieces], list[float]()
    while waiting:
        part = waiting.pop()
        columns = columns_of(boxes[part], lengths[part], gutters)
        if columns is None:
            parts.append(part)
            continue
        gutters.append(columns.gutter)
        cut = (columns.below, columns.right, columns.between, columns.left, columns.above)
        waiting += [part[pieces] for pieces in cut if len(pieces)]
    return parts


def _row_by_row(boxes: Boxes) -> Indices:
    return np.concatenate([*rows_of(boxes), np.empty(0, dtype=np.int_)])


def _as_authored(boxes: Boxes) -> Indices:
    # Slightly skewed columns overlap a little: what counts is the inner part of each piece.
    inset = np.minimum((boxes[:, 3] - boxes[:, 1]) / 2, (boxes[:, 2] - boxes[:, 0]) / 4)
    left, right, middle = boxes[:, 0] + inset, boxes[:, 2] - inset, (boxes[:, 1] + boxes[:, 3]) / 2
    shares_column = (left[:, None] < right[None, :]) & (left[None, :] < right[:, None])
    above = middle[:, None] < middle[None, :]
    return _topological(shares_column & above, np.arange(len(boxes), dtype=np.float64))


def _topological(before: NDArray[np.bool_], rank: Boxes) -> Indices:
    """Return an order that respects `before`, of several the lowest rank first.

    Where `before` runs in a circle, what waits for the fewest goes first.
    """
    np.fill_diagonal(before, val=False)
    if not (before & (rank[:, None] > rank)).any():
        return np.argsort(rank, kind="stable")
    waiting_for = before.sum(axis=0).astype(np.float64)
    hurry = rank / (2 * len(rank))
    order = np.empty(len(rank), dtype=np.int_)
    for position in range(len(rank)):
        chosen = int(np.argmin(waiting_for + hurry))
        order[position] = chosen
        waiting_for -= before[chosen]
        waiting_for[chosen] = np.inf
    return order
