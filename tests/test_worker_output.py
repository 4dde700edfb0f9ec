"""What tasks print, on the driver. Each test is a driver of its own, since its output is what counts.

Source: Ray docs, "Configuring logging".
"""

import pytest
from driving import drive

PRINTING = """
@ray.remote
def f():
    print("to out")
    print("to err", file=sys.stderr)
    os.write(1, b"by the descriptor\\n")
    os.system("echo by a child")
    print("no newline", end="")
@ray.remote
def g():
    print("from g")
"""


def test_what_a_finished_task_printed_appears_before_shutdown_returns_under_its_name():
    body = PRINTING + 'ray.get(f.remote()); ray.get(g.remote()); ray.get(f.options(name="fancy").remote())\n'
    out, err = drive(body + 'ray.shutdown(); print("after shutdown")')
    assert out[-1] == "after shutdown"
    texts = ["to out", "by the descriptor", "by a child", "no newline"]
    assert [line for line in out if line.startswith("(f ")] == [f"(f pid=N) {text}" for text in texts]
    assert [line for line in out if line.startswith("(fancy ")] == [f"(fancy pid=N) {text}" for text in texts]
    assert "(g pid=N) from g" in out and len(out) == 10
    assert err == ["(f pid=N) to err", "(fancy pid=N) to err"]


def test_lines_come_while_the_task_runs(tmp_path):
    gate = tmp_path / "gate"
    body = f"""
@ray.remote
def f():
    print("working", flush=True)
    while not os.path.exists({str(gate)!r}):
        time.sleep(0.01)
class Out:
    def write(self, text):
        sys.__stdout__.write(text)
        if "working" in text:
            open({str(gate)!r}, "w").close()
    def flush(self):
        sys.__stdout__.flush()
sys.stdout = Out()
ray.get(f.remote())
"""
    out, _ = drive(body)
    assert out == ["(f pid=N) working"]


def test_output_right_before_a_worker_is_killed_is_shown():
    body = """
@ray.remote(max_retries=0)
def f():
    print("last words")
    sys.stdout.write("unfinished"); sys.stdout.flush()
    os.kill(os.getpid(), 9)
try:
    ray.get(f.remote())
except ray.exceptions.WorkerCrashedError:
    pass
"""
    out, _ = drive(body)
    assert "(f pid=N) last words" in out and "(f pid=N) unfinished" in out


def test_lines_of_one_worker_keep_their_order():
    body = """
@ray.remote
def f():
    for number in range(5000):
        print(number)
ray.get(f.remote())
"""
    out, _ = drive(body)
    assert out == [f"(f pid=N) {number}" for number in range(5000)]


@pytest.mark.parametrize("how", ["argument", "variable"])
def test_nothing_is_shown_when_the_user_does_not_want_it(how):
    again = "ray.shutdown(); ray.init(num_cpus=1, log_to_driver=False)\n" if how == "argument" else ""
    body = again + PRINTING + "ray.get(f.remote())"
    environ = {"RAY_LOG_TO_DRIVER": "0"} if how == "variable" else {}
    assert drive(body, **environ) == ([], [])


def test_lines_that_several_workers_print_are_shown_once_with_their_count(tmp_path):
    body = f"""
@ray.remote
def f(number):
    open({str(tmp_path)!r} + f"/{{number}}", "w").close()
    while not os.path.exists({str(tmp_path)!r} + f"/{{1 - number}}"):
        time.sleep(0.01)
    print("epoch", number)
    print("epoch", number)
ray.get([f.remote(0), f.remote(1)])
"""
    out, _ = drive(body)
    assert any("x across cluster]" in line for line in out), out
    out, _ = drive(body, RAY_DEDUP_LOGS="0")
    assert sorted(out) == ["(f pid=N) epoch 0"] * 2 + ["(f pid=N) epoch 1"] * 2


def test_a_crash_in_c_code_says_where_it_was():
    body = """
import ctypes
@ray.remote(max_retries=0)
def crash():
    ctypes.string_at(0)
try:
    ray.get(crash.remote())
except ray.exceptions.WorkerCrashedError:
    pass
"""
    _, err = drive(body)
    assert "(crash pid=N) Fatal Python error: Segmentation fault" in err
    assert any(line.endswith("in crash") for line in err)


def test_partial_lines_are_whole_when_their_task_has_ended_and_come_once():
    body = """
@ray.remote
def dots():
    for _ in range(3):
        print(".", end="")
ray.get([dots.remote() for _ in range(2)])
"""
    out, _ = drive(body, PYTHONUNBUFFERED="1", RAY_DEDUP_LOGS="0")
    assert "".join(line.removeprefix("(dots pid=N) ") for line in out) == "......"


def test_a_driver_is_told_of_its_own_jobs_workers_only():
    other = """
import ray, sys
ray.init(address=sys.argv[1])
@ray.remote
def f():
    print("of the other job")
ray.get(f.remote())
ray.shutdown()
print("the other driver has ended")
"""
    body = f"""
import subprocess
@ray.remote
def f():
    print("of this job")
address = ray.get_runtime_context().gcs_address
said = subprocess.run([sys.executable, "-c", {other!r}, address], capture_output=True, text=True, check=True).stdout
ray.get(f.remote())
ray.shutdown()
print(repr(said))
"""
    out, _ = drive(body)
    assert [line for line in out if "of the other" in line] == [out[-1]]
    assert "of the other job" in out[-1] and "of this job" not in out[-1]
    assert "(f pid=N) of this job" in out
