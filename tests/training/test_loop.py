"""The loop: interruption changes nothing, the best weights win, and randomness is the generator's alone."""

import itertools
import math

import numpy as np
import pytest
import torch

from models.predictor import Predictor
from pipeline.exceptions import SettingsError, StateError
from pipeline.training.chunks import Chunks, Segment, rows_on
from pipeline.training.forecasting import LONGEST_WINDOW, ForecastCourse
from pipeline.training.loop import Plan, drawing_from, one_cycle, pick_device, train
from pipeline.training.resume import decode, encode

CPU = torch.device("cpu")
PLAN = Plan(steps=30, evaluate_every=5, patience=3)  # chunks are carried 4 times: an evaluation is in mid-carry


@pytest.fixture
def z(rng):
    t = np.arange(400)[:, None]
    return (np.sin(t / 5 + np.arange(2)) + 0.1 * rng.normal(size=(400, 2))).astype(np.float32)


def ticks():
    """A clock that goes on by one second whenever it is read."""
    counter = itertools.count()
    return lambda: float(next(counter))


def lesson(z, seed=0, hidden=8):
    """A fresh network with its course and generator."""
    generator = torch.Generator().manual_seed(seed)
    with drawing_from(generator, CPU):
        network = Predictor(2, 0, hidden, layers=2, dropout=0.3, horizon=3)
    present, none = np.ones(z.shape, bool), np.zeros((len(z), 0), np.float32)
    rows = rows_on(CPU, z, present, none, horizon=3, longest_window=LONGEST_WINDOW)
    chunks = Chunks(rows, [Segment(0, 250)], batch=3, chunk=16, carry=4, generator=generator)
    course = ForecastCourse(network, rows, chunks, [Segment(280, 400, 64)])
    return network, course, generator


def trained(z, seed=0, plan=PLAN, resume=None):
    network, course, generator = lesson(z, seed)
    progress = list(train(network, course, plan, generator, ticks(), resume))
    return network, progress


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


@pytest.mark.parametrize("step", [5, 10, 15, 20, 25, 30])
def test_resumed_from_its_file_training_gives_exactly_the_same_weights(z, step):
    whole, progress = trained(z)
    stopped = next(p for p in trained(z)[1] if p.step == step)
    resumed, rest = trained(z, resume=decode(encode(stopped.resume, "this"), "this"))

    assert same(whole, resumed)
    assert [p.validation for p in rest] == [p.validation for p in progress if p.step > step]


def test_the_state_really_is_taken_in_mid_carry(z):
    resume = trained(z)[1][0].resume

    assert set(resume.part("course")["left"].tolist()) <= {1, 2, 3}
    assert resume.part("course")["h"].any()


def test_training_lowers_the_validation_loss_and_keeps_the_best_weights(z):
    network, course, generator = lesson(z)
    progress = list(train(network, course, Plan(200, 1e-2, 20), generator, ticks()))

    assert progress[-1].last
    assert progress[-1].best < 0.5 * progress[0].validation
    with torch.no_grad():
        assert course.validate() == progress[-1].best
    assert not network.training


def test_the_best_weights_are_those_before_training_when_nothing_can_be_learnt(rng):
    noise = rng.normal(size=(400, 2)).astype(np.float32).cumsum(axis=0)  # a random walk: the last reading is best
    network, progress = trained(noise, plan=Plan(steps=100, learning_rate=0.3, evaluate_every=2, patience=3))

    assert progress[-1].step == 6
    assert progress[-1].best_step == 0
    assert not network.head.weight.any()


def test_the_same_seed_gives_the_same_weights_and_leaves_the_global_randomness_alone(z):
    torch.manual_seed(1)
    one, _ = trained(z)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    two, _ = trained(z)

    assert same(one, two)
    assert torch.equal(before, torch.get_rng_state())
    assert not same(one, trained(z, seed=1)[0])


def test_progress_counts_readings_by_the_clock_that_it_is_given(z):
    _, progress = trained(z)

    assert [p.step for p in progress] == [5, 10, 15, 20, 25, 30]
    assert progress[0].items_per_second == 5 * 3 * 16  # one second by our clock, 3 chunks of 16 readings a step
    assert all(math.isfinite(p.loss) for p in progress)


def test_the_learning_rate_is_torchs_one_cycle():
    weight = torch.nn.Parameter(torch.zeros(1))
    adam = torch.optim.Adam([weight], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, max_lr=1.0, total_steps=1001, pct_start=0.3)
    for step in range(1000):
        rate, momentum = one_cycle(step / 1000)
        group = adam.param_groups[0]

        assert rate == pytest.approx(group["lr"], abs=5e-3)
        assert momentum == pytest.approx(group["betas"][0], abs=5e-3)
        adam.step()
        schedule.step()


def test_a_validation_part_that_gives_no_number_is_refused(z):
    z[300:] = np.nan
    with pytest.raises(ValueError, match="validation"):
        trained(z)


@pytest.mark.parametrize("damage", [b"", b"plumbline", lambda data: data[:-7], lambda data: b"\xff" * 8 + data[8:]])
def test_a_damaged_resume_file_is_refused(z, damage):
    data = encode(trained(z)[1][0].resume, "this")
    with pytest.raises(StateError, match="no whole resume file"):
        decode(damage(data) if callable(damage) else damage, "this")


def test_a_resume_file_of_another_training_or_network_is_refused(z):
    resume = trained(z)[1][0].resume
    with pytest.raises(StateError, match="other data or settings"):
        decode(encode(resume, "this"), "that")
    network, course, generator = lesson(z, hidden=9)
    with pytest.raises(StateError, match="another network"):
        next(train(network, course, PLAN, generator, ticks(), resume))


def test_an_unknown_device_is_refused_with_what_there_is():
    assert pick_device("cpu") == CPU
    with pytest.raises(SettingsError, match="auto, cpu or cuda"):
        pick_device("gpu7")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_cuda_is_refused_where_there_is_none():
    assert pick_device("auto") == CPU
    with pytest.raises(SettingsError, match="no CUDA here"):
        pick_device("cuda")
