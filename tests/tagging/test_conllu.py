"""CoNLL-U: what is a word, and what is no CoNLL-U at all."""

import pytest

from pipeline.exceptions import DataError
from pipeline.tagging.conllu import Sentence, read_sentences


def line(identity, word="w", tag="X"):
    return "\t".join([identity, word, "_", tag] + ["_"] * 6) + "\n"


def read(*lines):
    return list(read_sentences(lines, "a.conllu"))


def test_sentences_end_at_an_empty_line_or_with_the_file():
    found = read(
        "# a comment\n", line("1", "Well", "INTJ"), "\n", "\n", line("1", "no", "INTJ"), line("2", "!", "PUNCT")
    )

    assert found == [Sentence(("Well",), ("INTJ",)), Sentence(("no", "!"), ("INTJ", "PUNCT"))]


def test_ranges_and_empty_nodes_are_no_words():
    found = read(
        line("1-2", "du", "_"), line("1", "de", "ADP"), line("2", "le", "DET"), line("2.1", "e", "X"), line("3")
    )

    assert found == [Sentence(("de", "le", "w"), ("ADP", "DET", "X"))]


def test_words_may_hold_spaces_and_a_line_may_end_as_windows_has_it():
    assert read(line("1", "1 000", "NUM").replace("\n", "\r\n")) == [Sentence(("1 000",), ("NUM",))]


def test_a_file_without_words_has_no_sentences():
    assert read("# only comments\n", "\n") == []


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("The dog ate the apple\n", "line 3: 1 columns between tabs where CoNLL-U has 10"),
        (line("3"), "line 3: word '3' where word 2"),
        (line("one"), "line 3: word 'one' where word 2"),
        (line("2", ""), "line 3: the word is empty"),
        (line("2", "w", ""), "line 3: the tag is empty"),
    ],
)
def test_a_malformed_line_is_refused_with_its_number(bad, message):
    with pytest.raises(DataError, match=f"a.conllu, {message}"):
        read("# text\n", line("1"), bad)
