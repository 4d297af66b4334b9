"""What the study edits: which cells there are, and how much each of them does."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Literal

from benchmarks.smollm2 import NAME as SMOLLM2
from closedbook.knowledge.editing import presets
from closedbook.knowledge.editing.settings import METHODS, Method, Settings
from closedbook.knowledge.loaded_model import LoadedModel

MODEL = "closedbook://atlas_qa"
DEEP = "closedbook://atlas_deep"
SWITCHES = ("accumulate_keys", "null_space", "norm_anchor")
BEST = "the best of them"  # the cell that goes on with the best of the eight combinations
# Data sets of the language model: where each lies in a folder of data.
DATA_SETS = {
    "CounterFact": ("counterfact-edit.json",),
    "known_1000": ("known_1000.json",),
    "QAEdit": ("QAEdit_inter_1k.json",),
}
Part = Literal["methods", "trade-off", "layers", "tracing", "row", "language model"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """One way of editing one model.

    Attributes:
        part: Of the page.
        name: For tables; one of its kind in its part.
        model: Which is edited.
        data: "atlas", or one of `DATA_SETS`.
        method: Whose preset is the start.
        changes: Of the settings: name -> value.
        value: Of the search for the value.
        edits: How many: single ones, or with `points` in a row.
        others: Other facts asked after each edit; None for the data's default.
        points: After how many edits in a row it asks; () for single edits.
    """

    part: Part
    name: str
    model: str = MODEL
    data: str = "atlas"
    method: Method = "rome"
    changes: tuple[tuple[str, object], ...] = ()
    value: tuple[tuple[str, float], ...] = ()
    edits: int
    others: int | None = None
    points: tuple[int, ...] = ()

    def settings(self, model: LoadedModel) -> Settings:
        """The cell's settings for a loaded model."""
        made = presets.settings(model, self.method)
        value = dataclasses.replace(made.value, **dict(self.value))  # type: ignore[arg-type]  # names of its own fields
        return dataclasses.replace(made, value=value, **dict(self.changes))  # type: ignore[arg-type]  # the same

    @property
    def file(self) -> str:
        """The name of its result."""
        data = "" if self.data == "atlas" else f" {self.data}"
        words = f"{self.part} {self.model.rpartition('/')[2]}{data} {self.name}"
        return "".join(c if c.isalnum() or c in "-." else "_" for c in words) + ".json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is done.

    Attributes:
        name: Of the command line.
        methods: Single edits of each method.
        trade_off: Single edits of each setting.
        layers: Single edits of each layer of the deep model, and facts traced there.
        texts: Single edits of each method and data set of the language model.
        others: Other facts of the atlas asked after each edit.
        row: After how many edits in a row is asked with each combination of switches.
        long: After how many with the best of them; () where all go as far.
        switched: Methods whose switches are combined.
        text_methods: Those of the language model.
        text_row: After how many edits in a row of CounterFact it is asked; () without.
    """

    name: str
    methods: int
    trade_off: int
    layers: int
    texts: int
    others: int
    row: tuple[int, ...]
    long: tuple[int, ...]
    switched: tuple[Method, ...]
    text_methods: tuple[Method, ...]
    text_row: tuple[int, ...]

    def cells(self, deep_layers: int | None, data: frozenset[str]) -> list[Cell]:
        """All cells; those that others wait for, and the longest ones, first.

        Args:
            deep_layers: Encoder layers of the deep model; None where it is not there.
            data: Which of `DATA_SETS` the language model can be asked about; none without it.
        """
        return [
            *self._rows(),
            *self._texts(data),
            *self._methods(),
            *self._layers(deep_layers or 0),
            *self._trade_off(),
        ]

    def _methods(self) -> Iterator[Cell]:
        for method in METHODS:
            yield Cell(
                part="methods",
                name=method,
                method=method,
                edits=self.methods,
                others=self.others,
            )
        decoder = (("stack", "decoder"),)
        yield Cell(
            part="methods",
            name="rome, decoder",
            changes=decoder,
            edits=self.methods,
            others=self.others,
        )

    def _trade_off(self) -> Iterator[Cell]:
        size = {"part": "trade-off", "edits": self.trade_off, "others": self.others}
        for layer, kl in itertools.product((0, 1), (0.0, 0.25, 1.0, 4.0)):
            name, layers = f"layer {layer}, KL {kl:g}", (("layers", (layer,)),)
            yield Cell(name=name, changes=layers, value=(("kl", kl),), **size)  # type: ignore[arg-type]  # names of its own fields
        for decay in (0.1, 0.3, 3.0):
            yield Cell(name=f"layer 1, decay {decay:g}", value=(("decay", decay),), **size)  # type: ignore[arg-type]  # the same
        published = (("effect", "subject"), ("ridge", 0.0))
        gpt2 = (("learning_rate", 0.5), ("steps", 20), ("decay", 0.5), ("kl", 0.0625))
        yield Cell(name="kmeng01/rome's settings", changes=published, value=gpt2, **size)  # type: ignore[arg-type]  # the same

    def _layers(self, layers: int) -> Iterator[Cell]:
        for layer in range(layers):
            yield Cell(
                part="layers",
                name=f"layer {layer}",
                model=DEEP,
                changes=(("layers", (layer,)),),
                edits=self.layers,
                others=self.others,
            )
        if layers:
            yield Cell(part="tracing", name="tracing", model=DEEP, edits=self.layers)

    def _rows(self) -> Iterator[Cell]:
        size = {"part": "row", "edits": max(self.row), "others": self.others, "points": self.row}
        for method in self.switched:
            for on in itertools.product((False, True), repeat=len(SWITCHES)):
                names = [name for name, each in zip(SWITCHES, on, strict=True) if each]
                label = " + ".join(name.replace("_", " ") for name in names) or "plain"
                yield Cell(
                    name=f"{method}, {label}",
                    method=method,
                    changes=tuple(zip(SWITCHES, on, strict=True)),
                    **size,  # type: ignore[arg-type]  # names of its own fields
                )
            # Shorter values, and a search that is content sooner: less is changed by each edit.
            for decay in (3.0, 10.0):
                yield Cell(
                    name=f"{method}, accumulate keys, decay {decay:g}",
                    method=method,
                    changes=(("accumulate_keys", True),),
                    value=(("decay", decay), ("stop", 0.1)),
                    **size,  # type: ignore[arg-type]  # names of its own fields
                )
        if self.long:
            yield Cell(
                part="row",
                name=BEST,
                edits=max(self.long),
                others=self.others,
                points=self.long,
            )
        for method in ("alphaedit", "ft-m"):
            yield Cell(name=method, method=method, **size)  # type: ignore[arg-type]  # the same

    def _texts(self, data: frozenset[str]) -> Iterator[Cell]:
        for name in DATA_SETS:
            if name not in data:
                continue
            for method in self.text_methods:
                yield Cell(
                    part="language model",
                    name=method,
                    model=SMOLLM2,
                    data=name,
                    method=method,
                    edits=self.texts,
                )
            if name == "CounterFact" and self.text_row:
                yield Cell(
                    part="language model",
                    name="rome, in a row",
                    model=SMOLLM2,
                    data=name,
                    edits=max(self.text_row),
                    points=self.text_row,
                )


PLANS = {
    plan.name: plan
    for plan in (
        Plan(
            name="quick",
            methods=12,
            trade_off=8,
            layers=6,
            texts=2,
            others=150,
            row=(1, 10),
            long=(),
            switched=("rome",),
            text_methods=("rome",),
            text_row=(),
        ),
        Plan(
            name="default",
            methods=100,
            trade_off=20,
            layers=12,
            texts=12,
            others=400,
            row=(1, 10, 100),
            long=(1, 10, 100, 1000),
            switched=("rome",),
            text_methods=("rome", "ft-m"),
            text_row=(),
        ),
        Plan(
            name="full",
            methods=100,
            trade_off=100,
            layers=100,
            texts=100,
            others=600,
            row=(1, 10, 100, 1000),
            long=(),
            switched=("rome", "memit"),
            text_methods=METHODS,
            text_row=(1, 10, 100),
        ),
    )
}
