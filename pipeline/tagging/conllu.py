"""Sentences of words and tags from CoNLL-U, the format of Universal Dependencies.

A line is a word with ten columns between tabs, a comment (#), or empty after a sentence. Lines whose ID is a range
(`3-4`, a word written together) or an empty node (`3.1`) are no words. Source: https://universaldependencies.org/format
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipeline.exceptions import DataError

COLUMNS = 10
UNTAGGED = "_"  # a word without a tag
NO_WORD = re.compile(r"\d+[-.]\d+")


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words and, for each, its universal part of speech (column 4), or UNTAGGED."""

    words: tuple[str, ...]
    tags: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.words)


def read_sentences(lines: Iterable[str], source: str) -> Iterator[Sentence]:
    """The sentences in order; DataError with `source` and line number where a line is not CoNLL-U."""
    words: list[str] = []
    tags: list[str] = []
    for number, line in enumerate(lines, start=1):
        line = line.rstrip("\r\n")
        if line.startswith("#"):
            continue
        if line:
            _add(line, words, tags, f"{source}, line {number}")
        elif words:
            yield Sentence(tuple(words), tuple(tags))
            words, tags = [], []
    if words:
        yield Sentence(tuple(words), tuple(tags))


def _add(line: str, words: list[str], tags: list[str], where: str) -> None:
    """Add the word of a line, if it is one, to the sentence."""
    columns = line.split("\t")
    if len(columns) != COLUMNS:
        raise DataError(f"{where}: {len(columns)} columns between tabs where CoNLL-U has {COLUMNS}: {line[:60]!r}")
    identity, word, tag = columns[0], columns[1], columns[3]
    if NO_WORD.fullmatch(identity):
        return
    if identity != str(len(words) + 1):
        raise DataError(f"{where}: word {identity!r:.20} where word {len(words) + 1} of the sentence is expected")
    if not word or not tag:
        raise DataError(f"{where}: the {'tag' if word else 'word'} is empty; CoNLL-U writes _ for what is not known")
    words.append(word)
    tags.append(tag)
