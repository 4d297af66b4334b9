"""What a task masks in its sentences, and how: needs no TensorFlow."""

import dataclasses
from typing import Literal

from closedbook.errors import UserError, unknown_name

CORRUPTIONS = ("salient", "matched", "t5")
STYLES = ("nem", "sentinel", "sentinel_bare")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Masking:
    """Masking of the spans of sentences.

    Args:
        corruption: "salient" masks the sentence's salient spans. "matched", its control, masks for
            each of them as many tokens in a row at a uniformly random place. "t5" takes no notice
            of the spans: it joins sentences to rows of the task's input length and corrupts 15%
            of their tokens, in spans of 3 on average (Raffel et al. 2020, section 3.1.4).
        style: "nem" is Roberts et al. 2020: the prefix `nem: `, `_X_` for the span, the bare span
            as target. "sentinel" has `<extra_id_0>` for the span and T5's own target,
            `<extra_id_0> span <extra_id_1>`. "sentinel_bare" has `<extra_id_0>`, and the bare
            span as target.
        spans_per_example: Spans masked at once: 1, more, or "all" of a sentence's. Each span is
            masked once per pass. More than one needs style "sentinel".
        labels: Keep only spans with these labels; empty: all.
        passes: How many times the token cache holds the corpus, with other random masks each time.
        seed: Of the random masks.
        held_out: Share of the titles whose sentences make up the split "validation". A sentence
            without a title counts as a title of its own.

    Raises:
        UserError: An option is out of range, or two do not go together.
    """

    corruption: Literal["salient", "matched", "t5"] = "salient"
    style: Literal["nem", "sentinel", "sentinel_bare"] = "nem"
    spans_per_example: int | Literal["all"] = 1
    labels: tuple[str, ...] = ()
    passes: int = 1
    seed: int = 0
    held_out: float = 0.0

    def __post_init__(self) -> None:
        if self.corruption not in CORRUPTIONS:
            raise unknown_name("corruption", self.corruption, CORRUPTIONS)
        if self.style not in STYLES:
            raise unknown_name("style of masking", self.style, STYLES)
        count = self.spans_per_example
        if count != "all" and (not _whole(count) or count < 1):
            raise UserError(f'spans_per_example is {count!r}; use 1, a larger number or "all"')
        if count != 1 and self.style != "sentinel":
            raise UserError(
                f"style {self.style!r} masks one span at a time, spans_per_example is {count!r}; "
                'use style "sentinel", which numbers them'
            )
        if isinstance(self.labels, str) or not all(isinstance(each, str) for each in self.labels):
            raise UserError(f'labels is {self.labels!r}; give a list, for example ["DATE"]')
        if not _whole(self.passes) or self.passes < 1:
            raise UserError(f"passes is {self.passes!r}; use 1 or more")
        if not _whole(self.seed) or self.seed < 0:
            raise UserError(f"seed is {self.seed!r}; use a whole number from 0")
        if not 0 <= self.held_out < 1:
            raise UserError(f"held_out is {self.held_out!r}; use a share from 0, below 1")


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
