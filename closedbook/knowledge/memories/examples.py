"""One text as a model reads it."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example:
    """One text as a model reads it.

    Attributes:
        inputs: Ids that an encoder reads; empty for a decoder-only model.
        targets: Ids that the decoder is to write, the end included where the model has one; for
            a decoder-only model the text itself, with what the model wants before it.
        fact: The id of the fact that the text says or asks; "" if it is none of the atlas's.
    """

    inputs: tuple[int, ...]
    targets: tuple[int, ...]
    fact: str = ""
