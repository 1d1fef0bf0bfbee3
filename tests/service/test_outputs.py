import json

import numpy as np
import pytest

from pipeline.records import Outcome, Reason, Rejected
from pipeline.service.letters import LETTER_BYTES, dead_letter
from pipeline.service.outputs import Nowhere, score_messages
from pipeline.service.ports import Message
from tests.service.memory import Entry
from tests.service.telemetry_feed import readings_of, scores_of

WHY = Rejected(0, Reason.OVERSIZE, "2000000 bytes, of at most 1048576")


def letter_of(**record):
    return dead_letter("dead", Entry(**{"topic": "t", "partition": 3, "offset": 9, "key": b"k", **record}), WHY)


def test_a_score_tells_what_there_is_and_null_where_there_is_nothing():
    scores = scores_of([2.5, 0.0], outcome=[Outcome.SCORED, Outcome.WARMING], alert=[True, False])
    messages = list(score_messages("scores", ("temp", "flow"), "time", readings_of(["pümp"], [0, 0]), scores))

    assert [message.key for message in messages] == ["pümp".encode()] * 2
    assert [json.loads(message.value) for message in messages] == [
        {
            "series": "pümp",
            "timestamp": "1970-01-01T00:00:00Z",
            "score": 2.5,
            "bar": 3.0,
            "alert": True,
            "outcome": "scored",
            "expected": {"temp": 10.0, "flow": 10.0},
        },
        {
            "series": "pümp",
            "timestamp": "1970-01-01T00:00:00.000001Z",
            "score": None,
            "bar": None,
            "alert": False,
            "outcome": "warming",
            "expected": None,
        },
    ]


def test_a_score_on_an_index_clock_has_the_sample_number():
    messages = list(score_messages("scores", ("a", "b"), "index", readings_of(["s"], [0, 0]), scores_of([1.0, 1.0])))

    assert [json.loads(message.value)["timestamp"] for message in messages] == [0, 1]


def test_a_score_reads_back_equal():
    score = np.nextafter(2.0, 3.0)
    (message,) = score_messages("scores", ("a", "b"), "time", readings_of(["s"], [0]), scores_of([score]))

    assert json.loads(message.value)["score"] == score


def test_a_letter_too_large_to_be_sent_is_cut_and_says_so():
    letter = letter_of(value=b"x" * 2_000_000)

    assert letter.value == b"x" * (LETTER_BYTES - 1)
    assert dict(letter.headers)["plumbline-truncated"] == b"value of 2000000 bytes"


def test_a_letter_whose_key_and_headers_are_too_large_is_cut_too():
    letter = letter_of(key=b"k" * 1_000_000, value=b"v", headers=(("h", b"z" * 500_000), ("null", None)))

    assert len(letter.key) == LETTER_BYTES // 4
    assert letter.value == b"v"
    assert "h" not in dict(letter.headers)
    assert dict(letter.headers)["plumbline-truncated"] == b"headers of 500005 bytes, key of 1000000 bytes"


def test_a_letter_that_fits_is_whole():
    letter = letter_of(value=b"x" * 800_000, headers=(("h", b"1"), ("h", b"2"), ("null", None)))

    assert letter.value == b"x" * 800_000
    assert letter.headers[:3] == (("h", b"1"), ("h", b"2"), ("null", None))
    assert "plumbline-truncated" not in dict(letter.headers)


def test_a_dry_run_has_nowhere_to_send_to():
    with pytest.raises(ValueError, match="a dry run sends nothing"):
        Nowhere().send(Message("alerts", None, b""))
