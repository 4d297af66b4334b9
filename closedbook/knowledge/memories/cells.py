"""Memory cells: the rows of feed-forward layers, by stack, layer and number."""

import dataclasses
import re
from typing import TYPE_CHECKING, Literal, get_args

from closedbook.errors import UserError, unknown_name

if TYPE_CHECKING:
    from closedbook.models.families import Config

Sign = Literal["positive", "negative"]
SIGNS: tuple[Sign, ...] = get_args(Sign)
SITE = "mlp.coefficients"
_NAME = re.compile(r"([A-Za-z_]\w*)\.([0-9]{1,9})\.([0-9]{1,9})")


@dataclasses.dataclass(frozen=True, order=True)
class Cell:
    """One memory: a key, which its coefficient answers to, and a value, which it writes."""

    stack: str
    layer: int  # from 0
    number: int  # from 0, within the layer

    @property
    def name(self) -> str:
        """As commands take it: "decoder.1.42"."""
        return f"{self.stack}.{self.layer}.{self.number}"

    @classmethod
    def parse(cls, name: str) -> "Cell":
        """The cell of a name such as "decoder.1.42".

        Raises:
            UserError: It has another form.
        """
        found = _NAME.fullmatch(name.strip())
        if found is None:
            raise UserError(
                f"{name!r} names no cell; write the stack, the layer and the cell, each counted "
                "from 0, with dots between, as in decoder.1.42"
            )
        return cls(found[1], int(found[2]), int(found[3]))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cells:
    """The cells of one stack.

    Attributes:
        stack: Its name.
        layers: How many layers.
        width: Cells per layer.
        signs: "positive" alone where coefficients are never below 0 (ReLU); both elsewhere, since
            a gated unit's coefficient is a product and its sign turns the value round.
    """

    stack: str
    layers: int
    width: int
    signs: tuple[Sign, ...]

    @property
    def count(self) -> int:
        """Cells of all layers."""
        return self.layers * self.width

    def check(self, cell: Cell) -> None:
        """Raises a UserError if a cell is not among them."""
        if cell.stack != self.stack:
            raise unknown_name("stack", cell.stack, [self.stack])
        if cell.layer >= self.layers:
            raise UserError(
                f"{cell.name}: there is no layer {cell.layer}; the {self.stack} has "
                f"{self.layers} layers, 0 to {self.layers - 1}"
            )
        if cell.number >= self.width:
            raise UserError(
                f"{cell.name}: there is no cell {cell.number}; each layer of the {self.stack} has "
                f"{self.width:,} cells, 0 to {self.width - 1}"
            )


def cells_of(config: "Config", stacks: tuple[str, ...] | None = None) -> dict[str, Cells]:
    """The cells of a model's stacks, by the stacks' names.

    Args:
        config: The model's.
        stacks: Only these; all if None.

    Raises:
        UserError: The model has no such stack, or no coefficients there that taps can read.
    """
    found = {}
    for name in stacks if stacks is not None else tuple(config.stacks):
        if name not in config.stacks:
            raise unknown_name(f"stack of a {config.title}", name, config.stacks)
        stack = config.stacks[name]
        if SITE not in stack.sites:
            raise UserError(
                f"the {name} of this {config.title} has no site {SITE}, so its memories cannot be "
                "read; use a model whose layers have feed-forward units"
            )
        never_negative = "relu" in config.mlp_activations and len(config.mlp_activations) == 1
        signs: tuple[Sign, ...] = SIGNS[:1] if never_negative else SIGNS
        found[name] = Cells(stack=name, layers=stack.layers, width=config.mlp_dim, signs=signs)
    return found
