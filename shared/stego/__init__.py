"""Hiding sealed pictures and rights records in PNG files that show only their cover."""
