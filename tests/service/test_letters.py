"""Dead letters, written and read back, and their records sent back."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records import Reason, Rejected
from pipeline.service.letters import LETTER_BYTES, REPUBLISHED, Place, dead_letter, letter_of, sent_back
from pipeline.service.ports import Message
from tests.service.memory import Entry

WHY = Rejected(0, Reason.OVERSIZE, "2000000 bytes, of at most 1048576")
RECORD = Entry("readings", 3, 9, b"k", b"\xff\x00{", (("trace", b"1"), ("trace", b"2"), ("null", None)))
OURS = dead_letter("dead", replace(RECORD, headers=()), WHY).headers


def written(record, why=WHY, offset=17):
    """The letter of a record as a broker gives it back."""
    _, key, value, headers = dead_letter("dead", record, why)
    return Entry("dead", 0, offset, key, value, headers, timestamp=1_700_000_000_000)


def again(record, offset):
    """The record as it stands in its topic after it was sent back."""
    _, key, value, headers = letter_of(written(record)).again()
    return Entry(record.topic, record.partition, offset, key, value, headers)


@given(
    st.none() | st.binary(max_size=300),
    st.none() | st.binary(max_size=300),
    st.lists(st.tuples(st.text(min_size=1, max_size=20), st.none() | st.binary(max_size=20)), max_size=3),
    st.sampled_from(list(Reason)),
    st.text(max_size=50),
)
def test_a_record_comes_back_from_its_letter_as_it_was(key, value, headers, reason, detail):
    record = replace(RECORD, key=key, value=value, headers=tuple(headers))
    letter = letter_of(written(record, Rejected(0, reason, detail)))
    nothing = key is None and value is None

    assert (letter.reason, letter.source, letter.place) == (reason, Place("readings", 3, 9), Place("dead", 0, 17))
    assert letter.headers == tuple(headers)
    assert bool(letter.truncated) == nothing
    if not nothing:
        mark = (REPUBLISHED, b"readings[3]@9 by letter dead[0]@17")
        own = (header for header in headers if header[0] != REPUBLISHED)
        assert letter.again() == Message("readings", key, value, (*own, mark))


@pytest.mark.parametrize(
    "theirs",
    [
        (("plumbline-reason", b"mine"), ("plumbline-detail", b"x"), ("plumbline-topic", b"elsewhere")),
        (("plumbline-truncated", b"mine"),),
        (("plumbline-offset", None),),
    ],
)
def test_headers_of_the_record_that_are_named_like_ours_stay_the_records(theirs):
    letter = letter_of(written(replace(RECORD, headers=theirs)))

    assert letter.headers == theirs
    assert letter.source == Place("readings", 3, 9)
    assert not letter.truncated


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("h", b"1"),),
        (("plumbline-reason", b"field"),),
        OURS[:-1],
        OURS[1:],
        (*OURS, ("later", b"1")),
        (*OURS[:-1], ("plumbline-offset", b"-9")),
        (*OURS[:-1], ("plumbline-offset", None)),
    ],
)
def test_a_record_that_is_none_of_ours_is_no_letter(headers):
    assert letter_of(Entry("dead", 0, 0, b"k", b"v", headers)) is None


def test_a_letter_too_large_to_be_sent_is_cut_and_says_so():
    letter = letter_of(written(replace(RECORD, value=b"x" * 2_000_000, headers=())))

    assert letter.value == b"x" * (LETTER_BYTES - 1)
    assert letter.truncated == "value of 2000000 bytes"


def test_a_letter_whose_key_and_headers_are_too_large_is_cut_too():
    headers = (("h", b"z" * 500_000), ("null", None))
    letter = letter_of(written(replace(RECORD, key=b"k" * 1_000_000, value=b"v", headers=headers)))

    assert len(letter.key) == LETTER_BYTES // 4
    assert (letter.value, letter.headers) == (b"v", ())
    assert letter.truncated == "headers of 500005 bytes, key of 1000000 bytes"


def test_a_letter_that_fits_is_whole():
    letter = letter_of(written(replace(RECORD, value=b"x" * 800_000)))

    assert letter.value == b"x" * 800_000
    assert not letter.truncated


def test_a_record_of_nothing_at_all_is_a_letter_that_can_be_sent():
    letter = letter_of(written(replace(RECORD, key=None, value=None)))

    assert (letter.key, letter.value) == (None, b"")
    assert letter.truncated == "key and value, which both were null"


def test_what_was_cut_is_not_sent_back():
    letter = letter_of(written(replace(RECORD, value=b"x" * 2_000_000)))

    with pytest.raises(ValueError, match=r"dead\[0\]@17 holds only a part of its record: cut were value of 2000000 b"):
        letter.again()


def test_what_is_rejected_again_goes_back_to_where_it_was_read_with_the_later_letter_alone():
    letter = letter_of(written(again(RECORD, offset=40), offset=18))

    assert letter.republished == "readings[3]@9 by letter dead[0]@17"
    assert letter.again().headers == (*RECORD.headers, (REPUBLISHED, b"readings[3]@40 by letter dead[0]@18"))


def test_what_was_sent_back_is_known_by_the_record_that_it_was():
    letter, repeated = letter_of(written(RECORD)), letter_of(written(RECORD, offset=18))
    found = sent_back([RECORD, again(RECORD, offset=40)])

    assert found == {letter.identity} == {repeated.identity}
    assert letter_of(written(replace(RECORD, offset=10))).identity not in found
    assert letter_of(written(replace(RECORD, value=b"of a topic made anew"))).identity not in found
    assert letter_of(written(again(RECORD, offset=40))).identity not in found


def test_a_key_that_is_null_is_not_one_that_is_empty():
    pairs = [(None, b""), (b"", None), (b"", b"")]
    apart = {letter_of(written(replace(RECORD, key=key, value=value))).identity for key, value in pairs}

    assert len(apart) == 3


def test_a_header_that_says_nothing_of_ours_is_passed_over():
    strange = [(REPUBLISHED, None), (REPUBLISHED, b"\xff"), (REPUBLISHED, b"readings[x]@9 by letter dead[0]@17")]

    assert sent_back([replace(RECORD, headers=(header,)) for header in strange]) == set()
