"""`plumbline tag train` and `plumbline tag predict`."""

from __future__ import annotations

import lzma
import re
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from pipeline.cli.console import counted, note, progress, say
from pipeline.cli.tagger_folder import read_tagger, refuse_other_folder, write_tagger
from pipeline.exceptions import DataError, SettingsError
from pipeline.tagging.conllu import UNTAGGED, Sentence, read_sentences

if TYPE_CHECKING:  # both need torch, which takes seconds that --help and a wrong option need not wait
    from pipeline.tagging.tagging import Tagger
    from pipeline.training.loop import Progress

EPOCHS, FEWEST_STEPS = 6, 200  # a handful of sentences is read more often
EVALUATIONS, PATIENCE = 12, 4  # in all, and without gain
HELD_OUT = 10  # without --dev every tenth sentence validates
WORD = re.compile(r"\w+(?:['\u2019-]\w+)*|[^\w\s]")  # punctuation is a word by itself, as treebanks have it


def train(
    *,
    data: list[Path] | None = None,
    dev: Path | None = None,
    out: Path,
    epochs: int | None = None,
    device: str = "auto",
    seed: int = 0,
) -> None:
    """Learn to tag words: from a treebank, or without one from the two sentences of PyTorch's tutorial.

    Parameters
    ----------
    data
        Treebanks in CoNLL-U, plain or compressed by xz.
    dev
        The treebank that chooses the best weights and gives the accuracy; without it every tenth sentence of the data.
    out
        The folder that becomes the tagger.
    epochs
        How often every sentence is read; 6, or more where there are few.
    device
        auto, cpu or cuda.
    seed
        Of the first weights, the order of the sentences and what is left out while learning.
    """
    if dev is not None and not data:
        raise SettingsError("--dev validates what is learnt from --data, and there is no --data")
    if epochs is not None and epochs < 1:
        raise SettingsError(f"--epochs is {epochs}: at least 1 is needed")
    refuse_other_folder(out)
    learnt, held = _parts(data or [], dev)
    begun = perf_counter()
    tagger, last = _learn(learnt, held, epochs, device, seed)
    share = 1 - last.best
    words = sum(len(sentence) for sentence in held)
    figures = {
        "accuracy": share,
        "sentences": len(learnt),
        "steps": last.step,
        "best_step": last.best_step,
        "seed": seed,
    }
    write_tagger(tagger, figures, out)
    say(
        f"{out}: {counted(len(tagger.vocabulary.words), 'word')}, {counted(len(tagger.vocabulary.tags), 'tag')}; "
        f"accuracy {share:.2%} of {words:,} words; learnt in {perf_counter() - begun:.0f} s"
    )
    say(f'  plumbline tag predict --bundle {out} --text "The dog ate the apple"')


def predict(bundle: Path, *, text: list[str] | None = None, data: list[Path] | None = None) -> None:
    """Tag the words of a text or of a treebank: one sentence a line, each word with its tag.

    Parameters
    ----------
    bundle
        The folder of a tagger.
    text
        One sentence.
    data
        Treebanks in CoNLL-U; where they hold tags, the share of them that was found stands at the end.
    """
    if bool(text) == bool(data):
        raise SettingsError("give either --text or --data")
    if text:
        words = tuple(WORD.findall(" ".join(text)))
        if not words:
            raise DataError(f"--text is {' '.join(text)!r}: there is no word in it")
        sentences = [Sentence(words, (UNTAGGED,) * len(words))]
    else:
        sentences = _sentences(data or [])
    tagger = read_tagger(bundle)
    from pipeline.tagging.tagging import accuracy

    tagged = tagger.tag([sentence.words for sentence in sentences])
    for sentence, tags in zip(sentences, tagged, strict=True):
        say(" ".join(f"{word}/{tag}" for word, tag in zip(sentence.words, tags, strict=True)))
    right, of = accuracy(sentences, tagged)
    if of:
        note(f"accuracy {right / of:.2%} of {of:,} words")


def _parts(data: Sequence[Path], dev: Path | None) -> tuple[list[Sentence], list[Sentence]]:
    """The sentences to learn from, and those to validate on."""
    if not data:
        from pipeline.tagging.tagging import TUTORIAL

        return list(TUTORIAL), list(TUTORIAL)
    sentences = _sentences(data)
    if dev is not None:
        return sentences, _sentences([dev])
    if len(sentences) < 2 * HELD_OUT:
        note(f"{counted(len(sentences), 'sentence')}: too few to hold any back, accuracy is on what was learnt")
        return sentences, sentences
    note(f"no --dev: every {HELD_OUT}th sentence is held back for validation")
    held = sentences[HELD_OUT - 1 :: HELD_OUT]
    del sentences[HELD_OUT - 1 :: HELD_OUT]
    return sentences, held


def _learn(
    learnt: Sequence[Sentence], held: Sequence[Sentence], epochs: int | None, device: str, seed: int
) -> tuple[Tagger, Progress]:
    """A tagger trained on some sentences and validated on others, with a bar; and how its training ended."""
    from pipeline.tagging.tagging import TagCourse, TagSettings, new_tagger
    from pipeline.tagging.vocabulary import vocabulary_of
    from pipeline.training.loop import Plan, drawing_from, generator_of, one_thread, pick_device, train

    one_thread()
    settings, place, generator = TagSettings(), pick_device(device), generator_of(seed)
    try:
        with drawing_from(generator, place):
            tagger = new_tagger(vocabulary_of(learnt), settings)
        tagger.network.to(place)
        course = TagCourse(tagger, learnt, held, settings, generator)
    except ValueError as error:
        raise DataError(f"{error}: give sentences with a universal part of speech in column 4") from error
    steps = course.batches * (epochs or EPOCHS)
    if epochs is None:
        steps = max(steps, FEWEST_STEPS)
    plan = Plan(steps, settings.learning_rate, max(steps // EVALUATIONS, 1), PATIENCE)
    with progress("training", plan.steps) as bar:
        for step in train(tagger.network, course, plan, generator, perf_counter):
            speed = f"{step.items_per_second:,.0f} words/s"
            bar.to(step.step, f"loss {step.loss:.3f}, accuracy {1 - step.validation:.2%}, {speed}")
    return tagger, step


def _sentences(files: Sequence[Path]) -> list[Sentence]:
    """The sentences of treebanks, one after the other; DataError by name where one has none or is not CoNLL-U."""
    sentences: list[Sentence] = []
    for file in files:
        before = len(sentences)
        try:
            with (
                lzma.open(file, "rt", encoding="utf-8")
                if file.suffix == ".xz"
                else file.open(encoding="utf-8") as lines
            ):
                sentences += read_sentences(lines, str(file))
        except (OSError, UnicodeDecodeError, lzma.LZMAError, EOFError) as error:
            raise DataError(f"{file} cannot be read as CoNLL-U in UTF-8: {error}") from error
        if len(sentences) == before:
            raise DataError(f"{file} holds no sentence in CoNLL-U")
    return sentences
