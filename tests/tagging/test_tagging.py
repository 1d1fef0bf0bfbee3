"""The tagger: exactly right on the tutorial's sentences, and what must hold for any other."""

import itertools
import lzma

import pytest
import torch

from pipeline.tagging.conllu import Sentence, read_sentences
from pipeline.tagging.tagging import TUTORIAL, TagCourse, TagSettings, accuracy, new_tagger
from pipeline.tagging.vocabulary import vocabulary_of
from pipeline.training.loop import Plan, drawing_from, generator_of, train
from pipeline.training.resume import decode, encode

SMALL = TagSettings(embedding=12, hidden=16, batch=3)


def lesson(sentences, validation=None, settings=SMALL, seed=0):
    """A fresh tagger with its course and generator."""
    generator = generator_of(seed)
    with drawing_from(generator, torch.device("cpu")):
        tagger = new_tagger(vocabulary_of(sentences), settings)
    return tagger, TagCourse(tagger, sentences, validation or sentences, settings, generator), generator


def trained(sentences, plan, validation=None, settings=SMALL, seed=0, resume=None):
    tagger, course, generator = lesson(sentences, validation, settings, seed)
    progress = list(train(tagger.network, course, plan, generator, itertools.count().__next__, resume))
    return tagger, progress


@pytest.fixture
def sentences(rng):
    """Twenty sentences in which an x is tagged by the word before it, and every other word by itself."""
    made = []
    for length in rng.integers(2, 9, 20).tolist():
        words = [("a", "b", "x")[n] for n in rng.integers(0, 3, length)]
        tags = ["X" + before if word == "x" else word for before, word in zip(["", *words[:-1]], words, strict=True)]
        made.append(Sentence(tuple(words), tuple(tags)))
    return made


@pytest.mark.parametrize("seed", range(3))
def test_the_tutorials_two_sentences_are_exactly_right_after_training(seed):
    tagger, progress = trained(TUTORIAL, Plan(200, 1e-2, 20), settings=TagSettings(), seed=seed)

    assert tagger.tag([sentence.words for sentence in TUTORIAL]) == [sentence.tags for sentence in TUTORIAL]
    assert progress[-1].best == 0


def test_a_word_is_tagged_by_what_stands_before_it(sentences):
    certain = TagSettings(embedding=12, hidden=16, batch=3, dropout=0.0, unknown_share=0.0)
    tagger, _ = trained(sentences, Plan(150, 3e-2, 50), settings=certain)

    assert tagger.tag([("a", "x", "b", "x", "x")]) == [("a", "Xa", "b", "Xb", "Xx")]


def test_order_and_company_of_sentences_change_no_tag(sentences):
    tagger, _ = trained(sentences, Plan(60, 1e-2, 20))
    words = [sentence.words for sentence in sentences]
    together = tagger.tag(words)

    assert tagger.tag(words[::-1]) == together[::-1]
    assert [tagger.tag([each])[0] for each in words] == together


def test_unknown_words_and_empty_sentences_do_no_harm(sentences):
    tagger, _ = trained(sentences, Plan(6, 1e-2, 6))

    assert [len(tags) for tags in tagger.tag([("Zebra", "x", "33", "?!", "Ü"), (), ("a",)])] == [5, 0, 1]
    assert tagger.tag([]) == []


@pytest.mark.parametrize("step", [5, 10, 25])
def test_resumed_in_mid_epoch_training_gives_exactly_the_same_weights(sentences, step):
    plan = Plan(steps=30, evaluate_every=5, patience=9)  # an epoch has 7 steps
    whole, progress = trained(sentences, plan)
    stopped = next(each for each in progress if each.step == step)
    resumed, _ = trained(sentences, plan, resume=decode(encode(stopped.resume, "this"), "this"))
    weights = zip(whole.network.state_dict().values(), resumed.network.state_dict().values(), strict=True)

    assert all(torch.equal(one, other) for one, other in weights)


def test_every_epoch_reads_every_sentence_once(sentences):
    _, course, _ = lesson(sentences)
    words = sum(len(sentence) for sentence in sentences)
    for _ in range(3):
        assert sum(course.loss()[1] for _ in range(course.batches)) == words


def test_validation_is_the_share_of_wrong_tags(sentences):
    tagger, course, _ = lesson(sentences, sentences[:7])
    tagger.network.eval()
    with torch.no_grad():
        found = course.validate()
    right, of = accuracy(sentences[:7], tagger.tag([sentence.words for sentence in sentences[:7]]))

    assert found == pytest.approx(1 - right / of)


def test_words_without_a_tag_are_neither_learnt_nor_counted():
    half = [Sentence(("a", "b"), ("A", "_"))] * 4
    tagger, progress = trained(half, Plan(20, 1e-2, 10))

    assert tagger.tag([("a", "b")]) == [("A", "A")]
    assert progress[-1].best == 0
    assert accuracy(half[:1], [("A", "whatever")]) == (1, 1)


def test_a_tag_that_training_never_saw_counts_as_wrong():
    _, progress = trained([Sentence(("a",), ("A",))], Plan(5, 1e-2, 5), validation=[Sentence(("a", "a"), ("A", "B"))])

    assert progress[-1].best == 0.5


def test_sentences_without_any_tag_are_refused(sentences):
    tagger, _, generator = lesson(sentences)
    with pytest.raises(ValueError, match="no word of the 1 sentences to validate on has a tag"):
        TagCourse(tagger, sentences, [Sentence(("a",), ("_",))], SMALL, generator)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_one_layer_word_lstm_reaches_89_percent_of_english(data_folder):
    def part(name):
        file = data_folder / "ud" / "en_ewt" / f"en_ewt-ud-{name}.conllu.xz"
        with lzma.open(file, "rt", encoding="utf-8") as lines:
            return list(read_sentences(lines, file.name))

    learnt, held = part("train"), part("dev")
    assert (len(learnt), sum(map(len, learnt))) == (12_544, 204_577)
    assert (len(held), sum(map(len, held))) == (2_001, 25_147)
    epochs = 4  # a quarter of a minute; the command's six give half a percent more
    tagger, progress = trained(learnt, Plan(392 * epochs, 1e-2, 392), held, TagSettings())
    right, of = accuracy(held, tagger.tag([sentence.words for sentence in held]))

    assert of == 25_147
    assert right / of >= 0.89
    assert progress[-1].best == pytest.approx(1 - right / of)
    assert tagger.network.core.lstm.num_layers == 1
    assert not tagger.network.core.lstm.bidirectional
