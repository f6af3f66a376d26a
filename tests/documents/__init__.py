"""What the documents in `docs/` have from the code: `python -m tests.documents` writes it anew."""
