"""The vocabulary: one number for each word and tag, and a kind for every word that is not known."""

import pytest

from models.tagger import PADDING
from pipeline.tagging.conllu import Sentence
from pipeline.tagging.vocabulary import IGNORED, UNKNOWN, Vocabulary, unknown, vocabulary_of

KNOWN = vocabulary_of([Sentence(("The", "dog", "the", "cat"), ("DET", "NN", "DET", "_"))])


def test_words_are_known_whatever_their_case_and_tags_as_they_are():
    assert Vocabulary(("cat", "dog", "the"), ("DET", "NN")) == KNOWN
    assert KNOWN.numbers(["the", "THE", "Dog"]) == [8, 8, 7]
    assert KNOWN.size == 9
    assert KNOWN.tag_numbers(["NN", "DET", "_", "nn"]) == [1, 0, IGNORED, -1]


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("zebra", "lower"),
        ("Zebra", "Capital"),
        ("I", "Capital"),
        ("NASA", "UPPER"),
        ("3rd", "digit"),
        (":-)", "symbol"),
    ],
)
def test_an_unknown_word_is_of_the_kind_that_it_looks_like(word, kind):
    assert unknown(word) == PADDING + 1 + UNKNOWN.index(kind)
    assert KNOWN.numbers([word]) == [unknown(word)]


@pytest.mark.parametrize(("words", "tags"), [(("a", "a"), ("X",)), (("a",), ("X", "X")), (("a",), ())])
def test_a_vocabulary_that_is_none_is_refused(words, tags):
    with pytest.raises(ValueError, match="once"):
        Vocabulary(words, tags)
