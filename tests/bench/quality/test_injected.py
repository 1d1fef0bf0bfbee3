"""An anomaly that is put in is where its label says, is one, and is the same every time."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.bench.quality.cases import entries, read
from tests.bench.quality.injected import KINDS, LEAST, SIGNALS, with_anomaly
from tests.bench.quality.tuning_list import on_list

PERIOD = 40
WAVE = np.sin(2 * np.pi * np.arange(2000) / PERIOD) + 0.3 * np.sin(4 * np.pi * np.arange(2000) / PERIOD)
NUMBERS = np.arange(100.0)


@pytest.fixture
def half():
    """A noisy wave, learnt and judged."""
    noisy = 50.0 + 7.0 * (WAVE + np.random.default_rng(0).normal(0.0, 0.05, 2000))
    return noisy[:1000], noisy[1000:]


def of(kind, window, seed=0):
    return KINDS[kind](window, PERIOD, np.random.default_rng(seed))


def anomaly(found, half):
    """Which rows differ from what was there."""
    return np.flatnonzero(found != half[1])


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_changed_is_what_is_labelled(half, kind):
    for signal in ("a", "b", "c", "d"):
        found, labels = with_anomaly(*half, signal, kind)
        changed, labelled = anomaly(found, half), np.flatnonzero(labels)

        assert labels.dtype == np.uint8
        assert (labelled[0], labelled[-1]) == (changed[0], changed[-1])
        assert len(labelled) == labelled[-1] + 1 - labelled[0]
        assert len(changed) >= 0.9 * len(labelled)
        assert 0.4 * PERIOD <= len(labelled) <= 2 * PERIOD
        assert 2 * PERIOD <= labelled[0] <= labelled[-1] < 1000 - 2 * PERIOD


@pytest.mark.parametrize("kind", KINDS)
def test_an_anomaly_is_the_same_every_time_and_another_of_another_series(half, kind):
    once, again, other = (with_anomaly(*half, signal, kind) for signal in ("a", "a", "b"))

    np.testing.assert_array_equal(once, again)
    assert (once[0] != other[0]).any()


def test_places_are_those_of_the_figures_that_are_written_down(half):
    """With other draws of numpy, or in another order, the cases are others: measure anew what docs/quality.md has."""
    ends = {kind: anomaly(with_anomaly(*half, "a", kind)[0], half)[[0, -1]].tolist() for kind in KINDS}

    assert ends == {
        "noise": [326, 364],
        "reversal": [92, 122],
        "time_warp": [471, 527],
        "amplitude": [156, 209],
        "smoothing": [720, 766],
        "standstill": [311, 367],
        "shift_of_level": [207, 242],
        "another_phase": [715, 735],
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_that_is_none_is_not_put_in(half, kind):
    """Nine tenths of what is judged stand still, where most kinds change nothing."""
    learnt, judged = half
    judged[: 900 - 2 * PERIOD] = learnt.mean()
    for signal in ("a", "b", "c", "d", "e", "f", "g", "h"):
        found, labels = with_anomaly(learnt, judged, signal, kind)
        change = (found - judged)[labels == 1] / learnt.std()

        assert np.sqrt(np.mean(change**2)) >= LEAST


@pytest.mark.parametrize("kind", ["reversal", "time_warp", "amplitude", "smoothing", "standstill", "another_phase"])
def test_where_nothing_can_change_there_is_no_case(half, kind):
    with pytest.raises(ValueError, match=rf"a/{kind}: at 1000 places"):
        with_anomaly(half[0], np.full(1000, 3.0), "a", kind)


@pytest.mark.parametrize(("learnt", "rows"), [(np.full(1000, 3.0), 1000), (7.0 * WAVE[:1000], 6 * PERIOD - 1)])
def test_halves_without_a_place_are_refused(learnt, rows):
    with pytest.raises(ValueError, match=f"a/noise: {rows} rows .* have no place"):
        with_anomaly(learnt, WAVE[:rows], "a", "noise")


def test_noise_lies_about_the_readings():
    change = of("noise", np.full(4000, 5.0)) - 5.0

    assert abs(change.mean()) < 0.05
    assert 0.09 < change.std() < 0.52


def test_reversal_ends_with_the_first():
    np.testing.assert_array_equal(of("reversal", NUMBERS), NUMBERS[::-1])


@pytest.mark.parametrize("seed", range(8))
def test_warped_time_goes_on_at_another_pace_and_is_right_at_both_ends(seed):
    pace = np.diff(of("time_warp", NUMBERS, seed))

    assert of("time_warp", NUMBERS, seed)[[0, -1]] == pytest.approx([0, 99])
    assert 0.15 < pace.min() < 0.75
    assert 1.25 < pace.max() < 1.85


@pytest.mark.parametrize("seed", range(8))
def test_amplitude_is_about_the_windows_own_mean(seed):
    found = of("amplitude", WAVE[:60] + 5.0, seed)
    factor = found.std() / WAVE[:60].std()

    assert found.mean() == pytest.approx(WAVE[:60].mean() + 5.0)
    assert 0.35 < factor < 0.71 or 1.41 < factor < 2.83
    np.testing.assert_allclose(found - found.mean(), factor * (WAVE[:60] - WAVE[:60].mean()))


def test_smoothing_is_a_mean_over_a_share_of_the_period():
    window = np.zeros(100)
    window[50] = 1.0
    found = of("smoothing", window)
    span = np.count_nonzero(found)

    assert span % 2 == 1
    assert 0.1 * PERIOD - 1 <= span <= 0.4 * PERIOD + 1
    np.testing.assert_allclose(found[found > 0], 1 / span)
    np.testing.assert_allclose(of("smoothing", np.full(100, 3.0)), 3.0)


def test_a_standstill_holds_the_first_reading():
    np.testing.assert_array_equal(of("standstill", NUMBERS + 4.0), 4.0)


@pytest.mark.parametrize("seed", range(8))
def test_a_shift_of_level_is_the_same_for_all_readings(seed):
    change = of("shift_of_level", NUMBERS, seed) - NUMBERS

    np.testing.assert_allclose(change, change[0])
    assert 0.3 < abs(change[0]) < 1.5


def test_kinds_that_have_two_directions_take_both():
    seeds = range(8)

    assert len({of("shift_of_level", NUMBERS, seed)[0] > 0 for seed in seeds}) == 2
    assert len({of("amplitude", NUMBERS, seed)[0] > 0 for seed in seeds}) == 2
    assert len({of("time_warp", NUMBERS, seed)[20] > 20 for seed in seeds}) == 2


@pytest.mark.parametrize("rows", [25, 100])
def test_another_phase_is_turned_by_a_quarter_to_three_quarters_of_a_period(rows):
    for seed in range(8):
        found = of("another_phase", NUMBERS[:rows], seed)
        turned = int(np.flatnonzero(found == 0)[0])

        np.testing.assert_array_equal(np.roll(found, -turned), NUMBERS[:rows])
        assert min(PERIOD, rows) // 4 <= turned <= min(PERIOD, rows) * 3 // 4 + 1


@pytest.fixture
def folder(tmp_path):
    """The training parts of two signals, of another that is not taken, and no test part."""
    for name in ("119_UCR_Anomaly_ECG1_1500_1_2", "121_UCR_Anomaly_ECG3_2001_1_2", "120_UCR_Anomaly_ECG2_1500_1_2"):
        rows = int(name.split("_")[4])
        values = WAVE[:rows] if rows <= 2000 else np.append(WAVE, 0.0)
        file = tmp_path / "ucr" / "train" / f"{name}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"timestamp": np.arange(rows), "value": values.astype(np.float32)}), file)
    return tmp_path


def test_every_training_part_that_is_there_gives_a_series_of_each_kind_without_a_test_part_or_labels(folder):
    found = entries(folder, "injected")

    assert [entry.series for entry in found] == [f"{signal}/{kind}" for signal in ("ECG1", "ECG3") for kind in KINDS]
    assert not any(entry.on_list for entry in found)


def test_the_first_half_is_learnt_as_it_is_and_the_second_goes_on_with_one_anomaly_in_it(folder):
    case = read(next(entry for entry in entries(folder, "injected") if entry.series == "ECG3/standstill"))
    whole = np.append(WAVE, 0.0).astype(np.float32).astype(float)[:, None]
    found, labels = with_anomaly(whole[:1000, 0], whole[1000:, 0], "ECG3", "standstill")

    assert (len(case.train), len(case.test), case.test.at[0], case.fresh) == (1000, 1001, 1000, False)
    assert case.train.name == case.test.name  # a series goes on under its name alone
    np.testing.assert_array_equal(case.train.values, whole[:1000])
    np.testing.assert_array_equal(case.test.values, found[:, None])
    np.testing.assert_array_equal(case.labels, labels)


def test_a_folder_without_the_training_parts_is_refused(folder):
    for file in (folder / "ucr" / "train").glob("1[12][19]_*"):
        file.unlink()
    with pytest.raises(FileNotFoundError, match="109, 119"):
        entries(folder, "injected")


def test_the_training_parts_are_off_the_tuning_list_of_the_stated_length_and_undistorted(data_folder):
    if not (data_folder / "ucr").is_dir():
        pytest.skip("PLUMBLINE_DATA has no ucr")
    found = entries(data_folder, "injected")
    paths = {entry.series.partition("/")[0]: entry.train_path.stem for entry in found}

    assert len(found) == len(SIGNALS) * len(KINDS) == 192
    assert not any(on_list("ucr", name) for name in paths.values())
    assert all(6_000 <= entry.rows <= 60_000 for entry in found)
    assert all(name.startswith(f"{SIGNALS[signal]}_UCR_Anomaly_{signal}_") for signal, name in paths.items())
