"""Handshakes, sessions and keys of everything that travels in datagrams; no sockets, clock or randomness inside."""
