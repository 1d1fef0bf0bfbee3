"""Dead letters, written and read back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records import Reason, Rejected
from pipeline.service.letters import LETTER_BYTES, REPUBLISHED, dead_letter, letter_of
from pipeline.service.ports import Message, Partition
from tests.service.memory import Entry

NAMES = st.text(min_size=1, max_size=20).filter(lambda name: not name.startswith("plumbline-"))


def written(record, reason=Reason.TIME, detail="no time", offset=7):
    """The letter of a record as a broker gives it back."""
    message = dead_letter("dead", record, Rejected(0, reason, detail))
    return Entry("dead", 2, offset, message.key, message.value, message.headers, 1_700_000_000_000)


@given(
    st.none() | st.binary(max_size=300),
    st.none() | st.binary(max_size=300),
    st.lists(st.tuples(NAMES, st.binary(max_size=20)), max_size=3),
    st.sampled_from(list(Reason)),
    st.text(max_size=50),
)
def test_a_record_comes_back_from_its_letter_as_it_was(key, value, headers, reason, detail):
    record = Entry("readings", 3, 41, key, value, tuple(headers))
    letter = letter_of(written(record, reason, detail))

    assert (letter.reason, letter.source, letter.offset) == (reason.value, Partition("readings", 3), 41)
    assert letter.again() == Message("readings", key, value, (*headers, (REPUBLISHED, b"dead/2/7")))
    assert not letter.truncated


def test_a_letter_that_was_cut_off_says_so():
    letter = letter_of(written(Entry("readings", 0, 1, b"k", b"x" * (LETTER_BYTES + 1))))

    assert letter.truncated == f"value of {LETTER_BYTES + 1} bytes"


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("plumbline-reason", b"time"),),
        (
            ("plumbline-reason", b"t"),
            ("plumbline-topic", b"a"),
            ("plumbline-partition", b"x"),
            ("plumbline-offset", b"1"),
        ),
        (
            ("plumbline-reason", None),
            ("plumbline-topic", None),
            ("plumbline-partition", None),
            ("plumbline-offset", b"1"),
        ),
    ],
)
def test_a_record_that_is_none_of_ours_is_no_letter(headers):
    assert letter_of(Entry("dead", 0, 0, None, b"x", headers)) is None


def test_a_letter_that_is_refused_again_still_goes_back_to_where_the_record_was_read():
    first = letter_of(written(Entry("readings", 3, 41, b"k", b"v", (("trace", b"1"),))))
    message = first.again()
    second = letter_of(written(Entry("readings", 0, 99, message.key, message.value, message.headers)))

    assert (second.source, second.offset, second.headers) == (Partition("readings", 0), 99, (("trace", b"1"),))
