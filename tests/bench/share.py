"""What share of one core a program in a terminal takes while its screen is read and nothing is typed."""

from __future__ import annotations

import time

import psutil

from tests.tui.terminal import Terminal


def share_of_a_core(terminal: Terminal, seconds: float) -> float:
    """Return processor time of the program, not of its children, over the time that passed: 1 is one whole core."""
    process = psutil.Process(terminal.process.pid)
    before, began = process.cpu_times(), time.perf_counter()
    terminal.read_for(seconds)
    after, took = process.cpu_times(), time.perf_counter() - began
    return ((after.user + after.system) - (before.user + before.system)) / took
