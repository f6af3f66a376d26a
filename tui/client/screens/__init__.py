"""The screens of the client, one a file."""
