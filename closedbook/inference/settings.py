"""How answers are decoded."""

import dataclasses
import math

from closedbook.errors import UserError, unknown_name

# What runs the network: JAX, or CTranslate2 on the CPU with weights of 32 bits or of 8.
ENGINES = {"jax": "", "ctranslate2": "float32", "ctranslate2-int8": "int8"}
METHODS = ("greedy", "beam", "sample")
BEAM_RULES = ("t5x", "huggingface")


def check_engine(name: str) -> None:
    """Raises a UserError if an engine is not one of `ENGINES`."""
    if name not in ENGINES:
        raise unknown_name("engine", name, ENGINES)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecodeSettings:
    """Settings of one way to decode; hashable, so that a compiled program belongs to it.

    Upstream T5X decodes with method "beam", 1 beam and alpha 0.6. That is not greedy decoding: a
    finished hypothesis competes with the one that goes on, by length-normalised score.

    Raises:
        UserError: A value is out of its range, or belongs to another method.
    """

    method: str = "greedy"  # "greedy", "beam" or "sample"
    num_beams: int = 1  # hypotheses kept per step; "beam" returns them all
    alpha: float = 0.6  # exponent of the brevity penalty ((5 + length) / 6) ** alpha
    # "huggingface": the search of transformers' generate(num_beams=...) for people who compare;
    # alpha is its length_penalty (1.0 if it is not told otherwise) and the penalty length ** alpha.
    beam_rules: str = "t5x"
    temperature: float = 1.0  # divides the logits before sampling
    top_k: int = 0  # sample among so many most probable tokens; 0: all
    top_p: float = 1.0  # sample among the fewest tokens with at least this probability; 1: all
    num_samples: int = 1  # samples per input
    seed: int = 0  # of the samples
    max_decode_length: int = 32  # tokens of an answer, EOS included

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise unknown_name("decoding method", self.method, METHODS)
        if self.beam_rules not in BEAM_RULES:
            raise unknown_name("DecodeSettings.beam_rules", self.beam_rules, BEAM_RULES)
        for name in ("num_beams", "num_samples", "max_decode_length"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        self._require("alpha", math.isfinite(self.alpha) and self.alpha >= 0, "0 or more")
        self._require("top_k", self.top_k >= 0, "0 (all tokens) or more")
        self._require("top_p", 0 < self.top_p <= 1, "above 0 and at most 1 (all tokens)")
        positive = math.isfinite(self.temperature) and self.temperature > 0
        self._require("temperature", positive, "above 0; use method='greedy' for none")
        self._require("seed", 0 <= self.seed < 2**32, "from 0 to 2**32 - 1")
        for name, unset in (("num_beams", 1), ("beam_rules", "t5x")):
            self._belongs(name, unset, "beam")
        for name, unset in (("num_samples", 1), ("temperature", 1), ("top_k", 0), ("top_p", 1)):
            self._belongs(name, unset, "sample")

    def _require(self, name: str, holds: bool, remedy: str) -> None:
        if not holds:
            raise UserError(
                f"DecodeSettings.{name} is {getattr(self, name)!r}; it must be {remedy}"
            )

    def _belongs(self, name: str, unset: float | str, method: str) -> None:
        # Greedy decoding that silently ignores four beams would pass for beam search.
        if self.method != method and getattr(self, name) != unset:
            raise UserError(
                f"DecodeSettings.{name} is {getattr(self, name)!r} but method is "
                f"{self.method!r}, which has no {name}; set method={method!r}"
            )
