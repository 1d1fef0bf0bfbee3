"""A slot per series: growth, use again, and rows as bytes."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.monitor.table import Columns, Table
from pipeline.records import Flags, Floats, Ints, Singles


@dataclass(slots=True)
class Few(Columns):
    counts: Ints  # (S,)
    marks: Flags  # (S, 2)
    state: Singles  # (S, 2, 3)
    levels: Floats  # (S, 0): a detector may have none


def few():
    return Few(np.zeros(0, np.int64), np.zeros((0, 2), bool), np.zeros((0, 2, 3), np.float32), np.zeros((0, 0)))


def filled(table, columns, series):
    slot = table.add(series)
    columns.counts[slot] = len(series)
    columns.marks[slot] = [True, False]
    columns.state[slot] = np.arange(6).reshape(2, 3) + slot
    return slot


def test_series_keep_what_is_theirs_while_the_table_grows():
    columns = few()
    table = Table(columns)
    names = [f"pump-{number}" for number in range(100)]
    slots = {name: filled(table, columns, name) for name in names}

    assert len(table) == 100
    assert table.names() == names
    assert table.in_use().tolist() == list(slots.values())
    for name, slot in slots.items():
        assert table[name] == slot
        assert table.name(slot) == name
        assert columns.counts[slot] == len(name)
        assert columns.state[slot, 1, 2] == 5 + slot


def test_a_dropped_slot_is_cleared_and_used_again():
    columns, aside = few(), few()
    table = Table(columns, aside=[aside])
    slot = filled(table, columns, "a")
    aside.counts[slot] = 9
    filled(table, columns, "b")
    table.drop(["a"])
    again = table.add("c")

    assert again == slot
    assert "a" not in table
    assert table.names() == ["b", "c"]
    assert (columns.counts[again], aside.counts[again], columns.state[again].any()) == (0, 0, False)


def test_a_free_slot_has_no_name():
    table = Table(few())
    slot = table.add("a")
    table.drop(["a"])

    with pytest.raises(KeyError):
        table.name(slot)


def test_a_series_has_one_slot():
    table = Table(few())
    table.add("a")

    with pytest.raises(ValueError, match="a has a slot already"):
        table.add("a")


@given(st.integers(-(2**63), 2**63 - 1), st.floats(width=32, allow_nan=False), st.booleans())
def test_a_row_taken_out_and_put_back_is_the_same(count, number, flag):
    columns, other = few(), few()
    table, another = Table(columns), Table(other)
    slot = filled(table, columns, "a")
    columns.counts[slot], columns.state[slot, 0, 1], columns.marks[slot, 1] = count, number, flag
    another.add("first")
    place = another.add("a")
    another.unpack(["a"], table.pack(["a"]))

    assert place != slot
    for mine, theirs in zip(columns.arrays(), other.arrays(), strict=True):
        np.testing.assert_array_equal(mine[slot], theirs[place])


def test_bytes_are_little_endian_and_of_one_length_for_every_row():
    columns = few()
    table = Table(columns)
    slot = filled(table, columns, "abc")
    (packed,) = table.pack(["abc"])

    assert len(packed) == table.row_bytes == Table(few()).row_bytes == 8 + 2 + 24
    assert packed[:8] == (3).to_bytes(8, "little")
    assert packed[8:10] == b"\x01\x00"
    assert packed[10:] == (np.arange(6, dtype="<f4") + slot).tobytes()


@pytest.mark.parametrize("wrong", [b"", b"\x00" * 33, b"\x00" * 35])
def test_bytes_of_another_length_are_refused(wrong):
    table = Table(few())
    table.add("a")

    with pytest.raises(ValueError, match=f"{len(wrong)} bytes for a slot of 34"):
        table.unpack(["a"], [wrong])


def test_many_rows_taken_out_together_are_those_taken_one_by_one():
    columns = few()
    table = Table(columns)
    names = [f"{number}" * (number + 1) for number in range(7)]
    for name in names:
        filled(table, columns, name)

    assert table.pack(names[::-1]) == [table.pack([name])[0] for name in names[::-1]]
    assert table.pack([]) == []
