"""Ids and pieces that every T5 gives a meaning of their own: padding, end of text, sentinels."""

import re

PAD_ID = 0
EOS_ID = 1
EXTRA_IDS = 100  # sentinels of every public T5, the last ids of all: `<extra_id_0>` is the last
WORD_START = "▁"  # U+2581, which stands for a blank in pieces

_SENTINEL = re.compile(rf"{WORD_START}?<extra_id_([0-9]+)>")


def sentinel(number: int) -> str:
    """The name of a sentinel, which stands for a left-out span in text.

    >>> sentinel(0)
    '<extra_id_0>'
    """
    return f"<extra_id_{number}>"


def sentinel_number(piece: str) -> int | None:
    """The number of a sentinel, or None for any other piece.

    Files write sentinels with and without the mark of a word's start.

    >>> sentinel_number("▁<extra_id_7>"), sentinel_number("<extra_id_7>"), sentinel_number("▁the")
    (7, 7, None)
    """
    found = _SENTINEL.fullmatch(piece)
    return int(found[1]) if found else None
