"""A tagger as the files of a folder: tensors and JSON, checked before use. The command line reads and writes them.

manifest.json         format, words, tags, sizes, figures; size and SHA-256 of the other file
weights.safetensors   the network
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import safetensors.torch
from safetensors import SafetensorError

from models.tagger import LSTMTagger
from pipeline.exceptions import BundleError
from pipeline.tagging.tagging import Tagger
from pipeline.tagging.vocabulary import Vocabulary

FORMAT, KIND = 1, "tagger"
MANIFEST, WEIGHTS = "manifest.json", "weights.safetensors"
LARGEST_MANIFEST = 64 * 2**20  # bytes


def files_of(tagger: Tagger, figures: Mapping[str, Any]) -> dict[str, bytes]:
    """The files of a tagger by name; `figures` is what a person wants to know of its training."""
    network = tagger.network
    tensors = {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}
    weights = safetensors.torch.save(tensors)
    manifest = {
        "format": FORMAT,
        "kind": KIND,
        "embedding": network.embedding.embedding_dim,
        "hidden": network.core.lstm.hidden_size,
        "tags": tagger.vocabulary.tags,
        "words": tagger.vocabulary.words,
        "figures": dict(figures),
        "files": {WEIGHTS: {"bytes": len(weights), "sha256": hashlib.sha256(weights).hexdigest()}},
    }
    return {WEIGHTS: weights, MANIFEST: json.dumps(manifest, ensure_ascii=False, indent=1, allow_nan=False).encode()}


def read_manifest(content: bytes, folder: str) -> dict[str, Any]:
    """The manifest of a tagger; BundleError where the bytes are none of this format."""
    try:
        manifest = json.loads(content)
    except ValueError as error:
        raise BundleError(f"{folder}: its {MANIFEST} cannot be read: {error}; train the tagger again") from error
    if not isinstance(manifest, dict) or manifest.get("kind") != KIND:
        raise BundleError(f"{folder} is no tagger; `plumbline tag train` writes one")
    if manifest.get("format") != FORMAT:
        raise BundleError(
            f"{folder}: this program reads format {FORMAT}, the tagger has format {manifest.get('format')}; "
            f"train it again"
        )
    return manifest


def weights_size(manifest: Mapping[str, Any], folder: str) -> int:
    """How many bytes the weights must have, to be compared before they are read."""
    try:
        return int(manifest["files"][WEIGHTS]["bytes"])
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{folder}: its {MANIFEST} does not describe the weights; train the tagger again") from error


def tagger_of(manifest: Mapping[str, Any], weights: bytes, folder: str) -> Tagger:
    """The tagger of a manifest and weights; BundleError where the two were altered or do not fit."""
    try:
        if hashlib.sha256(weights).hexdigest() != manifest["files"][WEIGHTS]["sha256"]:
            raise ValueError(f"{WEIGHTS} is not the file that was written: its SHA-256 differs")
        tensors = safetensors.torch.load(weights)
        vocabulary = Vocabulary(tuple(map(str, manifest["words"])), tuple(map(str, manifest["tags"])))
        embedding, hidden = int(manifest["embedding"]), int(manifest["hidden"])
        if tensors["embedding.weight"].shape != (vocabulary.size, embedding):
            raise ValueError(f"its {len(vocabulary.words)} words do not fit the weights")
        if tensors["to_tags.weight"].shape != (len(vocabulary.tags), hidden):  # before a network is made of the sizes
            raise ValueError(f"its {len(vocabulary.tags)} tags and {hidden} units do not fit the weights")
        network = LSTMTagger(vocabulary.size, len(vocabulary.tags), embedding, hidden)
        network.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise BundleError(f"{folder}: the tagger is damaged or not ours: {error}; train it again") from error
    network.eval()
    return Tagger(vocabulary, network)
