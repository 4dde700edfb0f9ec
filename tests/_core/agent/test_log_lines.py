"""From the bytes of a log file to lines with job and name."""

from hypothesis import given
from hypothesis import strategies as st

from ray._core.agent.log_lines import MAX_LINE_BYTES, Lines, LogStream
from ray._core.common import log_markers

NODE, JOB = b"n" * 28, b"\1\0\0\0"
START = log_markers.header(NODE) + log_markers.marker(log_markers.JOB, JOB.hex())


def _task(name):
    return log_markers.marker(log_markers.TASK, name)


def _flat(found):
    return [(each.name, line) for each in found for line in each.lines]


def _read(data):
    stream = LogStream(NODE)
    return _flat([*stream.feed(data), *stream.finish()])


def test_lines_carry_the_job_and_the_name_announced_before_them():
    stream = LogStream(NODE)
    found = stream.feed(START + _task("f") + b"one\ntwo\n" + _task("g") + b"three\n")
    assert found == [Lines(JOB, "f", ["one", "two"]), Lines(JOB, "g", ["three"])]


def test_a_line_that_the_next_marker_cuts_off_is_whole_and_no_empty_line_appears():
    assert _read(START + _task("f") + b"no newline" + _task("g") + b"x\n") == [("f", "no newline"), ("g", "x")]


def test_empty_lines_that_a_task_printed_stay():
    data = START + _task("f") + b"a\n\n" + _task("g") + b"\n\nb\n"
    assert _read(data) == [("f", "a"), ("f", ""), ("g", ""), ("g", ""), ("g", "b")]


def test_an_unfinished_line_waits_and_is_given_at_the_end():
    stream = LogStream(NODE)
    assert _flat(stream.feed(START + _task("f") + b"50%")) == []
    assert stream.has_rest
    assert _flat(stream.finish()) == [("f", "50%")]
    assert not stream.has_rest


def test_an_empty_line_at_the_end_waits_since_it_may_belong_to_a_marker():
    stream = LogStream(NODE)
    assert _flat(stream.feed(START + _task("f") + b"a\n\n")) == [("f", "a")]
    assert not stream.has_rest
    assert _flat(stream.feed(b"b\n")) == [("f", ""), ("f", "b")]


def test_a_file_of_another_node_gives_nothing_ever():
    stream = LogStream(b"m" * 28)
    assert stream.feed(START + b"a\n") == []
    assert stream.is_foreign
    assert stream.feed(b"b\n") == [] and stream.finish() == []


def test_what_is_no_text_is_shown_as_well_as_it_can_be_and_carriage_returns_at_the_end_go():
    assert _read(START + b"\xff\xfe ok\r\na\rb\n") == [("", "\ufffd\ufffd ok"), ("", "a\rb")]


def test_a_line_without_end_comes_in_pieces():
    stream = LogStream(NODE)
    stream.feed(START)
    assert len(stream.feed(b"x" * (MAX_LINE_BYTES + 1))[0].lines[0]) == MAX_LINE_BYTES + 1
    assert not stream.has_rest


def test_a_colon_at_the_start_of_a_line_makes_no_marker():
    assert _read(START + b":smile: hello\n") == [("", ":smile: hello")]


_outputs = st.lists(
    st.tuples(st.sampled_from(["f", "g", "Actor(1)"]), st.lists(st.text(st.sampled_from("ab :\n"), max_size=6))),
    max_size=6,
)


@given(_outputs, st.randoms(use_true_random=False))
def test_however_the_bytes_are_cut_the_lines_are_those_that_were_printed(outputs, random):
    data, expected = START, []
    for name, prints in outputs:
        text = "".join(prints)
        data += _task(name) + text.encode()
        expected += [(name, line) for line in text.removesuffix("\n").split("\n") if text]
    stream, found = LogStream(NODE), []
    while data:
        cut = random.randint(1, min(len(data), 7))
        found += stream.feed(data[:cut])
        data = data[cut:]
    assert _flat([*found, *stream.finish()]) == expected
