"""Ports that tests give to programs are nobody else's until these have started, and when they start again."""

import socket
import subprocess
import sys
from contextlib import closing

from tests.ports import _BASES, _BLOCK_PORTS, Block
from tui.commands import up

CODE = "from tests.ports import free_ports; print(free_ports(6), flush=True); input()"


def test_two_test_processes_never_give_out_the_same_port() -> None:
    """Each looked for a free port, found the same one, and the program that started second found it taken."""
    started = [
        subprocess.Popen([sys.executable, "-c", CODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    given = []
    for process in started:
        assert process.stdout is not None
        given.append(int(process.stdout.readline()))
    for process in started:
        process.communicate("\n")
    assert abs(given[0] - given[1]) >= 6


def test_a_port_comes_again_only_after_all_others() -> None:
    """A program that is stopped and started again would find another test's program at its port."""
    with closing(Block()) as block:
        given = [block.take(6) for _ in range(80)]
    assert len(set(given)) == 80


def test_a_port_that_a_program_of_an_earlier_test_has_is_left_out() -> None:
    with closing(Block()) as block:
        first = block.take(6)
        with socket.socket() as left:
            left.bind(("127.0.0.1", first + 12))
            assert [block.take(6), block.take(6)] == [first + 6, first + 18]


def test_a_cluster_that_chooses_its_ports_itself_chooses_none_of_the_first_blocks() -> None:
    """A demo took a port of another test's cluster between its choice and the start of the node."""
    assert all(base + _BLOCK_PORTS <= up._LOWEST_FREE_PORT for base in _BASES[:16])
