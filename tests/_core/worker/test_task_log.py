"""What an owner tells of its tasks stays small, whatever their errors say."""

from ray._core.worker.task_log import LONGEST_ERROR, shortened


def test_a_short_text_stays_as_it_is():
    assert shortened("it failed") == "it failed"


def test_of_a_long_text_the_beginning_and_the_end_are_told():
    told = shortened("begin" + "x" * 1_000_000 + "end")
    assert told.startswith("begin") and told.endswith("end")
    assert len(told) <= LONGEST_ERROR + 20
