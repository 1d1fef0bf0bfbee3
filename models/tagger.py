"""The tagger of PyTorch's tutorial on LSTMs: words in, the log-probability of every tag for every word out.

    words (B, T) --- embedding ---> (B, T, E) --- LSTM core ---> (B, T, H) --- linear, log-softmax ---> (B, T, tags)

B sentences, T words, E sizes of a word's vector, H hidden units. Shorter sentences are filled up at their end: the core
reads from left to right, so that what follows a word cannot change its tag.
Source: https://docs.pytorch.org/tutorials/beginner/nlp/sequence_models_tutorial.html
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from models.core import LSTMCore

PADDING = 0  # the word that fills up a shorter sentence


class LSTMTagger(nn.Module):
    """One tag per word, from the word and those before it."""

    def __init__(
        self, words: int, tags: int, embedding: int = 64, hidden: int = 64, layers: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, embedding, padding_idx=PADDING)
        self.dropout = nn.Dropout(dropout)
        self.core = LSTMCore(embedding, hidden, layers, dropout)
        self.to_tags = nn.Linear(hidden, tags)

    def forward(self, words: Tensor) -> Tensor:
        """Map words (B, T), PADDING after the end of a sentence, to log-probabilities (B, T, tags)."""
        vectors: Tensor = self.dropout(self.embedding(words))
        read: Tensor
        read, _ = self.core(vectors)
        scores: Tensor = self.to_tags(self.dropout(read))
        return F.log_softmax(scores, dim=-1)
