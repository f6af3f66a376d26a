"""Widgets of the client."""
