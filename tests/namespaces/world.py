"""An internet of network namespaces: one for all nodes, one or more for each home."""

import os
import shutil
import subprocess
import sys
from enum import Enum
from typing import Self

NODES_HOST = "100.64.0.1"
NODES_HOST_6 = "fd64::1"
_PEER_HOST = "192.168.1.2"
"""The same in every home, as homes like to have it."""


class Home(Enum):
    """What stands between a peer and the internet."""

    NONE = "none"
    """An address of either family."""
    FULL_CONE = "full cone"
    """Mappings and filters do not depend on whom they lead to."""
    RESTRICTED = "port-restricted"
    """Mappings do not depend on whom they lead to; in comes what was sent to."""
    SYMMETRIC = "symmetric"
    """Another port for each host and port that is sent to."""
    DOUBLE = "double"
    """Two of the port-restricted kind."""
    BLOCKED = "blocked"
    """UDP gets through to the nodes alone."""
    IPV6 = "IPv6 only"
    """No other addresses; in comes what was sent to."""


def why_not() -> str:
    """Return why there can be no namespaces here; empty where there can be."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "network namespaces need root on Linux"
    if missing := [program for program in ("ip", "nft") if shutil.which(program) is None]:
        return f"{' and '.join(missing)} not installed (iproute2, nftables)"
    probe = f"gl{os.getpid()}-probe"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False)
    if made.returncode:
        return "network namespaces are not allowed here"
    tried = subprocess.run(
        ["ip", "netns", "exec", probe, "nft", "-f", "-"], input=_rules(Home.SYMMETRIC), capture_output=True, check=False
    )
    subprocess.run(["ip", "netns", "del", probe], capture_output=True, check=False)
    return "" if not tried.returncode else "address translation is not allowed here"


class Internet:
    """Namespaces that are gone when the block ends. Processes in them are for their starter to end before."""

    def __init__(self) -> None:
        self._prefix = f"gl{os.getpid()}-"
        self._names: list[str] = []
        self._lines: list[subprocess.Popen[str]] = []
        self._homes = 0

    def __enter__(self) -> Self:
        try:
            self.nodes = self._namespace("net")
            _run(
                self.nodes,
                "ip link add br0 type bridge",
                f"ip addr add {NODES_HOST}/16 dev br0",
                f"ip addr add {NODES_HOST_6}/64 dev br0 nodad",
                "ip link set br0 up",
            )
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for line in self._lines:
            line.kill()
            line.wait()
            assert line.stdout is not None
            line.stdout.close()
        for name in reversed(self._names):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    def home(self, kind: Home) -> str:
        """Make a home; return the namespace of its peer."""
        self._homes += 1
        number, outside, outside_6 = self._homes, f"100.64.{self._homes}.1/16", f"fd64::{self._homes}:1/64"
        if kind in (Home.NONE, Home.IPV6):
            peer = self._namespace(f"p{number}")
            self._plug(peer, *((outside, outside_6) if kind is Home.NONE else (outside_6,)))
            if kind is Home.IPV6:
                _rule(peer, kind)
            return peer
        router = self._namespace(f"r{number}")
        self._plug(router, outside)
        _rule(router, kind)
        if kind is Home.DOUBLE:
            inner = self._namespace(f"i{number}")
            _wire(router, "lan", "10.0.0.1/24", inner, "wan", "10.0.0.2/24")
            _run(inner, "ip route add default via 10.0.0.1")
            _rule(inner, Home.RESTRICTED)
            router = inner
        peer = self._namespace(f"p{number}")
        _wire(router, "lan", "192.168.1.1/24", peer, "wan", f"{_PEER_HOST}/24")
        _run(peer, "ip route add default via 192.168.1.1")
        return peer

    def slow_home(self, rate: float, delay_s: float, loss: float) -> str:
        """Make a home at the end of a slow line (`tests.namespaces.slow`); return its namespace."""
        self._homes += 1
        peer = self._namespace(f"p{self._homes}")
        command = [sys.executable, "-m", "tests.namespaces.slow", self.nodes, f"100.65.{self._homes}.2"]
        command += [str(rate), str(delay_s), str(loss)]
        line = subprocess.Popen(within(peer, command), stdout=subprocess.PIPE, text=True)
        self._lines.append(line)
        assert line.stdout is not None
        assert line.stdout.readline() == "ready\n"
        return peer

    def narrow(self, peer: str, mbit_per_s: int) -> None:
        """Let no more leave a home a second; what is beyond waits for a tenth of a second at most."""
        _run(peer, f"tc qdisc add dev wan root tbf rate {mbit_per_s}mbit burst 32k latency 100ms")

    def _namespace(self, name: str) -> str:
        full = self._prefix + name
        subprocess.run(["ip", "netns", "add", full], check=True)
        self._names.append(full)
        _run(full, "ip link set lo up", "sysctl -qw net.ipv4.ip_forward=1")
        return full

    def _plug(self, namespace: str, *addresses: str) -> None:
        """Connect a namespace with the internet."""
        port = f"v{self._homes}"
        _run(
            self.nodes,
            f"ip link add {port} type veth peer name wan netns {namespace}",
            f"ip link set {port} master br0 up",
        )
        added = [f"ip addr add {address} dev wan{' nodad' if ':' in address else ''}" for address in addresses]
        _run(namespace, *added, "ip link set wan up")


def within(namespace: str, command: list[str]) -> list[str]:
    """Return a command that runs in a namespace."""
    return ["ip", "netns", "exec", namespace, *command]


def _wire(one: str, device: str, address: str, other: str, other_device: str, other_address: str) -> None:
    _run(one, f"ip link add {device} type veth peer name {other_device} netns {other}")
    _run(one, f"ip addr add {address} dev {device}", f"ip link set {device} up")
    _run(other, f"ip addr add {other_address} dev {other_device}", f"ip link set {other_device} up")


def _rule(router: str, kind: Home) -> None:
    subprocess.run(within(router, ["nft", "-f", "-"]), input=_rules(kind), check=True)


def _rules(kind: Home) -> bytes:
    """Return the rules of a router: what comes unasked is dropped, as every home's router does."""
    if kind is Home.IPV6:
        return b"""
table ip6 firewall {
  chain input {
    type filter hook input priority filter
    meta l4proto ipv6-icmp accept
    iifname wan ct state != { established, related } drop
  }
}
"""
    lends = "masquerade fully-random" if kind is Home.SYMMETRIC else "masquerade"
    hands_in = f"iifname wan meta l4proto udp dnat to {_PEER_HOST}" if kind is Home.FULL_CONE else ""
    blocks = f"meta l4proto udp ip daddr != {NODES_HOST} ip saddr != {NODES_HOST} drop" if kind is Home.BLOCKED else ""
    return f"""
table ip nat {{
  chain post {{
    type nat hook postrouting priority srcnat
    oifname wan {lends}
  }}
  chain pre {{
    type nat hook prerouting priority dstnat
    {hands_in}
  }}
}}
table ip firewall {{
  chain input {{
    type filter hook input priority filter
    iifname wan drop
  }}
  chain forward {{
    type filter hook forward priority filter
    {blocks}
  }}
}}
""".encode()


def _run(namespace: str, *commands: str) -> None:
    for command in commands:
        subprocess.run(within(namespace, command.split()), check=True, stdout=subprocess.DEVNULL)
