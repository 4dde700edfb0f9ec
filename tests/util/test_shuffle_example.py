"""`ray.experimental.shuffle`."""

import pytest

import ray
from ray.experimental import shuffle

INIT = {"log_to_driver": False}


def _words(i):
    return [f"{i}-{n}" for n in range(4)]


@pytest.mark.parametrize(("inputs", "outputs"), [(3, 2), (2, 1)])
@pytest.mark.parametrize("way", ["in order", "as they come", "not streaming"])
def test_every_item_arrives_once(cluster, inputs, outputs, way):
    writer = shuffle.ObjectStoreWriterNonStreaming if way == "not streaming" else shuffle.ObjectStoreWriter
    found = shuffle.simple_shuffle(
        input_reader=_words,
        input_num_partitions=inputs,
        output_num_partitions=outputs,
        output_writer=lambda _, items: sorted(items),
        object_store_writer=writer,
        streaming=way != "not streaming",
        use_wait=way == "as they come",
    )
    wanted = [sorted(w for i in range(inputs) for w in _words(i)[j::outputs]) for j in range(outputs)]
    assert found == wanted


def test_it_says_how_much_it_moved(cluster, capsys):
    tracker = shuffle._StatusTracker.remote()
    shuffle.run(num_partitions=3, partition_size=90_000, tracker=tracker)
    assert "Shuffled 270000 bytes in " in capsys.readouterr().out
    assert ray.get(tracker.get_progress.remote()) == (3, 3)
    ray.kill(tracker)


def test_a_partition_that_fails_ends_the_progress(cluster):
    def read(i):
        raise ValueError(f"no input {i}")

    tracker = shuffle._StatusTracker.remote()
    with pytest.raises(ValueError, match="no input"):
        shuffle.simple_shuffle(
            input_reader=read,
            input_num_partitions=2,
            output_num_partitions=1,
            output_writer=lambda _, items: list(items),
            tracker=tracker,
        )
    ray.kill(tracker)
