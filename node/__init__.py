"""The cloud: three UDP nodes that elect a leader, hide pictures and keep the ledger of views."""
