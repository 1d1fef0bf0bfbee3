"""Detectors of other authors, as these offer them, on the same parts of the same series as ours: PEERS.

DIR/bin/python -m tests.bench.quality.run --out SCORES --detector kmeans_ad --list on --datasets nab skab ucr

DIR is the environment of requirements/peers.txt: nothing of it is installed with ours, and it is imported here only
when a peer is run. All learn from the train part and score the test part, raw readings, T rows by C channels; a missing
one is carried forward, 0 before the first. What differs from where their figures were published:

lstmad, cnn         TSB-AD 1.5 with its best hyper-parameters (`TSB_AD.HP_list`) for one channel or many; on a CPU
sub_pca, kmeans_ad  the same; published fitted on the very rows that are scored, here on train. The period is train's
half_space_trees    River, as its documentation has it: readings scaled to 0..1 by what was seen, default sizes
rrcf                40 trees of 256 shingles of 4 rows, as its documentation streams; every row moves every tree

sub_pca and kmeans_ad are not causal: a row has the score of the window around it, or the mean over those that hold it.
sub_pca_causal and kmeans_ad_causal give each window's score to its last row, which is when it is known.
"""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd

from pipeline.records import Floats

TREES, TREE_SIZE, SHINGLE = 40, 256, 4  # of rrcf

Score = Callable[[Floats], Floats]
Peer = Callable[[Floats, int], Score]  # train (R, C) and seed, to test (T, C) to score (T,)


def lstmad(train: Floats, seed: int) -> Score:
    """A forecast by two LSTMs, the squared error of the next reading (Malhotra et al. 2015)."""
    from TSB_AD.models.LSTMAD import LSTMAD

    _seed(seed)
    model = LSTMAD(window_size=100 if train.shape[1] == 1 else 150, lr=0.0008, feats=train.shape[1])
    model.fit(train)
    return model.decision_function


def cnn(train: Floats, seed: int) -> Score:
    """A forecast by convolutions, the squared error of the next reading (Munir et al. 2019)."""
    from TSB_AD.models.CNN import CNN

    _seed(seed)
    model = CNN(window_size=50, num_channel=[32, 32, 40], lr=0.0008, feats=train.shape[1])
    model.fit(train)
    return model.decision_function


def sub_pca(train: Floats, seed: int) -> Score:
    """Weighted distances of a window to the principal axes of windows (Aggarwal 2017); PCA where channels are many."""
    from TSB_AD.models.PCA import PCA

    _seed(seed)
    window = _window_of_pca(train)
    whole = train[window - 1 : len(train) - window + 1]  # what every column of windows has, else all
    moving = np.ptp(whole if len(whole) else train, axis=0) > 0  # it prunes constant columns, but not when it scores
    if not moving.any():
        return lambda test: np.zeros(len(test))  # it refuses
    model = PCA(slidingWindow=window, n_components=None if train.shape[1] == 1 else 0.25)
    model.fit(train[:, moving])
    return lambda test: model.decision_function(test[:, moving])


def sub_pca_causal(train: Floats, seed: int) -> Score:
    """The same, of the window that ends at a row."""
    score_of, window = sub_pca(train, seed), _window_of_pca(train)

    def score(test: Floats) -> Floats:
        centred = score_of(test)
        return at_last_row(centred[window // 2 : len(centred) - (window - 1) // 2], len(test))

    return score


def kmeans_ad(train: Floats, seed: int) -> Score:
    """Mean distance of the standardised windows that hold a row to the nearest of ten centres (Yairi et al. 2001)."""
    score: Score = _kmeans(train, seed).predict
    return score


def kmeans_ad_causal(train: Floats, seed: int) -> Score:
    """The distance of the window that ends at a row."""
    model = _kmeans(train, seed)
    return lambda test: at_last_row(model.model.transform(model._preprocess_data(test)).min(axis=1), len(test))


def half_space_trees(train: Floats, seed: int) -> Score:
    """Mass of a reading's cell in random trees (Tan, Ting and Liu 2011); goes on learning while it scores."""
    from river.anomaly import HalfSpaceTrees
    from river.preprocessing import MinMaxScaler

    scaler, trees = MinMaxScaler(), HalfSpaceTrees(seed=seed)

    def take(row: list[float]) -> float:
        reading = dict(enumerate(row))
        scaler.learn_one(reading)
        scaled = scaler.transform_one(reading)
        score = trees.score_one(scaled)
        trees.learn_one(scaled)
        return float(score)

    for row in train.tolist():
        take(row)
    return lambda test: np.array([take(row) for row in test.tolist()])


def rrcf(train: Floats, seed: int) -> Score:
    """How much a shingle displaces in random cut trees (Guha et al. 2016); the oldest shingle makes room for it."""
    from rrcf import RCTree

    trees = [RCTree(random_state=np.random.RandomState(seed * TREES + number)) for number in range(TREES)]
    begin = train[-(TREE_SIZE + SHINGLE - 1) :]  # older ones would be forgotten by the first row of test
    count = 0

    def take(shingle: Floats) -> float:
        nonlocal count
        total = 0.0
        for tree in trees:
            if len(tree.leaves) >= TREE_SIZE:
                tree.forget_point(count - TREE_SIZE)
            tree.insert_point(shingle, index=count)
            total += tree.codisp(count)
        count += 1
        return total / TREES

    for shingle in shingles(begin):
        take(shingle)
    last = begin[1 - SHINGLE :]
    return lambda test: np.array([take(shingle) for shingle in shingles(np.concatenate((last, test)))])


PEERS: dict[str, tuple[Peer, str]] = {  # and the package that it needs
    "lstmad": (lstmad, "TSB_AD"),
    "cnn": (cnn, "TSB_AD"),
    "sub_pca": (sub_pca, "TSB_AD"),
    "sub_pca_causal": (sub_pca_causal, "TSB_AD"),
    "kmeans_ad": (kmeans_ad, "TSB_AD"),
    "kmeans_ad_causal": (kmeans_ad_causal, "TSB_AD"),
    "half_space_trees": (half_space_trees, "river"),
    "rrcf": (rrcf, "rrcf"),
}


def check_installed(name: str) -> None:
    """ValueError where this environment does not have the package of a peer."""
    package = PEERS[name][1]
    if find_spec(package) is None:
        raise ValueError(
            f"{name} needs {package}, which is not here: run it in the environment of requirements/peers.txt"
        )


def peer_scores(learn: Peer, train: Floats, test: Floats, seed: int) -> tuple[Floats, float, float]:
    """Scores (T,) of a peer, its processor seconds of fit and of scoring; RuntimeError where rows are left out."""
    train, test = _carried(train), _carried(test)
    with _silent():
        begun = time.process_time()
        score_of = learn(train, seed)
        fitted = time.process_time()
        score = np.asarray(score_of(test), np.float64).ravel()
        ended = time.process_time()
    if len(score) != len(test):
        raise RuntimeError(f"{learn.__name__} has {len(score)} scores for {len(test)} rows")
    return score, fitted - begun, ended - fitted


def _carried(values: Floats) -> Floats:
    carried: Floats = pd.DataFrame(values).ffill().fillna(0.0).to_numpy()
    return carried


def _window_of_pca(train: Floats) -> int:
    return _period(train, rank=1) if train.shape[1] == 1 else 100


def _kmeans(train: Floats, seed: int) -> Any:
    from TSB_AD.models.KMeansAD import KMeansAD

    _seed(seed)
    model = KMeansAD(k=10, window_size=_period(train, rank=2) if train.shape[1] == 1 else 40, stride=1)
    return model.fit(train)


def _period(train: Floats, rank: int) -> int:
    from TSB_AD.utils.slidingWindows import find_length_rank

    return int(find_length_rank(train, rank=rank))


def _seed(seed: int) -> None:
    """TSB-AD's models draw from the global generators."""
    import torch

    np.random.seed(seed)  # noqa: NPY002 - scikit-learn's KMeans in TSB-AD takes no other
    torch.manual_seed(seed)


def at_last_row(windows: Floats, rows: int) -> Floats:
    """Scores of windows, one a row, to their last rows, (T,); the rows before the first are as low as the lowest."""
    return np.concatenate((np.full(rows - len(windows), windows.min()), windows))


def shingles(values: Floats) -> Floats:
    """Every SHINGLE rows side by side, (T, C) to (T - SHINGLE + 1, SHINGLE x C)."""
    windows = np.lib.stride_tricks.sliding_window_view(values, SHINGLE, axis=0)
    return windows.reshape(len(windows), -1)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """They print every epoch."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
