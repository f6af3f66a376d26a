"""Peers and nodes in network namespaces of this machine, with address translators of the kernel between them (Linux,
as root; iproute2 and nftables). The table of all pairs: `python -m tests.bench --only paths`."""
