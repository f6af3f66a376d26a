"""The negative control of an owner's peer: a change whose answer was lost is signed anew."""


def more() -> None:
    """Forget what was signed when it is to be sent again."""
    raise NotImplementedError("signed changes are not kept yet")
