"""The tagger: how it is learnt from sentences, and what it says of others.

`TagCourse` is what the training loop asks for losses; the command line brings the two together.
W words of all sentences, S sentences, B sentences in a mini batch, T words of the longest of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from models.tagger import PADDING, LSTMTagger
from pipeline.tagging.conllu import UNTAGGED, Sentence
from pipeline.tagging.vocabulary import IGNORED, Vocabulary, unknown

TUTORIAL = (  # the sentences of PyTorch's tutorial
    Sentence(("The", "dog", "ate", "the", "apple"), ("DET", "NN", "V", "DET", "NN")),
    Sentence(("Everybody", "read", "that", "book"), ("NN", "V", "DET", "NN")),
)
READ_AT_ONCE = 64  # sentences, when nothing is learnt
POOL = 20  # mini batches whose sentences are put together by length: less padding, yet another mixture every epoch


@dataclass(frozen=True, slots=True)
class TagSettings:
    """Sizes of the tagger and how it is learnt."""

    embedding: int = 100
    hidden: int = 128
    dropout: float = 0.3  # of the inputs and outputs of the core
    batch: int = 32  # sentences
    learning_rate: float = 1e-2
    # A word seen n times in training counts as unknown in the share a / (a + n) of its readings, so that unknown words
    # are learnt too (Kiperwasser and Goldberg 2016, https://arxiv.org/abs/1603.04351, section 4.2).
    unknown_share: float = 0.25  # a


@dataclass(frozen=True, slots=True)
class Tagger:
    """What was learnt: the words and tags, and the network between them."""

    vocabulary: Vocabulary
    network: LSTMTagger

    def tag(self, sentences: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
        """A tag for every word of every sentence."""
        rows = Encoded.of([Sentence(tuple(words), (UNTAGGED,) * len(words)) for words in sentences], self.vocabulary)
        tagged: dict[int, tuple[str, ...]] = {}
        self.network.eval()
        with torch.no_grad():
            for chosen in rows.by_length():
                numbers = self.network(rows.batch(chosen)[0]).argmax(-1).tolist()
                for sentence, tags in zip(chosen.tolist(), numbers, strict=True):
                    length = len(sentences[sentence])
                    tagged[sentence] = tuple(self.vocabulary.tags[number] for number in tags[:length])
        return [tagged.get(sentence, ()) for sentence in range(len(sentences))]


def new_tagger(vocabulary: Vocabulary, settings: TagSettings) -> Tagger:
    """A tagger that has learnt nothing; its first weights come from torch's global randomness (`drawing_from`)."""
    network = LSTMTagger(
        vocabulary.size, len(vocabulary.tags), settings.embedding, settings.hidden, dropout=settings.dropout
    )
    return Tagger(vocabulary, network)


def accuracy(sentences: Sequence[Sentence], tagged: Sequence[Sequence[str]]) -> tuple[int, int]:
    """How many words have the tag that the sentences say, and how many have one there at all."""
    pairs = [
        (found, said)
        for sentence, tags in zip(sentences, tagged, strict=True)
        for found, said in zip(tags, sentence.tags, strict=True)
        if said != UNTAGGED
    ]
    return sum(found == said for found, said in pairs), len(pairs)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Sentences as numbers, one after the other."""

    words: Tensor  # (W,)
    tags: Tensor  # (W,)
    starts: Tensor  # (S,)
    lengths: Tensor  # (S,)

    @classmethod
    def of(cls, sentences: Sequence[Sentence], vocabulary: Vocabulary) -> Encoded:
        """These sentences in the numbers of the vocabulary."""
        lengths = torch.tensor([len(sentence) for sentence in sentences], dtype=torch.int64)
        return cls(
            torch.tensor([n for s in sentences for n in vocabulary.numbers(s.words)], dtype=torch.int64),
            torch.tensor([n for s in sentences for n in vocabulary.tag_numbers(s.tags)], dtype=torch.int64),
            lengths.cumsum(0) - lengths,
            lengths,
        )

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Words and tags of the chosen sentences, (B, T) each; PADDING and IGNORED behind the shorter ones."""
        places, inside = self.places(chosen)
        return self.words[places].where(inside, PADDING), self.tags[places].where(inside, IGNORED)

    def places(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Where the words of the chosen sentences stand, (B, T), and which places are within their sentence."""
        lengths = self.lengths[chosen][:, None]
        steps = torch.arange(int(lengths.max()))
        inside = steps < lengths
        return (self.starts[chosen][:, None] + steps).where(inside, 0), inside

    def by_length(self) -> Iterator[Tensor]:
        """All sentences that have words, some at a time, the shortest first."""
        order = self.lengths.argsort(stable=True)
        order = order[self.lengths[order] > 0]
        for first in range(0, len(order), READ_AT_ONCE):
            yield order[first : first + READ_AT_ONCE]


class TagCourse:
    """Teaches a tagger the tags of sentences; validated by the share of wrong tags in others.

    Draws come from `generator` alone. ValueError where no word of either kind of sentence has a tag.
    """

    def __init__(
        self,
        tagger: Tagger,
        train: Sequence[Sentence],
        validation: Sequence[Sentence],
        settings: TagSettings,
        generator: torch.Generator,
    ) -> None:
        self._network = tagger.network
        self._device = next(tagger.network.parameters()).device
        self._train = Encoded.of(train, tagger.vocabulary)
        self._validation = Encoded.of(validation, tagger.vocabulary)
        for kind, sentences in (("learn from", self._train), ("validate on", self._validation)):
            if not (sentences.tags != IGNORED).any():
                raise ValueError(f"no word of the {len(sentences)} sentences to {kind} has a tag")
        seen = Counter(self._train.words.tolist())
        counts = torch.tensor([seen[word] for word in self._train.words.tolist()])
        self._unknown_share = settings.unknown_share / (settings.unknown_share + counts)  # (W,)
        self._unknown = torch.tensor([unknown(word) for sentence in train for word in sentence.words])  # (W,)
        self._batch = settings.batch
        self._generator = generator
        self._order = torch.zeros(0, dtype=torch.int64)  # of the sentences in this epoch
        self._turns = torch.zeros(0, dtype=torch.int64)  # of the mini batches in it
        self._turn = 0  # the next of them

    @property
    def batches(self) -> int:
        """Mini batches in an epoch."""
        return -(-len(self._train) // self._batch)

    def loss(self) -> tuple[Tensor, int]:
        """The mean negative log-probability of the tags of the next mini batch, and how many words it has."""
        if self._turn == len(self._turns):
            self._shuffle()
        begin = int(self._turns[self._turn]) * self._batch
        self._turn += 1
        chosen = self._order[begin : begin + self._batch]
        words, tags = self._train.batch(chosen)
        places, inside = self._train.places(chosen)
        forgotten = torch.rand(words.shape, generator=self._generator) < self._unknown_share[places]
        words = self._unknown[places].where(forgotten & inside, words)
        scores: Tensor = self._network(words.to(self._device))  # (B, T, tags)
        wrong = F.nll_loss(scores.flatten(0, 1), tags.flatten().to(self._device), ignore_index=IGNORED, reduction="sum")
        return wrong / (tags != IGNORED).sum().clamp(min=1), int(inside.sum())

    def validate(self) -> float:
        """The share of the validation words that would get a wrong tag."""
        right, tagged = torch.zeros((), dtype=torch.int64, device=self._device), 0
        for chosen in self._validation.by_length():
            words, tags = self._validation.batch(chosen)
            scores: Tensor = self._network(words.to(self._device))
            right += (scores.argmax(-1) == tags.to(self._device)).sum()
            tagged += int((tags != IGNORED).sum())
        return 1 - right.item() / tagged

    def _shuffle(self) -> None:
        """Begin an epoch: mix the sentences, put those of like length together, mix the mini batches."""
        order = torch.randperm(len(self._train), generator=self._generator)
        pools = order.split(self._batch * POOL)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self._order = torch.cat([pool[self._train.lengths[pool].argsort(stable=True)] for pool in pools])
        self._turns = torch.randperm(self.batches, generator=self._generator)
        self._turn = 0

    def state(self) -> dict[str, Tensor]:
        """Where the course stands in its epoch."""
        return {"order": self._order, "turns": self._turns, "turn": torch.tensor(self._turn)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from there."""
        self._order, self._turns, self._turn = state["order"].cpu(), state["turns"].cpu(), int(state["turn"])
