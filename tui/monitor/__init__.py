"""The monitor: what whoever runs the nodes, or wants to see an election, has in front of them."""
