"""Training: targets/s of contiguous chunks with carried state against windows of 100 at stride 1, one target each.

.venv/bin/python tests/bench/training.py [--device cuda] [--threads 1] [--batch 16 64 256]

All train the same predictor by the same optimiser on one series. A target is a reading that is forecast: a chunk has
one at every position, a window at its last. Windows come as fast as they can, by view and gathered on the device, and
as most programs have them, from a DataLoader over a TensorDataset. A target costs one step of the LSTM in a chunk and
100 in a window, so about 100 is what can be won at the same batch.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from models.predictor import Predictor
from pipeline.training.chunks import Chunks, Segment, rows_on
from pipeline.training.forecasting import LONGEST_WINDOW, ForecastCourse
from pipeline.training.loop import drawing_from, generator_of, pick_device

ROWS, WINDOW, CHUNK, CARRY, HORIZON, SEED = 100_000, 100, 64, 4, 10, 0
WARM_SECONDS, MEASURED_SECONDS, REPEATS = 0.5, 1.5, 3


def main() -> None:
    """Measure both at every batch size, in turns, and print their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, nargs="+", default=[16, 64, 256])
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--hidden", type=int, default=64)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    device = pick_device(asked.device)
    about(device, asked)
    z = np.random.default_rng(SEED).normal(size=(ROWS, asked.channels)).cumsum(axis=0).astype(np.float32)
    z = (z - z.mean(axis=0)) / z.std(axis=0)
    kinds = (carried_chunks, windows_by_view, windows_by_loader)
    best = [0.0] * len(kinds)
    print("targets/s")
    print(f"{'batch':>6} {'chunks':>12} {'windows by view':>24} {'windows by DataLoader':>24}")
    for batch in asked.batch:
        steps = [kind(z, batch, asked.hidden, device) for kind in kinds]
        rates = [[targets_per_second(step, device) for step in steps] for _ in range(REPEATS)]  # in turns: fair to all
        found = [median(rate) for rate in zip(*rates, strict=True)]
        best = [max(pair) for pair in zip(best, found, strict=True)]
        print(f"{batch:>6} {compared(found)}")
    print(f"{'best':>6} {compared(best)}")


def compared(rates: list[float]) -> str:
    """The rate of the chunks, and each other with how many times slower it is."""
    first, *others = rates
    return f"{first:>12,.0f} " + " ".join(f"{f'{other:,.0f} (1/{first / other:.0f})':>24}" for other in others)


def carried_chunks(z: np.ndarray, batch: int, hidden: int, device: torch.device) -> Iterator[int]:
    """Training steps as `fit` takes them; yields the targets of each."""
    network, adam, generator = learner(z, hidden, device)
    none = np.zeros((len(z), 0), np.float32)
    rows = rows_on(device, z, np.ones(z.shape, bool), none, HORIZON, LONGEST_WINDOW)
    course = ForecastCourse(
        network, rows, Chunks(rows, [Segment(0, ROWS)], batch, CHUNK, CARRY, generator), [Segment(0, ROWS)]
    )
    while True:
        loss, targets = course.loss()
        take_step(network, adam, loss)
        yield targets


def windows_by_view(z: np.ndarray, batch: int, hidden: int, device: torch.device) -> Iterator[int]:
    """Training steps on windows that are views on the device; each begins with an empty state."""
    network, adam, generator = learner(z, hidden, device)
    rows = torch.from_numpy(z).to(device)
    windows = rows.unfold(0, WINDOW + HORIZON, 1)  # (N, C, 110)
    while True:
        starts = torch.randint(len(windows), (batch,), generator=generator).to(device)
        window = windows[starts].transpose(1, 2)  # (B, 110, C)
        take_step(network, adam, loss_at_the_end(network, window[:, :WINDOW], window[:, WINDOW:]))
        yield batch


def windows_by_loader(z: np.ndarray, batch: int, hidden: int, device: torch.device) -> Iterator[int]:
    """Training steps on windows from a shuffled DataLoader."""
    network, adam, generator = learner(z, hidden, device)
    windows = torch.from_numpy(z).unfold(0, WINDOW + HORIZON, 1).transpose(1, 2)  # (N, 110, C)
    readings = TensorDataset(windows[:, :WINDOW], windows[:, WINDOW:])
    while True:
        for inputs, ahead in DataLoader(readings, batch, shuffle=True, drop_last=True, generator=generator):
            take_step(network, adam, loss_at_the_end(network, inputs.to(device), ahead.to(device)))
            yield batch


def loss_at_the_end(network: Predictor, inputs: torch.Tensor, ahead: torch.Tensor) -> torch.Tensor:
    """The Huber loss of the forecast made after the last input (B, 100, C), against what came (B, horizon, C)."""
    encoded, _ = network.core(inputs)
    changes = network.head(encoded[:, -1]).view(ahead.shape)
    return F.huber_loss(changes, ahead - inputs[:, -1:])


def learner(z: np.ndarray, hidden: int, device: torch.device) -> tuple[Predictor, torch.optim.Adam, torch.Generator]:
    """A fresh network, its optimiser and a source of randomness."""
    generator = generator_of(SEED)
    with drawing_from(generator, device):
        network = Predictor(z.shape[1], 0, hidden, horizon=HORIZON).to(device)
    return network, torch.optim.Adam(network.parameters(), 1e-3, fused=True), generator


def take_step(network: Predictor, adam: torch.optim.Adam, loss: torch.Tensor) -> None:
    """Backward, clip, step."""
    adam.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    adam.step()


def targets_per_second(steps: Iterator[int], device: torch.device) -> float:
    """How fast the steps go once they are warm."""
    wait: Callable[[], None] = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    begun = time.perf_counter()
    while time.perf_counter() - begun < WARM_SECONDS:
        next(steps)
    wait()
    begun, targets, taken = time.perf_counter(), 0, 0
    while time.perf_counter() - begun < MEASURED_SECONDS or taken < 3:
        targets += next(steps)
        taken += 1
    wait()  # on a GPU the steps are only queued until then
    return targets / (time.perf_counter() - begun)


def about(device: torch.device, asked: argparse.Namespace) -> None:
    """What a figure is worth nothing without."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    print(f"{device}: {name}, {platform.platform()}, python {platform.python_version()}, torch {torch.__version__}")
    print(f"threads {asked.threads}, OPENBLAS_CORETYPE {os.environ.get('OPENBLAS_CORETYPE')}, seed {SEED}")
    sizes = f"{asked.channels} channel(s), {asked.hidden} units, horizon {HORIZON}, {ROWS:,} readings"
    print(f"{sizes}; chunks of {CHUNK} carried {CARRY} times, windows of {WINDOW}")
    print(f"median of {REPEATS} x {MEASURED_SECONDS} s after {WARM_SECONDS} s")


def processor() -> str:
    """The CPU's name."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if sys.platform == "linux" else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
