"""What the randomized test runs in the cluster: functions whose results can be told beforehand."""

import os
import time
import uuid

import numpy as np

import ray

PRIME = 1_000_003


def number_of(value):
    """The number that a value stands for; a large one is an array full of it."""
    if isinstance(value, np.ndarray):
        assert (value == value[0]).all(), "an array was torn"
        return int(value[0])
    return value


def mix(salt, values):
    total = salt
    for value in values:
        total = (total * 31 + number_of(value)) % PRIME
    return total


def large(number):
    return np.full(40_000, number, np.int64)


@ray.remote
def plain(salt, *values):
    return mix(salt, values)


@ray.remote
def slow(salt, seconds, *values):
    time.sleep(seconds)
    return mix(salt, values)


@ray.remote
def computing(salt, seconds, *values):
    """Busy with bytecode all the time, as what cancelling interrupts most often is."""
    end_at_s = time.monotonic() + seconds
    while time.monotonic() < end_at_s:
        pass
    return mix(salt, values)


@ray.remote
def making_large(salt, *values):
    return large(mix(salt, values))


@ray.remote
def failing(salt, *values):
    raise ValueError(mix(salt, values))


@ray.remote
def crashing_once(flag, salt, *values):
    try:
        os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return mix(salt, values)
    os._exit(1)


@ray.remote
def nested(salt, depth, *values):
    if not depth:
        return mix(salt, values)
    return ray.get(nested.remote(salt, depth - 1, *values))


@ray.remote
def fanning_out(salt, count, *values):
    number = mix(salt, values)
    return mix(salt, ray.get([plain.remote(number, each) for each in range(count)]))


@ray.remote
def borrowing(salt, refs):
    return mix(salt, ray.get(refs))


@ray.remote
def boxing(salt, *values):
    """Refs of its own: one to a put object, one to a task's result."""
    number = mix(salt, values)
    return [ray.put(number), plain.remote(number), ray.put(large(number))]


@ray.remote(num_returns=2)
def splitting(salt, *values):
    number = mix(salt, values)
    return number, number + 1


@ray.remote
def streaming(salt, count):
    for number in range(count):
        yield large(salt + number) if number % 3 == 2 else salt + number


@ray.remote
def owning(salt, count, *values):
    """A driver of its own: tasks, a wait for each, an object and a stream that nobody else sees."""
    refs = [plain.remote(salt, number) for number in range(count)]
    pending = list(refs)
    while pending:
        _, pending = ray.wait(pending, num_returns=(len(pending) + 1) // 2)
    stream = streaming.remote(salt, count)
    borrowed = borrowing.remote(salt, [ray.put(large(mix(salt, values))), refs[-1]])
    return mix(salt, [*ray.get(refs), ray.get(borrowed), *(ray.get(ref) for ref in stream)])


def owned(salt, count, mixed):
    """What `owning` gives."""
    numbers = [mix(salt, [number]) for number in range(count)]
    return mix(salt, [*numbers, mix(salt, [mixed, numbers[-1]]), *(salt + number for number in range(count))])


@ray.remote
def employing(salt, calls, *values):
    """An actor that lives as long as the task."""
    actor = ray.remote(num_cpus=0)(Counter).remote()
    refs = [actor.number.remote(salt, number) for number in range(calls)]
    return mix(mix(salt, values), ray.get(refs))


class Counter:
    """Counts its calls; who it is changes with each incarnation."""

    def __init__(self):
        self._name = uuid.uuid4().hex
        self._calls = 0

    def call(self, salt, *values):
        self._calls += 1
        return self._name, self._calls, mix(salt, values)

    def number(self, salt, *values):
        self._calls += 1
        return mix(salt, values)

    def crash_once(self, flag):
        try:
            os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            self._calls += 1
            return self._name, self._calls, 0
        os._exit(1)


class AsyncCounter(Counter):
    async def call(self, salt, *values):
        return super().call(salt, *values)

    async def number(self, salt, *values):
        self._calls += 1
        return await plain.remote(salt, *values)
