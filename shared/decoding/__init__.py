"""Decoding pictures that others made, in child processes with limits. Nothing else decodes a picture file."""
