"""A slot as bytes that say what they are; anything else is refused with the reason."""

import pytest

from pipeline.exceptions import StateError
from pipeline.monitor.snapshot import HEADER, MAGIC, VERSION, Slot, decode, digest_of, encode

DIGEST, OTHER = "ab" * 32, "cd" * 32
SLOT = Slot(bytes(range(100)), b"member", b"waiting", b"withheld")
BEHIND = 1 + 2 + len(b"member") + 2 + len(b"waiting") + 2 + len(b"withheld")  # as MessagePack


def test_what_was_taken_out_comes_back():
    assert decode(encode(SLOT, DIGEST), DIGEST, 100) == SLOT


def test_bytes_begin_with_what_they_are_their_version_and_the_detector():
    slot = encode(SLOT, DIGEST)

    assert HEADER.unpack_from(slot)[:3] == (MAGIC, VERSION, bytes.fromhex(DIGEST))
    assert len(slot) == HEADER.size + 100 + BEHIND


def test_a_series_of_which_there_is_nothing_else_has_seven_bytes_behind_its_columns():
    slot = encode(Slot(bytes(100)), DIGEST)

    assert len(slot) == HEADER.size + 100 + 7
    assert decode(slot, DIGEST, 100) == (bytes(100), b"", b"", b"")


@pytest.mark.parametrize("place", [HEADER.size, HEADER.size + 99, HEADER.size - 1])
def test_an_altered_byte_is_noticed(place):
    slot = bytearray(encode(SLOT, DIGEST))
    slot[place] ^= 1

    with pytest.raises(
        StateError, match=f"this slot is damaged: {100 + BEHIND} bytes, of which 100 are columns, or other"
    ):
        decode(bytes(slot), DIGEST, 100)


@pytest.mark.parametrize("length", [0, 1, HEADER.size - 1])
def test_a_slot_shorter_than_its_header_is_truncated(length):
    message = f"a slot of {length} bytes is truncated: its header alone has {HEADER.size}"

    with pytest.raises(StateError, match=message):
        decode(encode(SLOT, DIGEST)[:length], DIGEST, 100)


def test_a_slot_cut_short_behind_its_header_is_damaged():
    with pytest.raises(StateError, match=f"this slot is damaged: {99 + BEHIND} bytes"):
        decode(encode(SLOT, DIGEST)[:-1], DIGEST, 100)


def test_a_slot_of_another_size_is_not_taken_for_ours():
    with pytest.raises(StateError, match=r"this slot is damaged: .* of which 108 are columns"):
        decode(encode(SLOT, DIGEST), DIGEST, 108)


def test_other_bytes_are_no_slot():
    with pytest.raises(StateError, match="these bytes are no slot: they begin with b'PK"):
        decode(b"PK\x03\x04" + bytes(100), DIGEST, 100)


def test_another_layout_asks_to_warm_up_again():
    slot = bytearray(encode(SLOT, DIGEST))
    slot[4] = 9

    with pytest.raises(StateError, match="this slot has layout 9, this program reads 6: let the series warm up"):
        decode(bytes(slot), DIGEST, 100)


def test_a_slot_of_another_detector_names_both():
    with pytest.raises(StateError, match="this slot belongs to detector abababababab, not to cdcdcdcdcdcd"):
        decode(encode(SLOT, DIGEST), OTHER, 100)


def test_a_slot_of_a_detector_that_is_extended_is_ours_and_says_whose_it_is():
    slot = encode(SLOT, OTHER)

    assert decode(slot, DIGEST, 100, kin={DIGEST, OTHER}) == SLOT
    assert digest_of(slot) == OTHER
    assert digest_of(slot[: HEADER.size - 1]) is None
