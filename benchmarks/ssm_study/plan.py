"""What the study runs: every corpus, size, objective and seed, at equal budget."""

import dataclasses
import itertools

OBJECTIVES = ("none", "span_corruption", "ssm")
CORPORA = ("atlas", "entity_questions")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Size:
    """A T5 1.0 with as many encoder as decoder layers."""

    name: str
    emb_dim: int
    num_heads: int
    mlp_dim: int
    layers: int

    def bindings(self) -> list[str]:
        """Of `network.T5Config`."""
        return [
            f"network.T5Config.emb_dim = {self.emb_dim}",
            f"network.T5Config.num_heads = {self.num_heads}",
            f"network.T5Config.head_dim = {self.emb_dim // self.num_heads}",
            f"network.T5Config.mlp_dim = {self.mlp_dim}",
            f"network.T5Config.num_encoder_layers = {self.layers}",
            f"network.T5Config.num_decoder_layers = {self.layers}",
        ]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """The grid, and what all its cells share."""

    name: str
    sizes: tuple[Size, ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    pretrain_steps: int  # of 8 packs of 128 input and 40 target tokens
    facts_per_relation: int  # of EntityQuestions
    subwords: int = 1000  # trained pieces of its vocabulary, beside its commoner words
    # Fine-tuning by corpus: steps, and packs of 128 input tokens per step.
    fine_tuning: dict[str, tuple[int, int]]

    def cells(self, corpora: tuple[str, ...] = CORPORA) -> list["Cell"]:
        """All cells, the longest first, so that no core waits for a late long one."""
        cells = [
            Cell(corpus=corpus, size=size, objective=objective, seed=seed)
            for size, corpus, seed, objective in itertools.product(
                self.sizes, corpora, self.seeds, OBJECTIVES
            )
        ]
        return sorted(
            cells, key=lambda cell: (cell.objective == "none", -cell.size.emb_dim, cell.seed)
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """One pretraining, one fine-tuning, one test."""

    corpus: str
    size: Size
    objective: str
    seed: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.corpus}-{self.size.name}-{self.objective}-{self.seed}"


SMALL = Plan(
    name="small",
    sizes=(
        Size(name="S", emb_dim=16, num_heads=2, mlp_dim=64, layers=2),
        Size(name="M", emb_dim=32, num_heads=4, mlp_dim=128, layers=2),
        Size(name="L", emb_dim=64, num_heads=4, mlp_dim=256, layers=2),
    ),
    pretrain_steps=1200,
    facts_per_relation=200,
    fine_tuning={"atlas": (130, 16), "entity_questions": (400, 4)},
)
LARGE = Plan(
    name="large",
    sizes=(
        Size(name="S", emb_dim=128, num_heads=4, mlp_dim=512, layers=2),
        Size(name="M", emb_dim=256, num_heads=8, mlp_dim=1024, layers=4),
        Size(name="L", emb_dim=512, num_heads=8, mlp_dim=2048, layers=6),
    ),
    seeds=(0, 1, 2, 3, 4),
    pretrain_steps=6880,
    facts_per_relation=600,
    fine_tuning={"atlas": (130, 16), "entity_questions": (1000, 8)},
)
PLANS = {plan.name: plan for plan in (SMALL, LARGE)}
