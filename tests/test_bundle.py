"""A bundle gives back the detector that was saved, and whatever else is refused before it is used."""

from __future__ import annotations

import hashlib
import io
import json

import numpy as np
import pytest

from pipeline.bundle import load, save
from pipeline.exceptions import BundleError
from pipeline.monitor.monitor import Monitor


@pytest.fixture
def folder(one, tmp_path):
    """A bundle on disk."""
    save(one.detector, tmp_path / "bundle")
    return tmp_path / "bundle"


def replaced(folder, name, content):
    """Another content for one file, with a manifest that agrees with it: what a hostile sender would write."""
    (folder / name).write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def refusal(folder):
    with pytest.raises(BundleError) as refused:
        load(folder)
    return str(refused.value)


def test_a_detector_comes_back_with_its_digest_and_its_scores(case, tmp_path):
    save(case.detector, tmp_path / "bundle")
    again = load(tmp_path / "bundle")
    before, after = (Monitor(each, case.policy).observe(case.later) for each in (case.detector, again))

    assert again.digest == case.detector.digest
    assert again.slots == case.detector.slots
    assert np.array_equal(before[0].score, after[0].score)
    assert before[1] == after[1]


def test_the_views_come_back_with_how_many_readings_they_are_about(case, tmp_path):
    save(case.detector, tmp_path / "bundle")

    assert load(tmp_path / "bundle").lengths.tolist() == case.detector.lengths.tolist()
    assert max(case.detector.lengths) > 1


def test_a_newer_bundle_takes_the_place_of_an_older_one_and_nothing_else_is_left(folder, one):
    save(one.detector, folder)

    assert load(folder).digest == one.detector.digest
    assert [each.name for each in folder.parent.iterdir()] == ["bundle"]


def test_a_folder_that_is_no_bundle_is_not_written_over(one, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(BundleError, match=r"exists and is no bundle"):
        save(one.detector, tmp_path)

    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("name", ["weights.safetensors", "calibration.npz", "slots.npz"])
def test_a_file_that_was_cut_short_altered_or_removed_is_named(folder, name):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-1])
    assert f"{name} has {len(content) - 1} bytes where the manifest says {len(content)}" in refusal(folder)
    (folder / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert "its SHA-256 differs" in refusal(folder)
    (folder / name).unlink()
    assert f"{name} cannot be read" in refusal(folder)


def test_what_is_no_bundle_is_refused_with_the_command_that_writes_one(tmp_path):
    assert "`plumbline train` writes one" in refusal(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"[]", "is not the manifest of a bundle"),
        (b'{"format": 9, "files": {}}', "this program reads format 6, the bundle has format 9"),
        (b'{"format": 6, "files": {}}', "damaged or not ours"),
    ],
)
def test_a_manifest_that_is_not_ours_is_refused(folder, content, said):
    (folder / "manifest.json").write_bytes(content)

    assert said in refusal(folder)


@pytest.mark.parametrize("key", ["clock", "channels", "settings", "calibrations", "step"])
def test_a_manifest_with_other_types_is_refused(folder, key):
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest[key] = {"a": [None]}
    (folder / "manifest.json").write_text(json.dumps(manifest))

    assert refusal(folder)


@pytest.mark.parametrize("longest", [[], [3, 4], [-1], ["many"], None])
def test_longest_runs_that_do_not_fit_the_channels_are_refused(folder, longest):
    manifest = json.loads((folder / "manifest.json").read_text())
    assert len(manifest["longest_runs"]) == len(manifest["channels"]) == 1
    manifest["longest_runs"] = longest
    (folder / "manifest.json").write_text(json.dumps(manifest))

    assert "altered" in refusal(folder) or "damaged or not ours" in refusal(folder)


def test_a_manifest_that_says_something_else_of_the_same_files_is_refused(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["step"] = manifest["step"] + 1
    (folder / "manifest.json").write_text(json.dumps(manifest))

    assert "it was altered" in refusal(folder)


def test_an_array_of_objects_is_refused_and_no_code_of_it_runs(folder, tmp_path):
    class Hostile:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    content = io.BytesIO()
    np.savez(content, series=np.array([Hostile()], dtype=object), slots=np.zeros((1, 1), np.uint8))
    replaced(folder, "slots.npz", content.getvalue())

    assert "damaged or not ours" in refusal(folder)
    assert not (tmp_path / "ran").exists()


def test_a_compressed_array_which_could_grow_without_end_is_refused(folder):
    content = io.BytesIO()
    np.savez_compressed(content, series=np.array(["a"]), slots=np.zeros((1, 1 << 20), np.uint8))
    replaced(folder, "slots.npz", content.getvalue())

    assert "an array is compressed" in refusal(folder)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("views.past.transition", np.zeros(16), "transition of shape (16,)"),
        ("views.memory.states", np.zeros(16), "states of shape (16,)"),
        ("views.memory.states", np.zeros((4, 3)), "states of shape (4, 3), the past has 16 numbers"),
        ("views.shape.states", np.zeros((4, 16)), "states of shape (4, 16), the past has 15 numbers"),
        ("views.components.basis", np.zeros(7), "components have shape (7,)"),
        ("views.components.common", np.zeros(7), "components have shape"),
    ],
)
def test_what_does_not_fit_the_past_that_is_kept_is_refused(folder, name, value, said):
    content = io.BytesIO()
    np.savez(content, **(dict(np.load(folder / "views.npz")) | {name: value}))
    replaced(folder, "views.npz", content.getvalue())

    assert said in refusal(folder)


def test_a_line_that_does_not_fit_the_past_of_many_channels_is_refused(channels, tmp_path):
    save(channels.detector, tmp_path / "bundle")
    content = io.BytesIO()
    np.savez(content, **(dict(np.load(tmp_path / "bundle/views.npz")) | {"views.linear.weights": np.zeros((2, 3))}))
    replaced(tmp_path / "bundle", "views.npz", content.getvalue())

    assert "weights of shape (2, 3), the past has (2, 4)" in refusal(tmp_path / "bundle")


def test_views_that_look_back_on_a_past_that_is_not_kept_are_refused(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"past": None}))

    assert "no past is kept" in refusal(folder)


def test_numbers_that_are_not_finite_and_shapes_that_do_not_fit_are_refused(folder):
    whole = dict(np.load(folder / "calibration.npz"))
    for name, value, said in (
        ("calibration.0.high", np.full_like(whole["calibration.0.high"], np.nan), "not a finite number"),
        ("calibration.0.band", np.zeros((3, 7)), "band of shape (3, 7)"),
        ("calibration.0.sample", whole["calibration.0.sample"][::-1].copy(), "not ascending"),
    ):
        content = io.BytesIO()
        np.savez(content, **(whole | {name: value}))
        replaced(folder, "calibration.npz", content.getvalue())
        assert said in refusal(folder)
