"""Readings, scores and records as telemetry is told of them, and what a scrape then says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.records import Outcome, Readings, Scores


class HandClock:
    """A clock that a test moves."""

    def __init__(self):
        self.seconds = 1_000.0

    def now(self):
        return 1_700_000_000.0 + self.seconds

    def monotonic(self):
        return self.seconds


@dataclass
class Record:
    """As much of a record as telemetry looks at."""

    timestamp: int


def readings_of(names, codes, *, channels=2, partition=0):
    """Readings of these series codes; the value of row i is i in every channel."""
    N = len(codes)
    return Readings(
        names=names,
        series=np.array(codes, np.int32),
        at=np.arange(N, dtype=np.int64),
        values=np.repeat(np.arange(N, dtype=float)[:, None], channels, axis=1),
        missing=np.zeros((N, channels), bool),
        partition=np.full(N, partition, np.int32),
        offset=np.arange(N, dtype=np.int64),
    )


def scores_of(score, *, outcome=None, alert=None, exceeds=None, channels=2, bar=3.0):
    """Scores in decades, all scored and calm unless said otherwise; expected 10, band 9 to 11."""
    N = len(score)
    return Scores(
        outcome=np.full(N, Outcome.SCORED, np.uint8) if outcome is None else np.array(outcome, np.uint8),
        score=np.array(score, float),
        bar=np.full(N, bar),
        exceeds=np.zeros(N, bool) if exceeds is None else np.array(exceeds),
        alert=np.zeros(N, bool) if alert is None else np.array(alert),
        expected=np.full((N, channels), 10.0),
        lower=np.full((N, channels), 9.0),
        upper=np.full((N, channels), 11.0),
        fused=np.zeros(N),
    )


def scraped(registry):
    """The samples of a registry: {(name, {label, ...}): value}, with labels as name=value."""
    return {
        (sample.name, frozenset(f"{key}={value}" for key, value in sample.labels.items())): sample.value
        for metric in registry.collect()
        for sample in metric.samples
    }


def value_of(registry, name, *labels):
    """One sample's value, or None where there is no such sample."""
    return scraped(registry).get((name, frozenset(labels)))
