"""How many datagrams a socket buffer really holds.

Linux charges a queued datagram not with its length but with the memory behind it: the data with its headroom and the
shared info, rounded up to the allocator's next power of two, and the descriptor. 256 tiny datagrams fill a default
buffer of 208 KiB. An advertised window in plain bytes would overrun the buffer by a factor of two and more.
"""

HEADROOM_BYTES = 64 + 42
"""Reserved in front of the data: driver headroom and the link, IP and UDP headers."""
SHARED_INFO_BYTES = 320
DESCRIPTOR_BYTES = 256
LINEAR_MAX_BYTES = 32 * 1024
"""Beyond this the data lies in pages of 4 KiB instead of one allocation."""
RESERVED_PROBES = 4
"""Empty probes that a receiver gets in its buffer while it pauses: their interval doubles, so four span a second."""


def charge_bytes(datagram_bytes: int) -> int:
    """Return with how many bytes of socket buffer the kernel charges one datagram."""
    linear = datagram_bytes + HEADROOM_BYTES + SHARED_INFO_BYTES
    if linear > LINEAR_MAX_BYTES:
        return (linear + 4095) // 4096 * 4096 + DESCRIPTOR_BYTES
    return (1 << max(linear - 1, 511).bit_length()) + DESCRIPTOR_BYTES


def window_datagrams(buffer_bytes: int, datagram_bytes: int) -> int:
    """Return how many datagrams of that size may be in flight without overrunning the buffer; at least one.

    An eighth is kept back for probes and for stragglers that were overtaken and counted as arrived.
    """
    reserve_bytes = max(buffer_bytes // 8, RESERVED_PROBES * charge_bytes(1))
    return max((buffer_bytes - reserve_bytes) // charge_bytes(datagram_bytes), 1)
