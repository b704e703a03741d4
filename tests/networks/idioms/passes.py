"""Networks that ask something of the pass: random numbers, recurrence, attention, gradients, more than one image."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from tests.networks.idioms.registry import IDIOMS, idiom, square, written
from tests.support.networks import linear, weight

# Random numbers

written("dropout_always", lambda n, x: n.a(F.dropout(x)), a=linear())
written("dropout_of_channels", lambda n, x: n.a(F.dropout2d(x.view(-1, 4, 2, 2)).flatten(1)), a=linear())
written("alpha_dropout", lambda n, x: n.a(F.alpha_dropout(x, training=True)), a=linear())
written("gumbel_softmax", lambda n, x: n.b(F.gumbel_softmax(n.a(x))), a=linear(), b=linear())
written("randomised_relu", lambda n, x: n.a(F.rrelu(x, training=True)), a=linear())
written("stochastic_depth", lambda n, x: x + torchvision.ops.stochastic_depth(n.a(x), 0.5, "row"), a=linear())
written("drop_block", lambda n, x: n.a(torchvision.ops.drop_block2d(square(x), 0.5, 3).flatten(1)), a=linear())
written("noise_in_place", lambda n, x: n.a(x + torch.empty_like(x).normal_()), a=linear())
written("noise_over_activations", lambda n, x: n.b(n.a(n.a(x)).uniform_() + x), a=linear(), b=linear())
written("sampled_latent", lambda n, x: n.b(n.a(x) + n.c(x).exp() * torch.randn(16)), a=linear(), b=linear(), c=linear())


@idiom
def circular_padding() -> nn.Module:
    first, second = (nn.Conv2d(n, 2, 3, padding=1, padding_mode="circular") for n in (1, 2))
    return nn.Sequential(first, second, nn.Flatten(), nn.Linear(32, 2))


# Recurrence over the 28 rows of an image


class Rows(nn.Module):
    def __init__(self, recurrent: nn.Module, *head: nn.Module) -> None:
        super().__init__()
        self.recurrent, self.head = recurrent, nn.Sequential(*head)

    def forward(self, images: Tensor) -> Any:
        return self.head(self.recurrent(images.squeeze(1))[0][:, -1])


class Packed(Rows):
    def forward(self, images: Tensor) -> Any:
        lengths = torch.tensor([20] * len(images))
        rows = nn.utils.rnn.pack_padded_sequence(images.squeeze(1), lengths, batch_first=True)
        return self.head(self.recurrent(rows)[1][0][-1])


class Cells(Rows):
    def forward(self, images: Tensor) -> Any:
        state = None
        for row in images.squeeze(1).unbind(1):
            state = self.recurrent(row, state)
        return self.head(state[0] if isinstance(state, tuple) else state)


class Flattened(Rows):
    def forward(self, images: Tensor) -> Any:
        self.recurrent.flatten_parameters()  # type: ignore[operator]
        return super().forward(images)


IDIOMS |= {
    "lstm_flattened": lambda: Flattened(nn.LSTM(28, 32, batch_first=True), nn.Linear(32, 10)),
    "lstm": lambda: Rows(nn.LSTM(28, 32, batch_first=True), nn.Linear(32, 10)),
    "lstm_two_linear": lambda: Rows(nn.LSTM(28, 64, batch_first=True), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)),
    "lstm_both_ways": lambda: Rows(nn.LSTM(28, 16, 2, batch_first=True, bidirectional=True), nn.Linear(32, 10)),
    "lstm_projected": lambda: Rows(nn.LSTM(28, 32, batch_first=True, proj_size=8), nn.Linear(8, 10)),
    "lstm_on_no_device": lambda: Rows(
        nn.LSTM(28, 32, batch_first=True, device="meta"), nn.Linear(32, 10, device="meta")
    ),
    "gru": lambda: Rows(nn.GRU(28, 32, batch_first=True), nn.Linear(32, 10)),
    "rnn": lambda: Rows(nn.RNN(28, 32, nonlinearity="relu", batch_first=True), nn.Linear(32, 10)),
    "lstm_packed": lambda: Packed(nn.LSTM(28, 32, batch_first=True), nn.Linear(32, 10)),
    "lstm_cells": lambda: Cells(nn.LSTMCell(28, 32), nn.Linear(32, 10)),
    "gru_cells": lambda: Cells(nn.GRUCell(28, 32), nn.Linear(32, 10)),
}


# Attention


class Encoder(nn.Module):
    """Four tokens of four pixels, the last of which is padding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(4, 16), nn.Linear(16, 10)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 1)

    def forward(self, images: Tensor) -> Any:
        padding = torch.tensor([[False, False, False, True]]).expand(len(images), 4)
        tokens = self.encoder(self.embed(images.squeeze(1)), src_key_padding_mask=padding)
        return self.head(tokens[:, :3].mean(1))


IDIOMS["encoder_with_padding"] = Encoder
written(
    "class_token",
    lambda n, x: n.a(n.attention(*[torch.cat([n.token.expand(len(x), 1, 16), x[:, None]], 1)] * 3)[0][:, 0]),
    a=linear(),
    attention=nn.MultiheadAttention(16, 2, batch_first=True),
    token=weight(1, 1, 16),
)
written(
    "learned_queries",
    lambda n, x: F.scaled_dot_product_attention(n.a(n.q.expand(len(x), 5, 16)), n.b(x)[:, None], n.c(x)[:, None]),
    a=linear(),
    b=linear(),
    c=linear(),
    q=weight(1, 5, 16),
)


# A batch of one, other types, gradients, noise

written("batch_statistics", lambda n, x: n.b(F.batch_norm(n.a(x), None, None, training=True)), a=linear(), b=linear())
written("squeezed", lambda n, x: n.a(x).squeeze()[:, :4], a=linear())
written("double_first", lambda n, x: n.a(x) * n.scale.float(), scale=nn.Parameter(torch.ones(1).double()), a=linear())
written("half_first", lambda n, x: n.a(x) * n.scale.float(), scale=nn.Parameter(torch.ones(1).half()), a=linear())
written("whole_first", lambda n, x: n.a(x), steps=nn.Parameter(torch.zeros(99).long(), requires_grad=False), a=linear())
written("all_double", lambda n, x: n.a(x), a=linear().double())
written("skips_zeros", lambda n, x: n.a(n.a(x)) if x.any() else x, a=linear())


def _energy_gradient(net: Any, x: Tensor) -> Tensor:
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(net.b(net.a(x).tanh()).sum(), x)
    return gradient


def _adapted_to_the_image(net: Any, x: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(net.a(x).square().sum(), net.a.weight)
    return net.b(F.linear(x, net.a.weight - 0.1 * gradient))  # type: ignore[no-any-return]


def _stepped(net: Any, x: Tensor) -> Tensor:
    net.a(x).square().sum().backward()
    with torch.no_grad():
        net.a.weight.sub_(0.1 * net.a.weight.grad)
    return net.b(x)  # type: ignore[no-any-return]


def _convolved_gradient(net: Any, x: Tensor) -> Tensor:
    x = square(x.detach()).requires_grad_()
    (gradient,) = torch.autograd.grad(net.norm(net.conv(x)).square().sum(), x)
    return gradient


written("energy_gradient", _energy_gradient, a=linear(), b=linear(1))
written("adapted_to_the_image", _adapted_to_the_image, a=linear(), b=linear())
written("stepped_within", _stepped, a=linear(), b=linear())
written("convolved_gradient", _convolved_gradient, conv=nn.Conv2d(1, 2, 3, padding=1), norm=nn.GroupNorm(1, 2))
