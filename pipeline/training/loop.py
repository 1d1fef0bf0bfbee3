"""The training loop, for any network and any course: a generator of progress.

A course knows the data, the loss and the validation; the loop knows the optimiser, when to evaluate and when to stop.
It opens no file and prints nothing: each progress offers what a resume file needs, and the command line writes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from pipeline.exceptions import SettingsError, StateError
from pipeline.training.resume import Resume

LARGEST_GRADIENT = 1.0  # of all weights together; a longer one is shortened to this
WARM_SHARE, START_DIVISOR, END_DIVISOR = 0.3, 25, 25e4  # of the one-cycle learning rate
MOMENTUM_AT_ENDS, MOMENTUM_AT_PEAK = 0.95, 0.85


class Course(Protocol):
    """What is to be learnt: mini batches without end, and a validation part that no gradient sees."""

    def loss(self) -> tuple[Tensor, int]:
        """The loss of the next mini batch, a scalar on the device, and how many items it is the mean of."""

    def validate(self) -> float:
        """The loss on the validation part; lower is better. Called with the network in evaluation mode."""

    def state(self) -> dict[str, Tensor]:
        """Where the course stands between two mini batches, beyond what the random generator knows."""

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from where `state` was taken."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to train, and how fast."""

    steps: int = 1000  # at most
    learning_rate: float = 3e-3  # the highest of the cycle
    evaluate_every: int = 50  # steps
    patience: int = 6  # evaluations without gain before training stops

    def __post_init__(self) -> None:
        if min(self.steps, self.evaluate_every, self.patience) < 1:
            raise ValueError("steps, evaluate_every and patience are at least 1 each")


@dataclass(frozen=True, slots=True)
class Progress:
    """How training stands after an evaluation; the resume state is that of this very moment."""

    step: int
    of: int
    loss: float  # mean over the steps since the last evaluation
    validation: float
    best: float  # the lowest validation loss so far
    best_step: int  # when it was reached; 0: before any training
    items_per_second: float  # while training, evaluation left out
    last: bool  # no more steps follow; the best weights are in the network
    resume: Resume


def train(
    network: nn.Module,
    course: Course,
    plan: Plan,
    generator: torch.Generator,
    clock: Callable[[], float],
    resume: Resume | None = None,
) -> Iterator[Progress]:
    """Train the network in place; at the end it has the weights of its best evaluation.

    `generator` is the only source of randomness, the course draws from the same; `clock` gives seconds. Resumed from
    any progress of the same training, the weights become exactly those of a training that was never interrupted, on the
    same machine and number of threads. StateError where `resume` does not fit the network.
    """
    run = _Run(network, course, plan, generator)
    if resume is None:
        run.evaluate()
    else:
        run.restore(resume)
    while not run.finished:
        begun = clock()
        loss, items = run.advance(min(plan.evaluate_every, plan.steps - run.step))
        seconds = clock() - begun
        validation = run.evaluate()
        state = run.resume()
        if run.finished:
            network.load_state_dict(run.best_weights)
        yield Progress(
            step=run.step,
            of=plan.steps,
            loss=loss,
            validation=validation,
            best=run.best,
            best_step=run.best_step,
            items_per_second=items / max(seconds, 1e-9),
            last=run.finished,
            resume=state,
        )
    network.load_state_dict(run.best_weights)  # once more, for one that was finished when it was resumed
    network.eval()


class _Run:
    """What changes while a network is trained."""

    def __init__(self, network: nn.Module, course: Course, plan: Plan, generator: torch.Generator) -> None:
        self._network = network
        self._course = course
        self._plan = plan
        self._generator = generator
        self._device = next(network.parameters()).device
        self._adam = torch.optim.Adam(network.parameters(), lr=plan.learning_rate, fused=True)
        self.step = 0
        self.best = math.inf
        self.best_step = 0
        self.waited = 0
        self.best_weights: dict[str, Tensor] = {}

    @property
    def finished(self) -> bool:
        """No step is left, or patience is."""
        return self.step >= self._plan.steps or self.waited >= self._plan.patience

    def advance(self, steps: int) -> tuple[float, int]:
        """Take some steps; their mean loss and the number of items."""
        self._network.train()
        total, items = torch.zeros((), device=self._device), 0
        with drawing_from(self._generator, self._device):  # dropout draws from torch's own generator
            for _ in range(steps):
                self._set_rates()
                loss, count = self._course.loss()
                self._adam.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
                nn.utils.clip_grad_norm_(self._network.parameters(), LARGEST_GRADIENT)
                self._adam.step()
                self.step += 1
                total += loss.detach()  # stays on the device: no waiting for it at every step
                items += count
        return total.item() / steps, items

    def evaluate(self) -> float:
        """Validate, and keep the weights if they are the best so far."""
        self._network.eval()
        with torch.no_grad():
            validation = self._course.validate()
        if validation < self.best:  # never true of NaN: a training that diverged is stopped by its patience
            self.best, self.best_step, self.waited = validation, self.step, 0
            self.best_weights = _copied(self._network.state_dict())
        elif self.step == 0:
            raise ValueError(f"the validation loss of the untrained network is {validation}: look at the data")
        else:
            self.waited += 1
        return validation

    def _set_rates(self) -> None:
        rate, momentum = one_cycle(self.step / self._plan.steps)
        for group in self._adam.param_groups:
            group["lr"] = rate * self._plan.learning_rate
            group["betas"] = (momentum, group["betas"][1])

    def resume(self) -> Resume:
        """A copy of everything that the next step depends on."""
        tensors = {"generator": self._generator.get_state()}
        tensors |= {f"network.{name}": tensor for name, tensor in self._network.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best_weights.items()}
        tensors |= {f"course.{name}": tensor for name, tensor in self._course.state().items()}
        for name, parameter in self._network.named_parameters():
            tensors |= {f"adam.{key}.{name}": tensor for key, tensor in self._adam.state[parameter].items()}
        return Resume(self.step, self.best, self.best_step, self.waited, _copied(tensors))

    def restore(self, resume: Resume) -> None:
        """Become the run that `resume` was taken of; StateError where it is one of another network."""
        try:
            self._network.load_state_dict(resume.part("network"))
            for name, parameter in self._network.named_parameters():
                self._adam.state[parameter] = {
                    key: _like(resume.tensors[f"adam.{key}.{name}"], parameter, key)
                    for key in ("step", "exp_avg", "exp_avg_sq")
                }
            self._course.restore(_copied(resume.part("course"), self._device))
            self._generator.set_state(resume.tensors["generator"])
        except (KeyError, RuntimeError) as error:
            raise StateError(
                f"the resume file is of another network: remove it, and training starts anew ({error})"
            ) from error
        self.best_weights = _copied(resume.part("best"), self._device)
        self.step, self.best, self.best_step, self.waited = resume.step, resume.best, resume.best_step, resume.waited


def one_cycle(done: float) -> tuple[float, float]:
    """Learning rate, as a share of its highest, and momentum when this share of the steps is done.

    Up from a 25th in the first 30 %, then down to next to nothing, both along half a cosine, the momentum against it
    (Smith 2018, https://arxiv.org/abs/1803.09820, sections 4.1 and 4.2; the defaults of torch's OneCycleLR).
    """
    if done < WARM_SHARE:
        height = (1 - math.cos(math.pi * done / WARM_SHARE)) / 2
        low = 1 / START_DIVISOR
    else:
        height = (1 + math.cos(math.pi * (done - WARM_SHARE) / (1 - WARM_SHARE))) / 2
        low = 1 / END_DIVISOR
    return low + (1 - low) * height, MOMENTUM_AT_ENDS + (MOMENTUM_AT_PEAK - MOMENTUM_AT_ENDS) * height


@contextmanager
def drawing_from(generator: torch.Generator, device: torch.device) -> Iterator[None]:
    """What torch draws inside from its global randomness (first weights, dropout) depends on `generator` alone.

    The global randomness is as before afterwards; the generator has moved on by one draw.
    """
    seed = int(torch.randint(2**62, (), generator=generator))
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def generator_of(seed: int) -> torch.Generator:
    """The source of randomness of one training."""
    return torch.Generator().manual_seed(seed)


def pick_device(name: str) -> torch.device:
    """The device of this name; `auto` is CUDA where there is one. SettingsError for one that is not here."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise SettingsError(f"device: {name} is not known: give auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SettingsError(f"device: {name} was asked for, and torch finds no CUDA here: give auto or cpu")
    return device


def one_thread() -> None:
    """Let torch compute on one thread: its small steps stall on several when the machine is busy (decisions/0003)."""
    torch.set_num_threads(1)


def _copied(tensors: dict[str, Tensor], device: torch.device | None = None) -> dict[str, Tensor]:
    return {name: tensor.detach().to(device or tensor.device, copy=True) for name, tensor in tensors.items()}


def _like(tensor: Tensor, parameter: Tensor, key: str) -> Tensor:
    """A tensor of Adam's beside its parameter; RuntimeError where the shapes differ."""
    if key != "step" and tensor.shape != parameter.shape:
        raise RuntimeError(f"{tuple(tensor.shape)} is not {tuple(parameter.shape)}")
    return tensor.detach().to(parameter.device, copy=True)
