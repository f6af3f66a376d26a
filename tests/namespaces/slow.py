"""A slow line between a home and the internet: late, narrow and lossy, in a process of its own (Linux, as root).

python -m tests.namespaces.slow NAMESPACE ADDRESS RATE DELAY LOSS

It is started in the home's namespace and makes a device `wan` there, with ADDRESS (of a network with 24 bits), and one
in the other NAMESPACE, and passes packets between the two: each later by DELAY seconds, so many lost, and no more than
RATE bytes a second in each direction. What is beyond waits for `QUEUE_S` at most.
"""

import ctypes
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import sys
import time

QUEUE_S = 0.3
_TUNSETIFF = 0x400454CA
_IFF_TUN_NO_PI = 0x1001


def tunnel(name: str) -> int:
    """Make a device in this namespace; return the descriptor that its packets come from and go to."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TUN_NO_PI))
    return descriptor


def enter(namespace: str) -> None:
    """Go over to another network namespace."""
    descriptor = os.open(f"/var/run/netns/{namespace}", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, 0):
        raise OSError(ctypes.get_errno(), "another network namespace cannot be entered")
    os.close(descriptor)


def run(*commands: str) -> None:
    """Run commands in this namespace."""
    for command in commands:
        subprocess.run(command.split(), check=True)


def main(namespace: str, address: str, rate: float, delay_s: float, loss: float) -> None:
    """Pass packets on for ever."""
    home = tunnel("wan")
    run(f"ip addr add {address}/24 dev wan", "ip link set wan up", "ip route add default dev wan")
    enter(namespace)
    device = "t" + address.split(".")[2]
    internet = tunnel(device)
    network = address.rpartition(".")[0] + ".0/24"
    run(f"ip link set {device} up", f"ip route add {network} dev {device}")
    print("ready", flush=True)
    others = {home: internet, internet: home}
    free_at = dict.fromkeys(others, 0.0)
    waiting: list[tuple[float, int, int, bytes]] = []
    count = 0
    chance = random.Random(1)
    while True:
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, target, packet = heapq.heappop(waiting)
            os.write(target, packet)
        pause_s = waiting[0][0] - now if waiting else 1.0
        for source in select.select(list(others), [], [], pause_s)[0]:
            packet = os.read(source, 65_536)
            now = time.monotonic()
            begins = max(now, free_at[source])
            if begins - now > QUEUE_S:
                continue
            free_at[source] = begins + len(packet) / rate
            if chance.random() >= loss:
                count += 1
                heapq.heappush(waiting, (free_at[source] + delay_s, count, others[source], packet))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(float, sys.argv[3:]))
