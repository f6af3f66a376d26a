"""Attacks on three real nodes, from outside and from within, beside an honest person who is measured meanwhile."""
