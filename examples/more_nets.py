"""Networks of other kinds than the article's: recurrent, attention, spiking.

pytest benchmarks/ --nets examples/more_nets.py --cells digits-lstm_rows,digits-ViT,digits-lenet5
"""

from typing import Any

import torch
from torch import Tensor, nn

from nets import network


class Rows(nn.Module):
    """A recurrent network reads an image row by row; its last state is classified."""

    def __init__(self, recurrent: nn.RNNBase, hidden: int, n_classes: int) -> None:
        super().__init__()
        self.recurrent = recurrent
        self.head = nn.Linear(hidden, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 1, rows, columns) -> (N, classes)."""
        states, _ = self.recurrent(images.squeeze(1))
        logits: Tensor = self.head(states[:, -1])
        return logits


@network(dataset=["mnist", "digits"], layers=29)
def lstm_rows(image: tuple[int, int, int], n_classes: int) -> nn.Module:
    """An LSTM over the rows: a layer a row, and the head."""
    return Rows(nn.LSTM(image[2], 64, batch_first=True), 64, n_classes)


@network(dataset=["mnist", "digits"], layers=29)
def gru_rows(image: tuple[int, int, int], n_classes: int) -> nn.Module:
    """A GRU over the rows: a layer a row, and the head."""
    return Rows(nn.GRU(image[2], 64, batch_first=True), 64, n_classes)


@network(dataset=["mnist", "digits"], layers=29)
def rnn_rows(image: tuple[int, int, int], n_classes: int) -> nn.Module:
    """A plain recurrent network over the rows: a layer a row, and the head."""
    return Rows(nn.RNN(image[2], 64, batch_first=True), 64, n_classes)


@network(dataset=["mnist", "digits"])
class RowTransformer(nn.Module):
    """A transformer encoder over the rows."""

    def __init__(self, image: tuple[int, int, int], n_classes: int) -> None:
        super().__init__()
        _, rows, columns = image
        self.embed = nn.Linear(columns, 32)
        self.place = nn.Parameter(torch.zeros(rows, 32))
        layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(32, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 1, rows, columns) -> (N, classes)."""
        logits: Tensor = self.head(self.encoder(self.embed(images.squeeze(1)) + self.place).mean(1))
        return logits


@network(dataset=["mnist", "digits"])
class ViT(nn.Module):
    """Dosovitskiy et al., An Image is Worth 16x16 Words (2021), on patches of 7x7."""

    def __init__(self, image: tuple[int, int, int], n_classes: int) -> None:
        super().__init__()
        channels, height, width = image
        self.patches = nn.Conv2d(channels, 32, kernel_size=7, stride=7)
        self.place = nn.Parameter(torch.zeros((height // 7) * (width // 7) + 1, 32))
        self.first = nn.Parameter(torch.zeros(1, 1, 32))
        layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, classes)."""
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.first.expand(len(tokens), -1, -1), tokens], dim=1) + self.place
        logits: Tensor = self.head(self.encoder(tokens)[:, 0])
        return logits


class Spike(torch.autograd.Function):
    """A step forward, the derivative of a sigmoid backward (Neftci et al., Surrogate Gradient Learning, 2019)."""

    @staticmethod
    def forward(ctx: Any, potential: Tensor) -> Tensor:
        """Fire where the potential is above 0."""
        ctx.save_for_backward(potential)
        return (potential > 0).to(potential.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """The surrogate."""
        (potential,) = ctx.saved_tensors
        surrogate: Tensor = gradient / (1 + 10 * potential.abs()) ** 2
        return surrogate


@network(dataset=["mnist", "digits"])
class Spiking(nn.Module):
    """Leaky integrate-and-fire neurons for ten steps of time; the output integrates what the hidden layer fires."""

    STEPS, LEAK = 10, 0.9

    def __init__(self, image: tuple[int, int, int], n_classes: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(image[0] * image[1] * image[2], 100)
        self.output = nn.Linear(100, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, classes)."""
        current = self.hidden(images.flatten(1))
        potential: Tensor = torch.zeros_like(current)
        answer: Tensor = current.new_zeros(())
        for _ in range(self.STEPS):
            potential = self.LEAK * potential + current
            spikes = Spike.apply(potential - 1)
            potential = potential - spikes
            answer = self.LEAK * answer + self.output(spikes)
        return answer
