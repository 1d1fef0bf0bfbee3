"""A detector with series more: what they get, and that nothing of the others moves."""

from dataclasses import fields, replace

import numpy as np
import pytest

from pipeline.bundle import load, save
from pipeline.detector.detector import Extended
from pipeline.exceptions import BundleError, DataError, StateError
from pipeline.monitor.monitor import Monitor
from pipeline.monitor.slots import Slots
from pipeline.records import Outcome
from pipeline.training.extending import extending, new_series
from pipeline.training.fit import finished
from pipeline.training.history import History
from tests.fixtures import unmoved
from tests.streams import BEGIN, STEP, series, wave

ROWS = 5060  # a fifth of them calibrates, with 1,000 errors and more


def history(one, name=None):
    return History(name or one.name, one.at, one.values, one.missing)


def new_history(rows=ROWS):
    """What came of the series `new`, which is in what came later, before that."""
    return history(series("new", wave(rows, 9, mean=-3.0, size=0.01), BEGIN - (rows - 150) * STEP))


def extended(detector, *histories):
    return finished(extending(detector, new_series(detector, histories)))


@pytest.fixture(scope="module")
def longer(fleet):
    """The fleet's detector with the history of its series `a` once more, and with `new`."""
    return extended(fleet.detector, history(fleet.histories[0], "again"), new_history())


def columns_of(detector, name):
    """All that a slot holds, but which calibration it is held against."""
    slots = Slots(detector)
    slots.put(slots.read(detector.slots, detector))
    where = slots.table[name]
    slots.marks.calibration[where] = 0
    return slots.table.pack([name])[0]


def test_a_series_gets_what_training_would_have_given_it_with_this_network(fleet, longer):
    own, again = fleet.detector.calibrations[1], longer.calibrations[3]

    for column in fields(own):
        assert np.asarray(getattr(again, column.name)).tobytes() == np.asarray(getattr(own, column.name)).tobytes()
    assert columns_of(longer, "again") == columns_of(fleet.detector, "a")
    assert longer.series == ("a", "b", "c", "again", "new")
    assert len(longer.calibrations) == 5


def test_nothing_of_the_others_moves_but_the_digest(fleet, longer):
    before = fleet.detector
    known = fleet.later[np.isin(fleet.later.series, [fleet.later.names.index(name) for name in before.series])]
    was, told = Monitor(before, fleet.policy).observe(known)
    now, tells = Monitor(longer, fleet.policy).observe(known)

    assert longer.calibrations[:3] == before.calibrations
    assert longer.engine is before.engine
    assert [columns_of(longer, name) for name in "abc"] == [columns_of(before, name) for name in "abc"]
    for column in fields(was):
        assert getattr(now, column.name).tobytes() == getattr(was, column.name).tobytes()
    assert told
    assert tells == [replace(alert, digest=longer.digest) for alert in told]
    assert longer.digest != before.digest
    assert longer.extends == (Extended(before.digest, 3, 3),)


def test_a_series_that_was_added_is_scored_by_its_own_from_the_first_reading(longer, fleet):
    new = fleet.later[fleet.later.series == fleet.later.names.index("new")]
    scores, _, parts = Monitor(longer, fleet.policy).observe_in_parts(new)

    assert (scores.outcome == Outcome.SCORED).all()
    assert (parts.calibration == 4).all()


def test_the_state_of_the_others_goes_on_and_an_added_series_begins_as_the_bundle_left_it(fleet, longer):
    before, whole, heir = (Monitor(one, fleet.policy) for one in (fleet.detector, fleet.detector, longer))
    of_a = fleet.later.series == fleet.later.names.index("a")
    in_incident = np.flatnonzero(of_a & Monitor(fleet.detector, fleet.policy).observe(fleet.later)[0].alert)
    half = int(in_incident[len(in_incident) // 2]) + 1
    raised = {alert.id for alert in before.observe(fleet.later[:half])[1]}
    heir.restore(before.snapshot())
    begins = Monitor(longer, fleet.policy).standing("new")
    kept, at_begin = heir.standing("a"), heir.standing("new")
    whole.observe(fleet.later[:half])
    rest = fleet.later[half:]
    others = rest[rest.series != rest.names.index("new")]
    was, told = whole.observe(others)
    now, tells = heir.observe(others)

    assert kept == before.standing("a")
    assert at_begin == begins
    assert at_begin != before.standing("new")
    assert now.score.tobytes() == was.score.tobytes()
    assert raised & {alert.id for alert in told}, "an incident was open"
    assert tells == [replace(alert, digest=longer.digest) for alert in told]


def test_the_state_of_a_detector_that_it_does_not_extend_is_refused(fleet, longer, one):
    with pytest.raises(StateError, match=f"belongs to detector {longer.digest[:12]}, not to"):
        Monitor(fleet.detector).restore(Monitor(longer).detector.slots)
    with pytest.raises(StateError, match=f"belongs to detector {one.detector.digest[:12]}, not to"):
        Monitor(longer).restore(dict(one.detector.slots))


def test_it_can_be_extended_again_and_comes_back_from_disk(fleet, longer, tmp_path):
    twice = extended(longer, history(fleet.histories[1], "more"))
    save(twice, tmp_path / "bundle")
    again = load(tmp_path / "bundle")

    assert [each.digest for each in again.extends] == [fleet.detector.digest, longer.digest]
    assert again.extends == twice.extends
    assert again.kin == {fleet.detector.digest, longer.digest, twice.digest}
    assert again.named_by == fleet.detector.digest
    assert again.added[longer.digest] == {"more"}


def test_a_bundle_that_extends_another_than_it_says_is_refused(fleet, longer, tmp_path):
    save(replace(longer, extends=(Extended("ab" * 32, 3, 3),)), tmp_path / "bundle")

    with pytest.raises(BundleError, match="it does not extend detector abababababab, as it says"):
        load(tmp_path / "bundle")


def test_series_too_short_for_their_own_are_held_against_what_is_pooled_and_the_detector_is_the_same(fleet):
    same = extended(fleet.detector, new_history(600))

    assert same.digest == fleet.detector.digest
    assert same.extends == ()
    assert same.series == ("a", "b", "c", "new")
    assert Monitor(same).standing("new").unscored == 0


def test_what_does_not_fit_is_refused_with_what_to_do(fleet):
    slow = series("slow", wave(600), 0, 10 * STEP)

    with pytest.raises(DataError, match="all 1 series of the history are in the bundle already"):
        new_series(fleet.detector, [history(fleet.histories[0])])
    with pytest.raises(DataError, match=r"slow: its step is 3000 s, those of the bundle's series are 300 s: .* fit a"):
        new_series(fleet.detector, [history(slow)])
    with pytest.raises(DataError, match="few has 50 readings in order; at least 100 are needed"):
        new_series(fleet.detector, [history(series("few", wave(50)))])


def test_a_step_may_differ_by_a_tenth(fleet):
    near = series("near", wave(600), 0, STEP + STEP // 20)

    assert [one.history.name for one in new_series(fleet.detector, [history(near)])] == ["near"]


def test_a_detector_without_views_that_look_back_is_extended_too():
    detector = unmoved()
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.normal(0, 1, (6000, 2)), axis=0)
    longer = extended(detector, history(series("walk", walk)))

    assert len(longer.calibrations) == 2
    assert longer.calibrations[0] is detector.calibrations[0]
