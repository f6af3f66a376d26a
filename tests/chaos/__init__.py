"""Chaos: real nodes and real peers under every fault that a careless operator or a bad network can bring.

`python -m tests.chaos` runs it; `docs/testing.md` tells how to read what it says. The parts:

    network.py    addresses of the parties, and the weather on the ways between them (pure)
    relay.py      the relay that stands before every socket of every party
    cloud.py      three node processes and what can be done to them
    person.py     one account's peer in a process of its own (`peer_main.py` is that process)
    journal.py    what was asked for, what was promised, and what was done to the program, in one append-only file
    actors.py     people who encrypt, ask, grant, change, revoke and look, at random
    faults.py     the schedule of faults, from the seed
    rest.py       the end: faults stop, everything comes to rest, and is read
    pairs.py      what an owner's acknowledged changes allow one viewer (pure)
    checker.py    compares the journal with the directory and with every peer's store (pure)
    without.py    the negative controls: which fix is taken out, and how
"""
