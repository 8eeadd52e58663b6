"""The order in which a person reads the pieces of a page.

Engines return pieces row by row, across columns. A page counts as columnar when enough of its rows hold two long
pieces; then T. M. Breuel's partial order applies ("High Performance Document Layout Analysis", SDIUT 2003, §5):
a piece comes before another when it stands above it in the same column, or left of it with nothing between them that
spans both columns. Any other page (receipts, tables, forms) is read row by row; where the pieces come in an order that
somebody gave them (a text layer's), that order stays, but for what stands above something else in its column.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]
"""`(n, 4)`: x0, y0, x1, y1 in any unit that is the same in both directions, y growing downwards."""

Indices = NDArray[np.int_]

_LONG_PIECE = 18
_LONGEST_LABEL = 6
_LABEL_GAP = 2.0
_COLUMNAR_ROWS = 8
_SHARE_OF_ROWS = 0.2
_SHARE_OF_MULTI_PIECE_ROWS = 0.5
_MOST_PIECES = 2000


@dataclass(frozen=True)
class ReadingOrder:
    """Indices of the pieces as they are read, and whether the page is set in columns."""

    order: list[int]
    columnar: bool


def reading_order(boxes: Boxes, lengths: NDArray[np.int_], *, authored: bool = False) -> ReadingOrder:
    """Return how to read pieces that stand at `boxes` and have `lengths` characters.

    `authored` says that the pieces come in the order in which somebody set them.
    """
    if len(boxes) == 0:
        return ReadingOrder([], columnar=False)
    upright, sideways = _separate(boxes)
    rows = [upright[row] for row in rows_of(boxes[upright])]
    few = len(upright) <= _MOST_PIECES
    columnar = few and _is_columnar(rows, lengths)
    if columnar:
        order = upright[_by_columns(boxes[upright])]
    elif authored and few:
        order = upright[_as_authored(boxes[upright])]
    else:
        order = np.concatenate([*rows, upright[:0]])
    return ReadingOrder([int(i) for i in np.concatenate([order, sideways])], columnar)


def labels_of(boxes: Boxes, lengths: NDArray[np.int_]) -> dict[int, int]:
    """Return which pieces are labels (a number, a bullet) hanging close before another piece, and before which one.

    Taken for themselves they would make up a column of their own.
    """
    labels = {}
    for row in rows_of(boxes):
        for label, piece in itertools.pairwise(row):
            height = max(boxes[label, 3] - boxes[label, 1], boxes[piece, 3] - boxes[piece, 1])
            gap = boxes[piece, 0] - boxes[label, 2]
            if lengths[label] <= _LONGEST_LABEL < lengths[piece] and gap <= _LABEL_GAP * height:
                labels[int(label)] = int(piece)
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


def _is_columnar(rows: list[NDArray[np.int_]], lengths: NDArray[np.int_]) -> bool:
    multiple = sum(len(row) > 1 for row in rows)
    doubled = sum(int((lengths[row] >= _LONG_PIECE).sum()) > 1 for row in rows)
    return (
        doubled >= _COLUMNAR_ROWS
        and doubled >= _SHARE_OF_ROWS * len(rows)
        and doubled >= _SHARE_OF_MULTI_PIECE_ROWS * multiple
    )


def _by_columns(boxes: Boxes) -> Indices:
    left, right, middle = _inner_parts(boxes)
    shares_column, above = _relations(left, right, middle)
    leftward = (right[:, None] <= left[None, :]) & ~_spanned(shares_column, left, right, middle)
    # Of several that may come next, the topmost, then the leftmost.
    rank = np.empty(len(boxes))
    rank[np.lexsort((boxes[:, 0], boxes[:, 1]))] = np.arange(len(boxes))
    return _topological((shares_column & above) | leftward, rank)


def _as_authored(boxes: Boxes) -> Indices:
    shares_column, above = _relations(*_inner_parts(boxes))
    return _topological(shares_column & above, np.arange(len(boxes), dtype=np.float64))


def _inner_parts(boxes: Boxes) -> tuple[Boxes, Boxes, Boxes]:
    # Slightly skewed columns overlap a little: what counts is the inner part of each piece.
    inset = np.minimum((boxes[:, 3] - boxes[:, 1]) / 2, (boxes[:, 2] - boxes[:, 0]) / 4)
    return boxes[:, 0] + inset, boxes[:, 2] - inset, (boxes[:, 1] + boxes[:, 3]) / 2


def _relations(left: Boxes, right: Boxes, middle: Boxes) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    shares_column = (left[:, None] < right[None, :]) & (left[None, :] < right[:, None])
    return shares_column, middle[:, None] < middle[None, :]


def _spanned(shares_column: NDArray[np.bool_], left: Boxes, right: Boxes, middle: Boxes) -> NDArray[np.bool_]:
    """Say for each two pieces whether a third stands between them in height and in the columns of both."""
    spanned = np.zeros_like(shares_column)
    for i in range(len(middle)):
        (others,) = np.nonzero(shares_column[i])
        if right[others].min() > left[others].max():
            continue  # all that share its column share one: it spans nothing
        higher, lower = others[middle[others] < middle[i]], others[middle[others] > middle[i]]
        spanned[np.ix_(higher, lower)] = True
        spanned[np.ix_(lower, higher)] = True
    return spanned


def _topological(before: NDArray[np.bool_], rank: Boxes) -> Indices:
    """Return an order that respects `before`, of several the lowest rank first.

    Where `before` runs in a circle, what waits for the fewest goes first.
    """
    np.fill_diagonal(before, val=False)
    waiting_for = before.sum(axis=0).astype(np.float64)
    hurry = rank / (2 * len(rank))
    order = np.empty(len(rank), dtype=np.int_)
    for position in range(len(rank)):
        chosen = int(np.argmin(waiting_for + hurry))
        order[position] = chosen
        waiting_for -= before[chosen]
        waiting_for[chosen] = np.inf
    return order
