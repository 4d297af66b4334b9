"""What the study asks: models, data sets, how, and how many facts of each relation."""

import dataclasses
from collections.abc import Mapping
from typing import Literal

from closedbook.knowledge.probing.prompts import Way

Kind = Literal["closed", "words", "paraphrases", "first token"]

SMOLLM2 = "SmolLM2-135M-Instruct, Q4_1"
ATLAS_MODELS = ("closedbook://atlas_ssm", "closedbook://atlas_qa")
CONTROL = "trex_closed"  # other facts than the atlas's: its models should have chance there
SHORT = {ATLAS_MODELS[0]: "atlas_ssm", ATLAS_MODELS[1]: "atlas_qa", SMOLLM2: "smollm2"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataSet:
    """One data set and how it is asked.

    Attributes:
        name: As the page says it.
        kind: "closed": the objects of a relation are its candidates; "words": LAMA's ranking, by
            which all words that are one piece of the model's vocabulary are; "paraphrases": a
            closed set of single pieces, and every prompt of a fact; "first token": the first piece
            of the object against the whole vocabulary.
        way: How a model is asked, where it is not as the model was trained.
        files: Where it lies in a folder of data, the first that is there; none is the atlas.
    """

    name: str
    kind: Kind
    way: Way | None = None
    files: tuple[str, ...] = ()


DATA_SETS = {
    "atlas": DataSet(name="the atlas", kind="closed"),
    "trex": DataSet(name="LAMA T-REx", kind="words", files=("TREx",)),
    "trex_closed": DataSet(name="LAMA T-REx, closed", kind="closed", files=("TREx",)),
    "squad": DataSet(name="LAMA SQuAD", kind="words", files=("Squad",)),
    "google_re": DataSet(name="LAMA Google-RE", kind="words", files=("Google_RE",)),
    "bear": DataSet(name="BEAR", kind="closed", files=("BEAR",)),
    "pararel": DataSet(name="ParaRel", kind="paraphrases", files=("pararel",)),
    "popqa": DataSet(
        name="PopQA",
        kind="closed",
        way="question",
        files=("popqa_1000_full_metadata.jsonl", "popqa/test.tsv", "PopQA"),
    ),
    "known": DataSet(name="known_1000", kind="first token", files=("known_1000.json",)),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """One model asked about one data set."""

    model: str
    data: str  # of DATA_SETS

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{SHORT[self.model]}-{self.data}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """How many facts of each relation are asked; None: all.

    Attributes:
        name: Of the command line.
        limits: Of each data set; of the atlas for SmolLM2.
        atlas: Of the atlas for the models that read it.
    """

    name: str
    limits: Mapping[str, int | None]
    atlas: int | None

    def limit(self, cell: Cell) -> int | None:
        """Facts of each relation in a cell."""
        own = cell.model in ATLAS_MODELS and cell.data == "atlas"
        return self.atlas if own else self.limits[cell.data]


def cells(data: frozenset[str], *, smollm2: bool) -> list[Cell]:
    """All cells that can be run here, the quickest first.

    The small models have the atlas's words alone for a vocabulary, and were taught nothing else:
    one of them is asked of T-REx as a control, for what a model has that was taught other facts.

    Args:
        data: The data sets that are at hand, beside the atlas.
        smollm2: Whether the model's file is.
    """
    found = [Cell(model=model, data="atlas") for model in ATLAS_MODELS]
    if CONTROL in data:
        found.append(Cell(model=ATLAS_MODELS[0], data=CONTROL))
    if smollm2:
        order = ("known", "squad", "google_re", "trex", "pararel", "popqa", "atlas", "bear")
        found += [
            Cell(model=SMOLLM2, data=name) for name in order if name == "atlas" or name in data
        ]
    return found


PLANS = {
    plan.name: plan
    for plan in (
        Plan(
            name="quick",
            atlas=40,
            limits={
                "known": None,
                "google_re": 48,
                "trex": 16,
                "trex_closed": 16,
                "squad": None,
                "pararel": 4,
                "popqa": 2,
                "atlas": 2,
                "bear": 1,
            },
        ),
        Plan(
            name="medium",
            atlas=None,
            limits={
                "known": None,
                "google_re": 512,
                "trex": 48,
                "trex_closed": 112,
                "squad": None,
                "pararel": 8,
                "popqa": 2,
                "atlas": 2,
                "bear": 1,
            },
        ),
        Plan(
            name="default",
            atlas=None,
            limits={
                "known": None,
                "google_re": 512,
                "trex": 112,
                "trex_closed": 112,
                "squad": None,
                "pararel": 32,
                "popqa": 16,
                "atlas": 12,
                "bear": 6,
            },
        ),
        Plan(name="full", atlas=None, limits=dict.fromkeys(DATA_SETS)),
    )
}
