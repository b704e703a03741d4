"""A cell in JAX, batches on the device, with optax's Adam: one jitted `lax.scan`, or a jitted call a step.

https://docs.jax.dev/en/latest/_autosummary/jax.lax.scan.html,
https://optax.readthedocs.io/en/latest/getting_started.html
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax
from torch import nn

from nets.measuring.comparisons import Turn
from nets.training.run import CellRun

Weights = list[tuple[Array, Array]]
Layer = Callable[[Weights, Array], Array]

NAME = f"jax {jax.__version__}"
PLATFORM = jax.devices()[0].platform


def _conv(at: int, padding: int, weights: Weights, x: Array) -> Array:
    kernel, bias = weights[at]
    sides = [(padding, padding)] * 2
    return lax.conv_general_dilated(x, kernel, (1, 1), sides, dimension_numbers=("NHWC", "HWIO", "NHWC")) + bias


def _linear(at: int, weights: Weights, x: Array) -> Array:
    kernel, bias = weights[at]
    return x @ kernel + bias


def _pool(_: Weights, x: Array) -> Array:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def _relu(_: Weights, x: Array) -> Array:
    return jax.nn.relu(x)


def _flat(_: Weights, x: Array) -> Array:
    return x.reshape(len(x), -1)


PLAIN: dict[type[nn.Module], Layer] = {nn.ReLU: _relu, nn.MaxPool2d: _pool, nn.Flatten: _flat}


def translated(model: nn.Module) -> tuple[Weights, list[Layer]]:
    """A torch network that is a stack -> its weights and layers, images being (N, H, W, C)."""
    weights: Weights = []
    layers: list[Layer] = []
    for layer in model.children():
        if type(layer) in PLAIN:
            layers.append(PLAIN[type(layer)])
            continue
        if isinstance(layer, nn.Conv2d):
            kernel = layer.weight.detach().permute(2, 3, 1, 0)
            layers.append(partial(_conv, len(weights), int(layer.padding[0])))
        elif isinstance(layer, nn.Linear):
            kernel = layer.weight.detach().T
            layers.append(partial(_linear, len(weights)))
        else:
            raise NotImplementedError(f"the JAX peer has no {type(layer).__name__}")
        assert layer.bias is not None
        weights.append((jnp.asarray(kernel.numpy().copy()), jnp.asarray(layer.bias.detach().numpy().copy())))
    return weights, layers


class JaxSteps(Turn):
    """Blocks of steps: a permutation drawn on the device, its batches scanned within one jit, or taken step by step.

    XLA's CPU backend runs a convolution inside a loop at a fraction of its speed, so that both ways are there.
    """

    per = "step"
    is_peer = True

    def __init__(self, run: CellRun, n_steps: int, *, scanned: bool) -> None:
        super().__init__(run)
        self._n_steps = n_steps
        images = run.data.on(run.device)[0].images.permute(0, 2, 3, 1).cpu().numpy()
        self._images, self._labels = jnp.asarray(images), jnp.asarray(run.data.train.labels.numpy().astype(np.int32))
        weights, layers = translated(run.build())
        optimizer = optax.adam(run.protocol.lr)
        self._state: Any = (weights, optimizer.init(weights))
        self._key = jax.random.key(run.protocol.seed)
        batch_size = run.protocol.batch_size

        def loss_of(weights: Weights, images: Array, labels: Array) -> tuple[Array, Array]:
            x = images
            for layer in layers:
                x = layer(weights, x)
            loss = optax.softmax_cross_entropy_with_integer_labels(x, labels).mean()
            return loss, (x.argmax(1) == labels).sum()

        def step(state: Any, chosen: Array) -> tuple[Any, tuple[Array, Array]]:
            weights, adam = state
            (loss, correct), gradients = jax.value_and_grad(loss_of, has_aux=True)(
                weights, self._images[chosen], self._labels[chosen]
            )
            updates, adam = optimizer.update(gradients, adam, weights)
            return (optax.apply_updates(weights, updates), adam), (loss, correct)

        def batches(key: Array) -> Array:
            order = jax.random.permutation(key, len(self._labels))
            return jnp.resize(order, (n_steps, batch_size))  # a set smaller than a block comes again

        def block(state: Any, key: Array) -> tuple[Any, tuple[Array, Array]]:
            state, (losses, corrects) = lax.scan(step, state, batches(key))
            return state, (losses.mean(), corrects.sum())

        one, drawn = jax.jit(step, donate_argnums=0), jax.jit(batches)

        def step_by_step(state: Any, key: Array) -> tuple[Any, tuple[Array, Array]]:
            means = []
            for chosen in drawn(key):
                state, mean = one(state, chosen)
                means.append(mean)
            losses, corrects = zip(*means, strict=True)
            return state, (jnp.stack(losses).mean(), jnp.stack(corrects).sum())

        self._block = jax.jit(block, donate_argnums=0) if scanned else step_by_step
        self.seconds()  # compiles

    def seconds(self) -> float:
        """Do the next block; compilation is not in it."""
        self._key, key = jax.random.split(self._key)
        started = perf_counter()
        self._state, means = self._block(self._state, key)
        float(means[0])  # waits
        return (perf_counter() - started) / self._n_steps
