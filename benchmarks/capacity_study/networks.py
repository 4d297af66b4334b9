"""The networks that the study trains: three families of equal sizes."""

import dataclasses
from typing import Literal

from benchmarks.capacity_study import examples
from closedbook.knowledge.capacity.sizes import Parameters, count
from closedbook.models import DecoderOnlyConfig, T5Config, abstract_parameters
from closedbook.models.families import Config

Family = Literal["t5_1_0", "t5_1_1", "decoder_only"]
Meter = Literal["pairs", "strings", "facts"]
FAMILIES: tuple[Family, ...] = ("t5_1_0", "t5_1_1", "decoder_only")
NAMES = {"t5_1_0": "T5 1.0", "t5_1_1": "T5 1.1", "decoder_only": "decoder-only"}
# For people, with words for symbols; 128 rows for random data.
ROWS = {"pairs": 128, "strings": 128, "facts": 640}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Size:
    """Networks of the three families with equally many parameters, embeddings apart.

    Attributes:
        name: Of the parameters, about.
        emb: Width.
        heads: Of attention.
        layers: Of each stack of a T5; a decoder-only model has twice as many.
        mlp: Width of the feed-forward unit by family, which makes them equal.
        batch: Pairs or strings of a step.
        sentences: Of a step; so few that 100 exposures are thousands of steps.
    """

    name: str
    emb: int
    heads: int
    layers: int
    mlp: dict[Family, int]
    batch: int
    sentences: int

    def config(self, family: Family, meter: Meter) -> Config:
        """The network's configuration."""
        shared = {
            "vocab_size": ROWS[meter],
            "emb_dim": self.emb,
            "num_heads": self.heads,
            "head_dim": self.emb // self.heads,
            "mlp_dim": self.mlp[family],
            "dropout_rate": 0.0,  # what is to be stored is to be stored
            "dtype": "float32",
        }
        if family == "decoder_only":
            return DecoderOnlyConfig(
                **shared,
                num_layers=2 * self.layers,
                attention_bias=False,
                mlp_bias=False,
                norm="rms",
                positions="rotary",
                bos_id=examples.BEGIN,
                eos_id=1,
                pad_id=0,
                add_bos=True,
            )
        gated = family == "t5_1_1"
        return T5Config(
            **shared,
            num_encoder_layers=self.layers,
            num_decoder_layers=self.layers,
            mlp_activations=("gelu", "linear") if gated else ("relu",),
            logits_via_embedding=not gated,
        )

    def parameters(self, family: Family, meter: Meter) -> Parameters:
        """How many there are."""
        return count(abstract_parameters(self.config(family, meter)))


def _size(
    name: str,
    emb: int,
    heads: int,
    layers: int,
    mlp: tuple[int, int, int],
    batch: int,
    sentences: int,
) -> Size:
    return Size(
        name=name,
        emb=emb,
        heads=heads,
        layers=layers,
        mlp=dict(zip(FAMILIES, mlp, strict=True)),
        batch=batch,
        sentences=sentences,
    )


SIZES = {
    size.name: size
    for size in (
        _size("6k", 16, 2, 1, (48, 32, 66), 128, 32),
        _size("25k", 32, 2, 1, (96, 64, 130), 256, 32),
        _size("100k", 64, 4, 1, (192, 128, 258), 256, 64),
        _size("1M", 128, 4, 2, (512, 341, 640), 512, 128),
    )
}
