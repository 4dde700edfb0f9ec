"""An environment is held as long as its job lives, and counted once, whenever the job ends."""

import pytest

from ray._core.common.messages import Address, JobInfo
from ray._core.raylet.environments import EnvironmentTable
from ray._core.raylet.job_environments import JobEnvironments

ENV = '{"pip": ["a"]}'


class Environments:
    """An `EnvLink` whose builds the test ends."""

    def __init__(self):
        self.table = EnvironmentTable()

    def prepare(self, text, job_id, then):
        if self.table.want(text, then) == "ready":
            then("")

    def drop(self, text):
        self.table.drop(text)

    def built(self):
        for then in self.table.built(ENV, "{}"):
            then("")

    def failed(self):
        for then in self.table.failed(ENV, "no such package"):
            then("no such package")

    def holders(self):
        return [info.ref_cnt for info in self.table.infos(b"") if info.success]


def job(name=b"1", env=ENV):
    return JobInfo(name, "", Address(b"", b"", "", 0, ""), 1, "host", "script", 0, runtime_env=env)


@pytest.fixture
def environments():
    return Environments()


def test_it_is_held_until_the_job_ends(environments):
    jobs = JobEnvironments(environments)
    jobs.started(job())
    environments.built()
    jobs.started(job())  # told again
    assert environments.holders() == [1]
    jobs.ended(b"1")
    assert environments.holders() == []


def test_a_job_that_ends_while_it_is_built_lets_it_go_once(environments):
    jobs = JobEnvironments(environments)
    jobs.started(job(b"1"))
    jobs.started(job(b"2"))
    jobs.ended(b"1")
    environments.built()
    assert environments.holders() == [1]
    jobs.ended(b"2")
    assert environments.holders() == []


def test_one_that_cannot_be_built_is_tried_again_for_the_next_job(environments):
    jobs = JobEnvironments(environments)
    jobs.started(job(b"1"))
    environments.failed()
    jobs.ended(b"1")
    jobs.started(job(b"2"))
    environments.built()
    assert environments.holders() == [1]


def test_a_job_may_leave_it_to_its_first_task(environments):
    JobEnvironments(environments).started(job(env='{"pip": ["a"], "config": {"eager_install": false}}'))
    assert environments.table.being_built() == []
