"""Waiting for the end of processes that are not this one's children."""

import time

import psutil


def runs(process):
    """Whether it does anything: a zombie, which waits for an init that takes its time, does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_gone(processes, timeout):
    """Those of the processes that still run after `timeout` seconds."""
    deadline_at_s = time.monotonic() + timeout
    alive = [process for process in processes if runs(process)]
    while alive and time.monotonic() < deadline_at_s:
        time.sleep(0.005)
        alive = [process for process in alive if runs(process)]
    return alive
