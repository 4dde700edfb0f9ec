"""An actor with checkpoints that survives crashes, and calls that are retried across them."""

import json
import os
import tempfile

import ray

ray.init(num_cpus=2)


@ray.remote(max_restarts=-1, max_task_retries=-1)
class Ledger:
    def __init__(self, path):
        self.path, self.total, self.seen = path, 0, []
        if os.path.exists(path):
            with open(path) as file:
                self.total, self.seen = json.load(file)

    def add(self, number, crash):
        if number in self.seen:
            return self.total
        self.total += number
        self.seen.append(number)
        with open(self.path + ".new", "w") as file:
            json.dump([self.total, self.seen], file)
        os.replace(self.path + ".new", self.path)
        if crash:
            os._exit(1)
        return self.total

    def state(self):
        return self.total, sorted(self.seen), ray.get_runtime_context().was_current_actor_reconstructed


with tempfile.TemporaryDirectory() as folder:
    ledger = Ledger.remote(os.path.join(folder, "ledger.json"))
    results = [ray.get(ledger.add.remote(n, n % 5 == 4)) for n in range(15)]
    assert results[-1] == sum(range(15))
    total, seen, restarted = ray.get(ledger.state.remote())
    assert (total, seen, restarted) == (sum(range(15)), list(range(15)), True)
print("ok")
