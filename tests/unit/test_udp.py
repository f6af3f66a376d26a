"""The UDP socket: trains where the kernel forms them, single datagrams elsewhere, and errors that are not fatal."""

import errno
import socket
from contextlib import closing

import anyio
import pytest

from shared.net import udp
from shared.net.udp import ANY_HOST, MAX_BATCH_BYTES, MAX_TRAIN_DATAGRAMS, Address, Batch, UdpSocket
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.anyio

SIZES = (
    [1200] * 70 + [300] + [1200, 1200, 1201, 5, 0, 0, 5, 5, 4] + [60_000] * 3 + [9] + [32_000, 32_000, 1] + [1] * 130
)


async def drained(receiver: UdpSocket, count: int) -> Batch:
    received: Batch = []
    with anyio.fail_after(PATIENCE_S):
        while len(received) < count:
            received += await receiver.receive_batch()
    return received


def datagrams() -> list[bytes]:
    return [bytes((index % 251,)) * size for index, size in enumerate(SIZES)]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("sending_trains", [True, False])
@pytest.mark.parametrize("receiving_trains", [True, False])
async def test_datagrams_keep_their_borders_and_order(host: str, sending_trains: bool, receiving_trains: bool):
    with (
        closing(UdpSocket((host, 0), gso=sending_trains)) as sender,
        closing(UdpSocket((host, 0), gso=receiving_trains)) as receiver,
    ):
        assert sender.send_run(receiver.local_address, datagrams()) == len(SIZES)
        received = await drained(receiver, len(SIZES))
        assert [data for _, data in received] == datagrams()
        assert {address for address, _ in received} == {sender.local_address}
        assert sender.send_errors == 0
        assert receiver.receive_now() == []


async def test_trains_are_what_the_kernel_gets(monkeypatch: pytest.MonkeyPatch):
    with closing(UdpSocket(("127.0.0.1", 0))) as sender, closing(UdpSocket(("127.0.0.1", 0))) as receiver:
        if not (sender.sends_trains and receiver.receives_trains):
            pytest.skip("no segmentation offload here")
        calls = spy(monkeypatch, sender)
        sender.send_run(receiver.local_address, [bytes(1200)] * 100 + [bytes(7)])
        assert [call for call in calls if call > 1] == [54, 47]
        sender.send_run(receiver.local_address, [bytes(10)] * 130)
        assert calls[2:] == [MAX_TRAIN_DATAGRAMS, MAX_TRAIN_DATAGRAMS, 2]
        await drained(receiver, 231)


def spy(monkeypatch: pytest.MonkeyPatch, sender: UdpSocket, error: OSError | None = None) -> list[int]:
    """Note how many datagrams every call gets; let calls with more than one fail if an error is given."""
    calls: list[int] = []

    class Spy:
        def __init__(self, real: socket.socket) -> None:
            self.real = real

        def sendmsg(self, parts: list[bytes], ancillary: object, flags: int, address: Address) -> int:
            calls.append(len(parts))
            if error is not None:
                raise error
            return self.real.sendmsg(parts, ancillary, flags, address)  # type: ignore[arg-type]

        def sendto(self, data: bytes, address: Address) -> int:
            calls.append(1)
            return self.real.sendto(data, address)

        def close(self) -> None:
            self.real.close()

    monkeypatch.setattr(sender, "_socket", Spy(sender._socket))
    return calls


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EIO, errno.ENOPROTOOPT])
async def test_a_kernel_without_segmentation_is_found_out(monkeypatch: pytest.MonkeyPatch, code: int):
    with closing(UdpSocket(("127.0.0.1", 0))) as sender, closing(UdpSocket(("127.0.0.1", 0))) as receiver:
        sender.sends_trains = True
        calls = spy(monkeypatch, sender, OSError(code, "no"))
        for _ in range(2):
            sender.send_run(receiver.local_address, [bytes(100)] * 5)
        assert calls == [5] + [1] * 5 + [1] * 5
        assert not sender.sends_trains
        assert len(await drained(receiver, 10)) == 10


async def test_an_address_that_takes_nothing_does_not_turn_trains_off():
    with closing(UdpSocket(("127.0.0.1", 0))) as sender:
        trains = sender.sends_trains
        assert sender.send_run(("127.0.0.1", 0), [bytes(10)] * 3) == 3
        assert sender.send_run(("240.0.0.1", 9), [bytes(10)] * 3) == 3
        assert sender.send_errors >= 3
        assert sender.sends_trains == trains


async def test_what_nobody_listens_to_is_not_fatal():
    with closing(UdpSocket(("127.0.0.1", 0))) as gone:
        address = gone.local_address
    with closing(UdpSocket(("127.0.0.1", 0))) as sender, closing(UdpSocket(("127.0.0.1", 0))) as receiver:
        for _ in range(3):
            assert sender.send_run(address, [b"x"]) == 1
            assert sender.receive_now() == []
        assert sender.send_run(receiver.local_address, [b"x"]) == 1
        assert await drained(receiver, 1) == [(sender.local_address, b"x")]


async def test_too_large_a_datagram_is_counted():
    with closing(UdpSocket(("127.0.0.1", 0))) as sender:
        assert sender.send_run(sender.local_address, [bytes(65_600)]) == 1
        assert sender.send_errors == 1


async def test_a_full_buffer_stops_the_run(monkeypatch: pytest.MonkeyPatch):
    with closing(UdpSocket(("127.0.0.1", 0), gso=False)) as sender:
        sent = 0

        class Full:
            def sendto(self, data: bytes, address: Address) -> None:
                nonlocal sent
                if sent == 3:
                    raise BlockingIOError
                sent += 1

            def close(self) -> None:
                real.close()

        real = sender._socket
        monkeypatch.setattr(sender, "_socket", Full())
        assert sender.send_run(("127.0.0.1", 9), [b"x"] * 6) == 3


async def test_one_wake_up_takes_a_bounded_amount():
    with closing(UdpSocket(("127.0.0.1", 0))) as sender, closing(UdpSocket(("127.0.0.1", 0))) as receiver:
        count = 3 * MAX_BATCH_BYTES // 1200
        if receiver.receive_buffer_bytes < 2 * count * 2304:
            pytest.skip("the receive buffer is too small here")
        sender.send_run(receiver.local_address, [bytes(1200)] * count)
        first = await receiver.receive_batch()
        assert MAX_BATCH_BYTES <= 1200 * len(first) < MAX_BATCH_BYTES + udp.LARGEST_DATAGRAM_BYTES
        await drained(receiver, count - len(first))


async def test_the_granted_buffer_is_read_back():
    with closing(UdpSocket(("127.0.0.1", 0))) as one:
        granted = one._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        assert one.receive_buffer_bytes == granted


async def test_a_socket_of_both_families_writes_each_address_as_its_own():
    with closing(UdpSocket((ANY_HOST, 0))) as both, closing(UdpSocket(("127.0.0.1", 0))) as four:
        port = both.local_address[1]
        four.send_run(("127.0.0.1", port), [b"4"] * 3)
        assert await drained(both, 3) == [(four.local_address, b"4")] * 3
        both.send_run(four.local_address, [b"44"] * 3)
        assert await drained(four, 3) == [(("127.0.0.1", port), b"44")] * 3
        if socket.AF_INET6 not in both.families:
            pytest.skip("this system has no IPv6")
        with closing(UdpSocket(("::1", 0))) as six:
            assert six.families == (socket.AF_INET6,)
            six.send_run(("::1", port), [b"6"])
            assert await drained(both, 1) == [(six.local_address, b"6")]
            both.send_run(six.local_address, [b"66"])
            assert await drained(six, 1) == [(("::1", port), b"66")]


async def test_a_system_without_ipv6_binds_to_ipv4(monkeypatch):
    real = socket.socket

    def without(family=socket.AF_INET, *rest, **more):
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(family, *rest, **more)

    monkeypatch.setattr(udp.socket, "socket", without)
    with closing(UdpSocket((ANY_HOST, 0))) as one:
        assert (one.families, one.local_address[0]) == ((socket.AF_INET,), "0.0.0.0")
