"""The monitor: what the nodes tell of themselves, and what an operator tells them."""
