"""A tagger as bytes: what comes back is what was saved, and nothing altered comes back."""

import json

import pytest
import torch

from pipeline.exceptions import BundleError
from pipeline.tagging.saved import MANIFEST, WEIGHTS, files_of, read_manifest, tagger_of, weights_size
from pipeline.tagging.tagging import TUTORIAL, TagSettings, new_tagger
from pipeline.tagging.vocabulary import vocabulary_of

WORDS = [sentence.words for sentence in TUTORIAL]


@pytest.fixture
def tagger():
    return new_tagger(vocabulary_of(TUTORIAL), TagSettings(embedding=5, hidden=7))


def read(files):
    manifest = read_manifest(files[MANIFEST], "folder")
    assert weights_size(manifest, "folder") == len(files[WEIGHTS])
    return tagger_of(manifest, files[WEIGHTS], "folder")


def test_a_saved_tagger_says_the_same(tagger):
    again = read(files_of(tagger, {"accuracy": 1.0}))

    assert again.vocabulary == tagger.vocabulary
    assert again.tag(WORDS) == tagger.tag(WORDS)
    for name, tensor in tagger.network.state_dict().items():
        assert torch.equal(again.network.state_dict()[name], tensor)


def test_altered_weights_are_refused(tagger):
    files = files_of(tagger, {})
    files[WEIGHTS] = files[WEIGHTS][:-1] + bytes([files[WEIGHTS][-1] ^ 1])
    with pytest.raises(BundleError, match="SHA-256 differs"):
        read(files)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "detector"}, "is no tagger"),
        ({"format": 99}, "reads format 1, the tagger has format 99"),
        ({"files": {}}, "does not describe the weights"),
        ({"words": ["a"]}, "words do not fit"),
        ({"words": 3}, "damaged or not ours"),
        ({"tags": ["DET", "DET", "NN"]}, "once"),
        ({"tags": ["DET"]}, "tags and 7 units do not fit"),
        ({"hidden": 10**12}, "do not fit"),
        ({"embedding": "wide"}, "damaged or not ours"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(tagger, change, message):
    files = files_of(tagger, {})
    files[MANIFEST] = json.dumps(json.loads(files[MANIFEST]) | change).encode()
    with pytest.raises(BundleError, match=message):
        read(files)


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"kind": ', b"\xff\xfe"])
def test_a_manifest_that_is_none_is_refused(content):
    with pytest.raises(BundleError, match="folder"):
        read_manifest(content, "folder")
