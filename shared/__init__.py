"""What nodes and peers share: identity, rights, wire messages, transport and hiding."""
