"""The judge finds what is wrong: without this, a broken judge would let everything pass."""

from alta_common.ids import new_id
from faults_verdict import Verdict, Written, judge

AGGREGATE = new_id()
EVENTS = [Written(new_id(), AGGREGATE, number) for number in (1, 2, 3)]
IDS = [event.event_id for event in EVENTS]


def verdict(*arrived, allowed: int = 0) -> Verdict:
    return judge(EVENTS, IDS, arrived, allowed_duplicates=allowed)


def test_everything_once_and_in_order_is_right() -> None:
    assert not verdict(*IDS).problems


def test_a_copy_is_no_inversion_but_is_counted() -> None:
    one, two, three = IDS

    assert not verdict(one, two, one, three, allowed=1).problems
    assert "2 duplicates" in verdict(one, two, one, three, two, allowed=1).problems[0]


def test_a_missing_event_is_found() -> None:
    assert "1 missing" in verdict(*IDS[:2]).problems[0]


def test_an_event_that_nobody_wrote_is_found() -> None:
    assert "1 unknown" in verdict(*IDS, new_id()).problems[0]


def test_an_inversion_is_found() -> None:
    one, two, three = IDS

    assert "before an earlier event" in verdict(one, three, two).problems[0]
    # A later copy in the right place does not make up for it.
    assert "before an earlier event" in verdict(one, three, two, three, allowed=1).problems[0]


def test_a_commit_that_the_database_has_forgotten_is_found() -> None:
    problems = judge(EVENTS[:2], IDS, IDS[:2], allowed_duplicates=0).problems

    assert "forgotten by the database" in problems[0]


def test_a_gap_in_the_outbox_is_found() -> None:
    problems = judge([EVENTS[0], EVENTS[2]], [], [IDS[0], IDS[2]], allowed_duplicates=0).problems

    assert "without gaps" in problems[0]
