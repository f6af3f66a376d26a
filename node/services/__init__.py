"""What every operation does to the directory: one module per subject, `operations` in front of them."""
