"""The four tabs of the client, one a file."""
