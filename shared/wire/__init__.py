"""Messages that travel between nodes and peers: kinds, codec, caps."""
