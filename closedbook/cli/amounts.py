"""Amounts of data in words: what is small is not told as nothing."""


def byte_unit(count: float) -> tuple[int, str]:
    """The unit in which so many bytes are told, and its name: one of which there are several.

    >>> byte_unit(25_000_000), byte_unit(9_000), byte_unit(300)
    ((1000000, 'MB'), (1000, 'kB'), (1, 'bytes'))
    """
    units = ((1_000_000, "MB"), (1_000, "kB"), (1, "bytes"))
    return next((unit for unit in units if count >= 2 * unit[0]), units[-1])


def shown_bytes(count: float) -> str:
    """Bytes in a few characters.

    >>> shown_bytes(12_345_678), shown_bytes(9_876), shown_bytes(300)
    ('12.3 MB', '9.9 kB', '300 bytes')
    """
    size, unit = byte_unit(count)
    return f"{count / size:,.{0 if size == 1 else 1}f} {unit}"
