"""The core keeps nothing between calls: what it is given is all that it knows."""

import torch

from models.core import LSTMCore, detached


def test_a_sequence_cut_anywhere_gives_the_same_outputs_and_state():
    core = LSTMCore(3, 5, layers=2)
    x = torch.randn(4, 20, 3)
    whole, after = core(x)
    for cut in (1, 7, 19):
        first, state = core(x[:, :cut])
        second, end = core(x[:, cut:], state)

        torch.testing.assert_close(torch.cat((first, second), dim=1), whole, atol=1e-6, rtol=0)
        torch.testing.assert_close(end, after, atol=1e-6, rtol=0)


def test_asking_twice_gives_the_same_answer():
    core = LSTMCore(3, 5)
    x = torch.randn(2, 6, 3)
    once, _ = core(x)
    core(torch.randn(2, 6, 3))
    again, _ = core(x)

    assert torch.equal(once, again)


def test_one_step_is_the_lstm_of_the_textbook():
    core = LSTMCore(2, 3)
    x, h, c = torch.randn(1, 1, 2), torch.randn(1, 1, 3), torch.randn(1, 1, 3)
    lstm = core.lstm
    gates = x[0, 0] @ lstm.weight_ih_l0.T + lstm.bias_ih_l0 + h[0, 0] @ lstm.weight_hh_l0.T + lstm.bias_hh_l0
    enter, forget, candidate, leave = gates.chunk(4)
    cell = torch.sigmoid(forget) * c[0, 0] + torch.sigmoid(enter) * torch.tanh(candidate)
    output, (_, cells) = core(x, (h, c))

    torch.testing.assert_close(cells[0, 0], cell)
    torch.testing.assert_close(output[0, 0], torch.sigmoid(leave) * torch.tanh(cell))


def test_dropout_is_between_layers_and_silent_for_a_single_one():
    one, two = LSTMCore(2, 8, layers=1, dropout=0.5), LSTMCore(2, 8, layers=2, dropout=0.5)
    x = torch.randn(1, 9, 2)

    assert torch.equal(one(x)[0], one(x)[0])
    assert not torch.equal(two(x)[0], two(x)[0])


def test_no_gradient_flows_through_a_detached_state():
    core = LSTMCore(2, 3)
    _, state = core(torch.randn(1, 4, 2))
    assert all(part.requires_grad for part in state)

    assert not any(part.requires_grad for part in detached(state))
