"""A world of three series, and what services put out of one, held against each other."""

import json
from collections import defaultdict

import numpy as np

from tests.service.memory import World
from tests.service.small import Bench, calm_values, publish, with_faults

ROWS = 90


def values_of(series):
    """The rows of one of the series, with a fault that begins in mid-stream."""
    return with_faults(calm_values(ROWS, seed=series), [50 + 5 * series])


def world_of_three():
    """Three series on two partitions."""
    made = World()
    for series, partition in ((0, 0), (1, 0), (2, 1)):
        publish(made, values_of(series), f"pump-{series}", partition=partition)
    return made


def put_out(world):
    """What was put out, by what it is about: every copy of it."""
    seen = defaultdict(list)
    for message in world.stored:
        document = json.loads(message.value)
        about = document.get("id"), document.get("event"), document["series"], document.get("timestamp")
        seen[message.topic, *about].append(document)
    return seen


def put_out_of(world, detector):
    """What a service that nothing happens to would have put out of the same logs."""
    whole = World(logs=world.logs)
    Bench(whole, detector).run()
    return put_out(whole)


def numbers_apart(document):
    """A document in two parts: its numbers with a fraction, in order, and all the rest."""
    numbers = []

    def rest(value):
        if isinstance(value, dict):
            return {key: rest(inner) for key, inner in value.items() if key != "sentence"}  # which rounds numbers
        if isinstance(value, list):
            return [rest(inner) for inner in value]
        if isinstance(value, float):
            numbers.append(value)
            return "a number"
        return value

    return rest(document), numbers


def assert_nothing_lost_and_repeats_agree(seen, expected):
    """All was put out, and each copy says the same: scores within 1e-5, for batches were cut otherwise."""
    assert seen.keys() == expected.keys()
    for about, copies in seen.items():
        words, numbers = numbers_apart(expected[about][0])
        for copy in copies:
            found, theirs = numbers_apart(copy)

            assert found == words
            np.testing.assert_allclose(theirs, numbers, rtol=1e-5, atol=1e-5)
