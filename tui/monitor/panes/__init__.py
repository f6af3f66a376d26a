"""The tabs of the monitor, one a file."""
