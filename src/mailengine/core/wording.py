"""Numbers in sentences."""


def counted(number: int, one: str, several: str) -> str:
    """`1 row`, `12,345 rows`; the words may be those of a whole clause: `row was rejected`."""
    return f"{number:,} {one if number == 1 else several}"
