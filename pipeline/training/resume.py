"""Where an interrupted training stands, as tensors and JSON: safetensors, never a pickle.

The file is written by the command line; here it is bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import safetensors
import safetensors.torch
from torch import Tensor

from pipeline.exceptions import StateError

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Resume:
    """All that training needs to go on between two steps as if it had never stopped.

    The tensors are those of the network (`network.`), its best weights (`best.`), Adam (`adam.`), the course
    (`course.`) and the state of the random generator (`generator`).
    """

    step: int
    best: float  # the lowest validation loss so far
    best_step: int
    waited: int  # evaluations since then
    tensors: Mapping[str, Tensor]

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors of one part, by their names in it."""
        start = f"{name}."
        return {key.removeprefix(start): tensor for key, tensor in self.tensors.items() if key.startswith(start)}


def encode(resume: Resume, training: str) -> bytes:
    """The bytes of a resume file; `training` tells this training from any other, a digest of settings and data."""
    facts = {
        "format": FORMAT,
        "training": training,
        "step": resume.step,
        "best": resume.best,
        "best_step": resume.best_step,
        "waited": resume.waited,
    }
    tensors = {name: tensor.contiguous() for name, tensor in resume.tensors.items()}
    return safetensors.torch.save(tensors, {"plumbline": json.dumps(facts)})


def decode(data: bytes, training: str) -> Resume:
    """The resume file of this very training; StateError for bytes of another one or none."""
    try:
        tensors = safetensors.torch.load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        facts = json.loads(header["__metadata__"]["plumbline"])
        found = facts["format"], facts["training"]
        resume = Resume(facts["step"], facts["best"], facts["best_step"], facts["waited"], tensors)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise StateError(f"this is no whole resume file ({error}): remove it, and training starts anew") from error
    if found != (FORMAT, training):
        raise StateError(
            "this resume file was left by a training on other data or settings: go on with those, or remove the file "
            "and training starts anew"
        )
    return resume
