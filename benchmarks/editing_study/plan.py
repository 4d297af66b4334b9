"""What the study edits: which cells there are, and how much each of them does."""

import dataclasses
import itertools

from closedbook.knowledge.editing import presets
from closedbook.knowledge.editing.settings import METHODS, Method, Settings
from closedbook.knowledge.loaded_model import LoadedModel

MODEL = "closedbook://atlas_qa"
DEEP = "closedbook://atlas_deep"
SWITCHES = ("accumulate_keys", "null_space", "norm_anchor")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is done.

    Attributes:
        edits: Single edits of each cell.
        others: Other facts asked after each edit.
        points: After how many edits in a row a cell of them asks.
    """

    edits: int
    others: int
    points: tuple[int, ...]


PLANS = {
    "full": Plan(edits=100, others=600, points=(1, 10, 100, 1000)),
    "quick": Plan(edits=12, others=150, points=(1, 10)),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """One way of editing one model.

    Attributes:
        part: "methods", "trade-off", "layers" or "row".
        name: For tables; one of its kind in its part.
        model: Which is edited.
        method: Whose preset is the start.
        changes: Of the settings: name -> value.
        value: Of the search for the value.
    """

    part: str
    name: str
    model: str = MODEL
    method: Method = "rome"
    changes: tuple[tuple[str, object], ...] = ()
    value: tuple[tuple[str, float], ...] = ()

    def settings(self, model: LoadedModel) -> Settings:
        """The cell's settings for a loaded model."""
        made = presets.settings(model, self.method)
        value = dataclasses.replace(made.value, **dict(self.value))  # type: ignore[arg-type]  # names of its own fields
        return dataclasses.replace(made, value=value, **dict(self.changes))  # type: ignore[arg-type]  # the same

    @property
    def file(self) -> str:
        """The name of its result."""
        words = f"{self.part} {self.model.rpartition('/')[2]} {self.name}"
        return "".join(c if c.isalnum() or c in "-." else "_" for c in words) + ".json"


def cells(deep_layers: int | None) -> list[Cell]:
    """All cells, cheap and telling ones first.

    Args:
        deep_layers: Encoder layers of the deep model; None where it is not there.
    """
    found = [Cell(part="methods", name=method, method=method) for method in METHODS]
    found.append(Cell(part="methods", name="rome, decoder", changes=(("stack", "decoder"),)))
    for layer, kl in itertools.product((0, 1), (0.0, 0.25, 1.0, 4.0)):
        found.append(
            Cell(
                part="trade-off",
                name=f"layer {layer}, KL {kl:g}",
                changes=(("layers", (layer,)),),
                value=(("kl", kl),),
            )
        )
    for decay in (0.1, 0.3, 3.0):
        found.append(
            Cell(part="trade-off", name=f"layer 1, decay {decay:g}", value=(("decay", decay),))
        )
    published = (("effect", "subject"), ("ridge", 0.0))
    gpt2 = (("learning_rate", 0.5), ("steps", 20), ("decay", 0.5), ("kl", 0.0625))
    found.append(
        Cell(part="trade-off", name="kmeng01/rome's settings", changes=published, value=gpt2)
    )
    for layer in range(deep_layers or 0):
        found.append(
            Cell(part="layers", name=f"layer {layer}", model=DEEP, changes=(("layers", (layer,)),))
        )
    for method in ("rome", "memit"):
        for on in itertools.product((False, True), repeat=len(SWITCHES)):
            names = [name for name, each in zip(SWITCHES, on, strict=True) if each]
            label = " + ".join(name.replace("_", " ") for name in names) or "plain"
            found.append(
                Cell(
                    part="row",
                    name=f"{method}, {label}",
                    method=method,
                    changes=tuple(zip(SWITCHES, on, strict=True)),
                )
            )
    found.append(Cell(part="row", name="alphaedit", method="alphaedit"))
    found.append(Cell(part="row", name="ft-m", method="ft-m"))
    return found
