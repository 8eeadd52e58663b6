"""The judge finds what is wrong: without this, a broken judge would let everything pass."""

from alta_common.ids import new_id
from faults_copies import too_many_copies
from faults_plan import Kind
from faults_report import Before, Happened
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


def test_a_scheduled_event_has_its_place_among_those_that_are_due_after_it() -> None:
    scheduled = Written(new_id(), AGGREGATE, None, due_at=10)
    before, after = Written(new_id(), AGGREGATE, 1, due_at=9), Written(new_id(), AGGREGATE, 2, due_at=11)
    events = [scheduled, before, after]

    def problems(*arrived: Written) -> list[str]:
        return judge(events, [], [event.event_id for event in arrived], allowed_duplicates=0).problems

    assert not problems(before, scheduled, after)
    assert not problems(scheduled, before, after)
    assert "although their time had come" in problems(before, after, scheduled)[0]


def struck(kind: Kind, arrived: int, hit: int, *, alone: bool = True, excused: int = 0) -> Happened:
    return Happened((kind,), 0, 0, 0, Before(arrived, excused=excused, alone=alone), hit)


def test_copies_of_one_fault_are_not_made_up_for_by_another() -> None:
    happened = [struck(Kind.RELAY_REPLACED, 3, 0), struck(Kind.RELAY_KILLED, 4, 1)]

    assert not too_many_copies(happened, [*IDS, new_id(), IDS[0]], 1, 0)
    assert "1 copies after relay_replaced, 0" in too_many_copies(happened, [*IDS, IDS[0]], 1, 0)[0]
    assert "2 copies after relay_killed, 1" in too_many_copies(happened, [*IDS, new_id(), *IDS[:2]], 1, 0)[0]


def test_faults_that_strike_into_each_other_are_judged_together() -> None:
    happened = [struck(Kind.RELAY_KILLED, 3, 1), struck(Kind.RELAY_REPLACED, 3, 0, alone=False)]

    assert not too_many_copies(happened, [*IDS, IDS[0]], 1, 0)
    assert "relay_killed, relay_replaced, 1" in too_many_copies(happened, [*IDS, *IDS[:2]], 1, 0)[0]


def test_what_was_asked_for_again_excuses_the_copies_of_its_own_time() -> None:
    happened = [struck(Kind.REPLAY, 3, 0), struck(Kind.RELAY_REPLACED, 5, 0, excused=2)]

    assert not too_many_copies(happened, [*IDS, *IDS[:2]], 1, 2)
    assert "after relay_replaced" in too_many_copies(happened, [*IDS, *IDS], 1, 2)[0]
