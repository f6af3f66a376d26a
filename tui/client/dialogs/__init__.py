"""The dialogs of the client, one a file."""
