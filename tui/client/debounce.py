"""Debounce times of the client, in seconds."""

TOGETHER_S = 0.15
"""Events in quick succession, such as mail after sign-in, cause one fetch."""
PAINT_S = 0.25
"""Progress, and pages of people, come in quick succession and are painted together."""
REST_S = 0.12
"""A row's details are fetched once the cursor has rested on it for so long."""
TYPING_S = 0.2
"""A search begins when no key has come for so long."""
