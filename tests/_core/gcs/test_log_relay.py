"""Output of workers on its way to a driver: one that does not read costs no memory, and hears what it missed."""

from ray._core.common import messages as m
from ray._core.gcs.log_relay import MOST_UNSENT, LogRelay
from ray._core.gcs.nodes import NodeTable
from ray._core.gcs.publisher import Publisher

JOB = b"\1\0\0\0"


class Driver:
    def __init__(self):
        self.unsent_bytes = 0
        self.got = []

    def send(self, message):
        self.got.append(message)


def lines(*texts):
    return m.LogLines([m.LogLine(JOB, "ip", 1, "f", False, list(texts))])


def test_a_driver_that_does_not_read_gets_no_more_and_hears_how_much_it_missed():
    publisher, driver = Publisher(), Driver()
    relay = LogRelay(publisher, NodeTable())
    publisher.subscribe(driver, "log", JOB)
    driver.unsent_bytes = MOST_UNSENT + 1
    for _ in range(100):
        relay.lines(lines("a", "b"))
    assert driver.got == []
    driver.unsent_bytes = 0
    relay.lines(lines("c"))
    relay.lines(lines("d"))
    event, *shown = driver.got
    assert isinstance(event, m.ErrorEvent) and event.message.startswith("200 lines that workers printed are not shown")
    assert shown == [lines("c"), lines("d")]


def test_what_a_driver_missed_is_forgotten_with_it():
    publisher, driver = Publisher(), Driver()
    relay = LogRelay(publisher, NodeTable())
    publisher.subscribe(driver, "log", JOB)
    driver.unsent_bytes = MOST_UNSENT + 1
    relay.lines(lines("a"))
    relay.requester_gone(driver)
    driver.unsent_bytes = 0
    relay.lines(lines("b"))
    assert driver.got == [lines("b")]
