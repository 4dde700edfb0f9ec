"""A search that stops the losers early: successive halving over actors that are killed."""

import ray

ray.init(num_cpus=4)


@ray.remote(num_cpus=0.25)
class Trial:
    def __init__(self, rate):
        self.rate, self.value = rate, 10.0

    def train(self, steps):
        for _ in range(steps):
            self.value -= self.rate * 2 * self.value
        return abs(self.value)


trials = {rate: Trial.remote(rate) for rate in (0.001, 0.01, 0.05, 0.1, 0.2, 0.4, 0.9, 1.1)}
while len(trials) > 1:
    refs = {trial.train.remote(3): rate for rate, trial in trials.items()}
    losses = {}
    waiting = list(refs)
    while waiting:
        done, waiting = ray.wait(waiting)
        losses[refs[done[0]]] = ray.get(done[0])
    ranked = sorted(losses, key=losses.get)
    for rate in ranked[len(ranked) // 2 :]:
        ray.kill(trials.pop(rate))
assert list(trials) == [0.4], trials
print("ok")
