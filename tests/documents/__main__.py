"""Write what the documents have from the code: `python -m tests.documents`."""

from tests.documents import vectors
from tests.documents.generated import DOCS, with_parts


def main() -> None:
    """Write the generated parts of all pages, and the test vectors."""
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        page.write_text(with_parts(text), encoding="utf-8")
    made, stego = vectors.make()
    vectors.VECTORS.write_text(vectors.text_of(made), encoding="utf-8")
    vectors.STEGO.write_bytes(stego)


if __name__ == "__main__":
    main()
