import numpy as np

from alta_ocr.engines.reading_order import labels_of, reading_order

LONG = 30


def order(boxes: list[tuple[float, float, float, float]], lengths: list[int], *, authored: bool = False) -> list[int]:
    return reading_order(np.array(boxes, dtype=float), np.array(lengths), authored=authored).order


def two_columns(rows: int, top: float = 100.0) -> list[tuple[float, float, float, float]]:
    """Boxes of two columns as engines return them: row by row."""
    boxes = []
    for i in range(rows):
        y = top + i * 20
        boxes += [(50, y, 290, y + 15), (310, y, 550, y + 15)]
    return boxes


def test_nothing_is_in_order() -> None:
    assert reading_order(np.empty((0, 4)), np.empty(0, dtype=int)).order == []


def test_columns_are_read_one_after_the_other() -> None:
    boxes = two_columns(10)

    found = reading_order(np.array(boxes), np.full(20, LONG))

    assert found.columnar
    assert found.order == [*range(0, 20, 2), *range(1, 20, 2)]


def test_a_heading_over_both_columns_comes_first_and_one_between_them_parts_them() -> None:
    upper, lower = two_columns(8), two_columns(8, top=320)
    boxes = [(50, 60, 550, 90), *upper, (50, 280, 550, 305), *lower]

    found = order(boxes, [LONG] * len(boxes))

    assert found == [0, *range(1, 17, 2), *range(2, 17, 2), 17, *range(18, 34, 2), *range(19, 34, 2)]


def test_a_table_is_read_row_by_row() -> None:
    boxes = [(x, y, x + 60, y + 15) for y in range(100, 400, 20) for x in (50, 200, 350)]

    assert order(boxes, [6] * len(boxes)) == list(range(len(boxes)))


def test_pieces_of_a_row_that_stand_a_little_higher_or_lower_stay_in_their_row() -> None:
    boxes = [(50, 104, 150, 119), (200, 100, 300, 115), (50, 130, 150, 145)]

    assert order(boxes, [5, 5, 5]) == [0, 1, 2]


def test_the_order_of_a_file_stays_for_blocks_side_by_side() -> None:
    sender = [(50, 100, 150, 115), (50, 120, 150, 135)]
    receiver = [(300, 100, 400, 115), (300, 120, 400, 135)]
    total = (50, 200, 400, 215)

    assert order([*sender, *receiver, total], [10] * 5, authored=True) == [0, 1, 2, 3, 4]


def test_a_footer_that_comes_first_in_the_file_is_read_last() -> None:
    footer, body = (50, 700, 400, 715), [(50, y, 400, y + 15) for y in (100, 120, 140)]

    assert order([footer, *body], [20] * 4, authored=True) == [1, 2, 3, 0]


def test_a_stamp_along_the_margin_does_not_tie_the_rows_together() -> None:
    stamp = (10, 100, 30, 600)

    found = order([stamp, *two_columns(10)], [40] + [LONG] * 20)

    assert found == [*range(1, 21, 2), *range(2, 21, 2), 0]


def test_numbers_belong_to_the_line_that_they_hang_before() -> None:
    boxes = np.array([(50, 100, 70, 115), (85, 100, 300, 115), (400, 100, 420, 115), (600, 100, 800, 115)], dtype=float)

    # The second number stands too far away from what follows it.
    assert labels_of(boxes, np.array([3, LONG, 3, LONG])) == {0: 1}


def test_a_number_that_ends_a_line_does_not_belong_to_the_next_column() -> None:
    boxes = np.array([(50, 100, 250, 115), (256, 100, 290, 115), (310, 100, 550, 115)], dtype=float)

    assert labels_of(boxes, np.array([LONG, 5, LONG])) == {}


def test_a_thousand_pieces_are_ordered_in_no_time() -> None:
    boxes = two_columns(500)

    assert order(boxes, [LONG] * 1000)[:2] == [0, 2]
