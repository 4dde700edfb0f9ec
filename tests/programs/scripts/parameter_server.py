"""Synchronous and asynchronous parameter servers, with numpy in the place of a model."""

import numpy as np

import ray

ray.init(num_cpus=4)
DIMENSION, WORKERS = 10, 3
TRUTH = np.arange(DIMENSION, dtype=float)


@ray.remote
class ParameterServer:
    def __init__(self, rate):
        self.rate = rate
        self.weights = np.zeros(DIMENSION)

    def apply(self, *gradients):
        self.weights = self.weights - self.rate * np.mean(gradients, axis=0)
        return self.weights

    def get_weights(self):
        return self.weights


@ray.remote
class Worker:
    def __init__(self, seed):
        self.random = np.random.default_rng(seed)

    def compute(self, weights):
        x = self.random.normal(size=(64, DIMENSION))
        return 2 * x.T @ (x @ weights - x @ TRUTH) / len(x)


def error(weights):
    return float(np.abs(weights - TRUTH).max())


server = ParameterServer.remote(0.1)
workers = [Worker.remote(seed) for seed in range(WORKERS)]
weights = server.get_weights.remote()
for _ in range(60):
    weights = server.apply.remote(*[worker.compute.remote(weights) for worker in workers])
assert error(ray.get(weights)) < 0.01, ray.get(weights)

server = ParameterServer.remote(0.05)
current = server.get_weights.remote()
running = {worker.compute.remote(current): worker for worker in workers}
for _ in range(300):
    (done,), _ = ray.wait(list(running))
    worker = running.pop(done)
    current = server.apply.remote(done)
    running[worker.compute.remote(current)] = worker
assert error(ray.get(server.get_weights.remote())) < 0.05
print("ok")
