"""Widgets that both screen programs are made of; each in a file of its own."""
