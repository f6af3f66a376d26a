"""Whether a node should get requests, told from one snapshot of it. Pure."""

from node.node_stats import NodeSnapshot


def hindrances(taken: NodeSnapshot) -> list[str]:
    """Say in one sentence each why requests should go to other nodes now; none where this one serves.

    A node that only follows serves as well as the leader does, and one that compares a restored directory answers.
    """
    found = []
    if not taken.directory.ok:
        found.append(f"The directory cannot be used: {taken.directory.error or 'it does not answer'}")
    if taken.leader is None:
        found.append("No leader is known: an election is under way, or most nodes cannot be reached.")
    if taken.draining:
        found.append("An operator's order keeps work from this node.")
    if taken.is_deaf:
        found.append("The failure simulation silences this node.")
    return found
