"""The guided path of a newcomer, from the first name to the first picture seen. No widget in here."""


class Guide:
    """To come."""
