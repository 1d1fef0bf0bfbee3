"""A slot as bytes that say what they are; anything else is refused with the reason."""

import pytest

from pipeline.exceptions import StateError
from pipeline.monitor.membership import MEMBERSHIP_BYTES
from pipeline.monitor.snapshot import HEADER, MAGIC, VERSION, VERSION_OF_MEMBERS, decode, encode

DIGEST, OTHER = "ab" * 32, "cd" * 32
PACKED = bytes(range(100))


def test_what_was_taken_out_comes_back():
    assert decode(encode(PACKED, DIGEST), DIGEST, 100) == PACKED


def test_bytes_begin_with_what_they_are_their_version_and_the_detector():
    slot = encode(PACKED, DIGEST)

    assert HEADER.unpack_from(slot)[:3] == (MAGIC, VERSION, bytes.fromhex(DIGEST))
    assert len(slot) == HEADER.size + 100


def test_a_member_of_a_group_has_its_membership_behind_its_columns_and_a_version_of_its_own():
    membership = bytes(range(MEMBERSHIP_BYTES))
    slot = encode(PACKED, DIGEST, membership)

    assert HEADER.unpack_from(slot)[1] == VERSION_OF_MEMBERS == VERSION + 1
    assert decode(slot, DIGEST, 100) == PACKED + membership
    with pytest.raises(StateError, match=f"damaged: {100 + MEMBERSHIP_BYTES - 1} bytes where {100 + MEMBERSHIP_BYTES}"):
        decode(slot[:-1], DIGEST, 100)


@pytest.mark.parametrize("place", [HEADER.size, HEADER.size + 99, HEADER.size - 1])
def test_an_altered_byte_is_noticed(place):
    slot = bytearray(encode(PACKED, DIGEST))
    slot[place] ^= 1

    with pytest.raises(StateError, match="this slot is damaged: 100 bytes where 100 were written, or other ones"):
        decode(bytes(slot), DIGEST, 100)


@pytest.mark.parametrize("length", [0, 1, HEADER.size - 1])
def test_a_slot_shorter_than_its_header_is_truncated(length):
    message = f"a slot of {length} bytes is truncated: its header alone has {HEADER.size}"

    with pytest.raises(StateError, match=message):
        decode(encode(PACKED, DIGEST)[:length], DIGEST, 100)


def test_a_slot_cut_short_behind_its_header_is_damaged():
    with pytest.raises(StateError, match="this slot is damaged: 99 bytes where 100 were written"):
        decode(encode(PACKED, DIGEST)[:-1], DIGEST, 100)


def test_a_slot_of_another_size_is_not_taken_for_ours():
    with pytest.raises(StateError, match="this slot is damaged: 100 bytes where 108 were written"):
        decode(encode(PACKED, DIGEST), DIGEST, 108)


def test_other_bytes_are_no_slot():
    with pytest.raises(StateError, match="these bytes are no slot: they begin with b'PK"):
        decode(b"PK\x03\x04" + bytes(100), DIGEST, 100)


def test_another_layout_asks_to_warm_up_again():
    slot = bytearray(encode(PACKED, DIGEST))
    slot[4] = 9

    with pytest.raises(StateError, match="this slot has layout 9, this program reads 4 and 5: let the series warm up"):
        decode(bytes(slot), DIGEST, 100)


def test_a_slot_of_another_detector_names_both():
    with pytest.raises(StateError, match="this slot belongs to detector abababababab, not to cdcdcdcdcdcd"):
        decode(encode(PACKED, DIGEST), OTHER, 100)
