"""What the study looks at: models, their texts, and how much of each."""

import dataclasses

from benchmarks.smollm2 import NAME as SMOLLM2

RELU = "ReLU language model"
ATLAS_MODELS = ("closedbook://atlas_qa", "closedbook://atlas_ssm", "closedbook://atlas_deep")
SHORT = {
    **{name: name.rpartition("/")[2] for name in ATLAS_MODELS},
    SMOLLM2: "smollm2",
    RELU: "relu",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """One model, the text of its triggers, and how much is looked at.

    Attributes:
        model: As `load_model` takes it, or one of the two names above.
        positions: At which layers are read.
        keys: Memories per layer whose triggers lose a token.
        triggers: Of each of them.
    """

    model: str
    positions: int
    keys: int
    triggers: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return SHORT[self.model]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is done.

    Attributes:
        name: Of the command line.
        cells: In the order in which they are run.
        steps: Of the ReLU language model's training, 2,048 tokens each.
        layers: Of that model.
        every: Of the training articles each so-manieth is searched for that model's triggers.
        sentences: Of WikiText-2's validation set at most, for SmolLM2's triggers; None: all.
    """

    name: str
    cells: tuple[Cell, ...]
    steps: int
    layers: int = 4
    every: int
    sentences: int | None


def _cells(
    small: int, relu: tuple[int, int, int], smollm2: tuple[int, int, int]
) -> tuple[Cell, ...]:
    atlas = [Cell(model=m, positions=small, keys=small // 40, triggers=50) for m in ATLAS_MODELS]
    others = [
        Cell(model=model, positions=positions, keys=keys, triggers=triggers)
        for model, (positions, keys, triggers) in ((RELU, relu), (SMOLLM2, smollm2))
    ]
    return (*atlas, *others)


PLANS = {
    plan.name: plan
    for plan in (
        # The paper's numbers are 4,000 positions, 100 memories per layer, 50 triggers of each.
        Plan(
            name="quick",
            cells=_cells(400, (400, 10, 10), (100, 2, 3)),
            steps=600,
            every=40,
            sentences=300,
        ),
        Plan(
            name="default",
            cells=_cells(4000, (4000, 50, 20), (1000, 6, 8)),
            steps=1500,
            every=8,
            sentences=None,
        ),
    )
}
