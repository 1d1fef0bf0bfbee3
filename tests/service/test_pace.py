import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.service.pace import FIRST, MOST, Pace


def test_nothing_known_is_tried_with_a_few():
    assert Pace(0.5).records == FIRST


def test_cheap_records_are_soon_asked_for_as_many_as_there_may_be():
    pace = Pace(0.5)
    polls = 0
    while pace.records < MOST:
        pace.took(pace.records, pace.records * 4e-5)
        polls += 1

    assert polls < 12


def test_dear_records_are_fewer_from_the_next_poll_on():
    pace = Pace(0.5)
    for _ in range(20):
        pace.took(MOST, 0.1)
    pace.took(MOST, 10.0)

    assert pace.records == pytest.approx(250, abs=1)


def test_a_poll_without_records_teaches_nothing():
    pace = Pace(0.5)
    pace.took(0, 100.0)

    assert pace.records == FIRST


@given(costs=st.lists(st.floats(1e-7, 2.0), min_size=1, max_size=50))
def test_there_is_always_a_record_and_the_costliest_of_late_keeps_its_time(costs):
    pace = Pace(0.5)
    for cost in costs:
        pace.took(pace.records, pace.records * cost)

        assert 1 <= pace.records <= MOST
        assert pace.records == 1 or pace.records * cost <= 0.5 * (1 + 1e-9)
