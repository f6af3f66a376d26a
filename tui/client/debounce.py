"""How long the client puts things off, in seconds: for a moment in which more of the same may come."""

TOGETHER_S = 0.15
"""Events that come as a flock, such as mail after sign-in, are answered by one look at the peer."""
PAINT_S = 0.25
"""Progress comes with every few packets, and pages of people one after another: they are painted together."""
REST_S = 0.12
"""A cursor that runs through a list asks nobody and reads no file; only where it rests for so long."""
TYPING_S = 0.2
"""Without another key for so long, what was typed is looked for, in the cloud or on disk, and no half-typed name."""
