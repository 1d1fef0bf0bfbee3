"""Words and tags as numbers. A word that training never saw is one of a few kinds, by what it looks like."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from models.tagger import PADDING
from pipeline.tagging.conllu import UNTAGGED, Sentence

UNKNOWN = ("lower", "Capital", "UPPER", "digit", "symbol")  # what an unknown word looks like; numbers 1 to 5
FIRST_WORD = PADDING + 1 + len(UNKNOWN)
IGNORED = -100  # the number of no tag: such a word is neither learnt nor counted


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words, in lower case, and the tags of the training sentences; a number is a place in these lists."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    _numbers: dict[str, int] = field(init=False, repr=False, compare=False)
    _tag_numbers: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_numbers", {word: FIRST_WORD + n for n, word in enumerate(self.words)})
        object.__setattr__(self, "_tag_numbers", {tag: n for n, tag in enumerate(self.tags)})
        if len(self._numbers) != len(self.words) or len(self._tag_numbers) != len(self.tags) or not self.tags:
            raise ValueError("a vocabulary has each word and tag once, and at least one tag")

    @property
    def size(self) -> int:
        """How many numbers there are for words, those of padding and unknown words among them."""
        return FIRST_WORD + len(self.words)

    def numbers(self, words: Iterable[str]) -> list[int]:
        """The number of each word; that of its kind where it is unknown."""
        return [self._numbers.get(word.lower()) or unknown(word) for word in words]

    def tag_numbers(self, tags: Iterable[str]) -> list[int]:
        """The number of each tag; IGNORED for UNTAGGED, and -1, which is never given, for one unseen in training."""
        return [IGNORED if tag == UNTAGGED else self._tag_numbers.get(tag, -1) for tag in tags]


def vocabulary_of(sentences: Sequence[Sentence]) -> Vocabulary:
    """All words and tags of these sentences, in alphabetical order; ValueError where not one word has a tag."""
    words = sorted({word.lower() for sentence in sentences for word in sentence.words})
    tags = sorted({tag for sentence in sentences for tag in sentence.tags} - {UNTAGGED})
    if not tags:
        raise ValueError(f"no word of the {len(sentences)} sentences to learn from has a tag")
    return Vocabulary(tuple(words), tuple(tags))


def unknown(word: str) -> int:
    """The number of an unknown word that looks like this one."""
    if any(letter.isdigit() for letter in word):
        kind = "digit"
    elif not any(letter.isalpha() for letter in word):
        kind = "symbol"
    elif word.isupper() and len(word) > 1:
        kind = "UPPER"
    else:
        kind = "Capital" if word[0].isupper() else "lower"
    return PADDING + 1 + UNKNOWN.index(kind)
