"""A parameter server: workers compute gradients on their own shards, one actor holds the weights and applies them.

The model is a small perceptron, the data three interleaved spirals from a fixed seed. Weights and gradients travel as
refs from actor to actor; the driver only asks for weights when it wants to show how far the training is.
Needs numpy. Run: `python examples/parameter_server.py --workers 4`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np

import ray

Array = np.ndarray
Weights = list[Array]  # of the hidden layer and of the output layer: matrix, bias, matrix, bias

CLASSES = 3
HIDDEN = 64


def spirals(per_class: int, seed: int) -> tuple[Array, Array]:
    """Points in the plane, and which of the three arms each is on; shuffled."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(CLASSES), per_class)
    radius = np.tile(np.linspace(0.1, 1.0, per_class), CLASSES)
    angle = 4.0 * radius + labels * 2.0 * np.pi / CLASSES + random.normal(0.0, 0.12, labels.size)
    order = random.permutation(labels.size)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)[order], labels[order]


def initial_weights(seed: int) -> Weights:
    random = np.random.default_rng(seed)
    return [
        random.normal(0, 1, (2, HIDDEN)),
        np.zeros(HIDDEN),
        random.normal(0, 0.1, (HIDDEN, CLASSES)),
        np.zeros(CLASSES),
    ]


def forward(weights: Weights, points: Array) -> tuple[Array, Array]:
    """The hidden layer's output, and the probability of each class."""
    hidden = np.tanh(points @ weights[0] + weights[1])
    scores = hidden @ weights[2] + weights[3]
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    return hidden, exponentials / exponentials.sum(axis=1, keepdims=True)


def loss_and_accuracy(weights: Weights, points: Array, labels: Array) -> tuple[float, float]:
    _, probabilities = forward(weights, points)
    loss = -np.log(probabilities[np.arange(labels.size), labels]).mean()
    return float(loss), float((probabilities.argmax(axis=1) == labels).mean())


def gradient(weights: Weights, points: Array, labels: Array) -> Weights:
    """Of the cross-entropy, by hand."""
    hidden, probabilities = forward(weights, points)
    error = (probabilities - np.eye(CLASSES)[labels]) / labels.size
    back = (error @ weights[2].T) * (1 - hidden**2)
    return [points.T @ back, back.sum(axis=0), hidden.T @ error, error.sum(axis=0)]


@ray.remote
class ParameterServer:
    """Holds the weights; the order of its calls is the order of the steps."""

    def __init__(self, weights: Weights, rate: float, momentum: float = 0.9) -> None:
        self.weights = [array.copy() for array in weights]  # what arrives may be a read-only view of shared memory
        self.velocities = [np.zeros_like(array) for array in weights]
        self.rate, self.momentum = rate, momentum

    def apply(self, *gradients: Weights) -> Weights:
        """One step with the mean of the workers' gradients; returns the new weights."""
        for weight, velocity, *parts in zip(self.weights, self.velocities, *gradients, strict=True):
            velocity *= self.momentum
            velocity -= self.rate * sum(parts) / len(parts)
            weight += velocity
        return self.weights


@ray.remote
class Worker:
    """Computes gradients on random batches of its own shard."""

    def __init__(self, points: Array, labels: Array, seed: int) -> None:
        self.points, self.labels = points, labels
        self.random = np.random.default_rng(seed)

    def gradient(self, weights: Weights, batch: int) -> Weights:
        chosen = self.random.integers(0, self.labels.size, batch)
        return gradient(weights, self.points[chosen], self.labels[chosen])


def train(workers: int, steps: int, rate: float, batch: int, report_every: int) -> tuple[float, float]:
    """Train; print the loss on points that no worker has seen; return its last value and the accuracy."""
    points, labels = spirals(per_class=1000, seed=1)
    unseen = spirals(per_class=300, seed=2)
    start = initial_weights(seed=3)
    server = ParameterServer.remote(start, rate)
    pool = [Worker.remote(points[at::workers], labels[at::workers], seed=at) for at in range(workers)]
    weights = ray.put(start)
    loss, accuracy = loss_and_accuracy(start, *unseen)
    print(f"step {0:>5}  loss {loss:.4f}  accuracy {accuracy:.1%}")
    for step in range(1, steps + 1):
        weights = server.apply.remote(*[worker.gradient.remote(weights, batch) for worker in pool])
        if step % report_every == 0 or step == steps:
            loss, accuracy = loss_and_accuracy(ray.get(weights), *unseen)
            print(f"step {step:>5}  loss {loss:.4f}  accuracy {accuracy:.1%}")
    return loss, accuracy


def main(argv: Sequence[str] | None = None) -> tuple[float, float]:
    parser = argparse.ArgumentParser(description="Train a small perceptron with a parameter server.")
    parser.add_argument(
        "--address", help="of the cluster; default: RAY_ADDRESS, else one that runs here, else a new one"
    )
    parser.add_argument("--workers", type=int, default=2, help="actors that compute gradients (default 2)")
    parser.add_argument("--steps", type=int, default=500, help="updates of the weights (default 500)")
    parser.add_argument("--batch", type=int, default=128, help="points per gradient (default 128)")
    parser.add_argument("--rate", type=float, default=0.2, help="learning rate (default 0.2)")
    parser.add_argument("--report-every", type=int, default=50, help="steps between two lines (default 50)")
    arguments = parser.parse_args(argv)
    ray.init(address=arguments.address, ignore_reinit_error=True)
    began_s = time.perf_counter()
    result = train(arguments.workers, arguments.steps, arguments.rate, arguments.batch, arguments.report_every)
    print(f"{arguments.steps} steps of {arguments.workers} workers in {time.perf_counter() - began_s:.2f} s")
    return result


if __name__ == "__main__":
    main()
