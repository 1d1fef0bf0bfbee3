"""The tagger: probabilities, and sentences of different lengths side by side."""

import torch

from models.tagger import PADDING, LSTMTagger


def test_every_word_gets_probabilities_that_sum_to_one():
    network = LSTMTagger(words=10, tags=4, embedding=6, hidden=5)
    scores = network(torch.randint(1, 10, (3, 7)))

    assert scores.shape == (3, 7, 4)
    torch.testing.assert_close(scores.exp().sum(-1), torch.ones(3, 7))


def test_a_sentence_is_tagged_alike_alone_and_beside_a_longer_one():
    network = LSTMTagger(words=10, tags=4, embedding=6, hidden=5)
    long, short = torch.tensor([[1, 2, 3, 4, 5]]), torch.tensor([[6, 7]])
    both = torch.full((2, 5), PADDING)
    both[0], both[1, :2] = long[0], short[0]
    scores = network(both)

    torch.testing.assert_close(scores[:1], network(long), atol=1e-6, rtol=0)
    torch.testing.assert_close(scores[1:, :2], network(short), atol=1e-6, rtol=0)
