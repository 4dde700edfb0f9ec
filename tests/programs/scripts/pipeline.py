"""A pipeline of actors joined by queues; the end of the input travels as a mark."""

import ray
from ray.util.queue import Empty, Queue

ray.init(num_cpus=4)
END = None


@ray.remote
class Stage:
    def __init__(self, function, source, target):
        self.function, self.source, self.target = function, source, target

    def run(self):
        handled = 0
        while (item := self.source.get(timeout=30)) is not END:
            self.target.put(self.function(item))
            handled += 1
        self.target.put(END)
        return handled


first, second, third = Queue(maxsize=5), Queue(maxsize=5), Queue()
stages = [Stage.remote(lambda x: x + 1, first, second), Stage.remote(lambda x: x * 10, second, third)]
running = [stage.run.remote() for stage in stages]
for number in range(30):
    first.put(number)
first.put(END)
results = []
while (item := third.get(timeout=30)) is not END:
    results.append(item)
assert ray.get(running) == [30, 30]
assert results == [(n + 1) * 10 for n in range(30)]
try:
    third.get_nowait()
except Empty:
    print("ok")
