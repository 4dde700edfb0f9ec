"""Pi with a progress actor, as in the documentation's example."""

import math
import random
import time

import ray

ray.init(num_cpus=3)
TASKS, SAMPLES = 6, 20_000


@ray.remote
class Progress:
    def __init__(self, total):
        self.total, self.done = total, {}

    def report(self, task, count):
        self.done[task] = count

    def fraction(self):
        return sum(self.done.values()) / self.total


@ray.remote
def sample(count, task, progress):
    inside = 0
    generator = random.Random(task)
    for number in range(count):
        inside += math.hypot(generator.random(), generator.random()) <= 1
        if (number + 1) % 5000 == 0:
            progress.report.remote(task, number + 1)
    return inside


progress = Progress.remote(TASKS * SAMPLES)
results = [sample.remote(SAMPLES, task, progress) for task in range(TASKS)]
while (fraction := ray.get(progress.fraction.remote())) < 1:
    assert 0 <= fraction < 1
    time.sleep(0.05)
pi = 4 * sum(ray.get(results)) / (TASKS * SAMPLES)
assert abs(pi - math.pi) < 0.05, pi
print("ok")
