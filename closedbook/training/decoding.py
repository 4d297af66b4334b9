"""Ways in which a model answers, whatever the length of its answers; the names are T5X's."""

import dataclasses

from closedbook.errors import UserError
from closedbook.inference.settings import DecodeSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decoding:
    """A way to decode.

    Attributes:
        settings: All but the length of answers.
        longest: Tokens of an answer, where the data allows more; None for as many as it allows.
    """

    settings: DecodeSettings = dataclasses.field(default_factory=DecodeSettings)
    longest: int | None = None

    def up_to(self, tokens: int) -> DecodeSettings:
        """The settings for answers of so many tokens at most, EOS included."""
        longest = min(tokens, self.longest or tokens)
        return dataclasses.replace(self.settings, max_decode_length=longest)


def greedy(*, num_decodes: int = 1, max_decode_len: int | None = None) -> Decoding:
    """The most probable token at each step. Its one answer is all that `num_decodes` would give."""
    del num_decodes
    return Decoding(longest=max_decode_len)


def beam_search(
    *, num_decodes: int = 1, alpha: float = 0.6, max_decode_len: int | None = None
) -> Decoding:
    """Beam search, T5X's default with one beam.

    A finished hypothesis competes with those that go on, by length-normalised score; so one beam
    is not greedy decoding.

    Args:
        num_decodes: Beams.
        alpha: Exponent of the brevity penalty ((5 + length) / 6) ** alpha.
        max_decode_len: Tokens of an answer.
    """
    settings = DecodeSettings(method="beam", num_beams=num_decodes, alpha=alpha)
    return Decoding(settings=settings, longest=max_decode_len)


def temperature_sample(
    *,
    num_decodes: int = 1,
    temperature: float = 1.0,
    topk: int = 1,
    topp: float = 0.0,
    max_decode_steps: int | None = None,
) -> Decoding:
    """Sampling.

    Args:
        num_decodes: Samples per input.
        temperature: Divides the logits; 0 is greedy decoding.
        topk: Sample among so many most probable tokens; 0 for all. The default, T5X's, leaves
            one token to draw.
        topp: Sample among the fewest tokens with at least this probability; 0 for all.
        max_decode_steps: Tokens of an answer.

    Raises:
        UserError: Both `topk` and `topp` are given, or a number is out of its range.
    """
    if topk and topp:
        raise UserError(
            f"decoding.temperature_sample has topk {topk} and topp {topp}; give one of them, and "
            "0 for the other"
        )
    if temperature == 0:
        return greedy(max_decode_len=max_decode_steps)
    settings = DecodeSettings(
        method="sample",
        num_samples=num_decodes,
        temperature=temperature,
        top_k=topk,
        top_p=topp or 1.0,
    )
    return Decoding(settings=settings, longest=max_decode_steps)
