"""What the study trains: families, sizes, amounts of data, objectives and seeds."""

import dataclasses
import itertools
import math

from benchmarks.capacity_study import examples, people
from benchmarks.capacity_study.examples import Objective
from benchmarks.capacity_study.networks import FAMILIES, ROWS, SIZES, Family, Meter
from closedbook.memory import check_size
from closedbook.models import DecoderOnlyConfig, flops_per_step
from closedbook.models.decoder_only.sizes import flops_per_step as flops_of_text
from closedbook.models.families import Config

# Learning rates of Adam, of which one is chosen for each family and objective.
RATES: dict[Meter, tuple[float, ...]] = {
    "pairs": (0.004, 0.01, 0.02),
    "facts": (0.00125, 0.0025, 0.005, 0.01),
}
TUNING_AMOUNT = 0.25  # bits per parameter of people that they are told of
TUNING_SEED = 1000  # of the runs that choose it, which are not reported


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """One training and its measurement.

    Attributes:
        meter: "pairs": random keys and values; "strings": random strings without a key;
            "facts": made-up people.
        family: Of the network.
        size: Of SIZES.
        amount: Bits offered per parameter that is no embedding.
        seed: Of data, parameters and order.
        exposures: How often each pair, string or attribute is seen.
        objective: Of pretraining, for "facts".
        rate: The learning rate; None for the one that tuning has chosen.
    """

    meter: Meter
    family: Family
    size: str
    amount: float
    seed: int
    exposures: int
    objective: Objective = "next_token"
    rate: float | None = None

    @property
    def arm(self) -> str:
        """What a curve of the figure shares."""
        return f"{self.meter}-{self.family}-{self.objective}"

    @property
    def tuned_as(self) -> str:
        """The arm whose learning rate it has: strings that of pairs."""
        return self.arm.replace("strings", "pairs")

    @property
    def name(self) -> str:
        """Of its folder."""
        rate = "" if self.rate is None else f"-rate{self.rate:g}"
        return f"{self.arm}-{self.size}-x{self.amount:g}-e{self.exposures}-{self.seed}{rate}"

    @property
    def config(self) -> Config:
        """The network's configuration."""
        return SIZES[self.size].config(self.family, self.meter)

    @property
    def items(self) -> int:
        """Pairs, strings or people."""
        wanted = self.amount * SIZES[self.size].parameters(self.family, self.meter).others
        return max(round(wanted / BITS[self.meter]), 1)

    @property
    def batch(self) -> int:
        """Rows of a step."""
        size = SIZES[self.size]
        return size.sentences if self.meter == "facts" else size.batch

    @property
    def steps(self) -> int:
        """Of the (pre)training."""
        rows = self.items * (len(people.ATTRIBUTES) if self.meter == "facts" else 1)
        return math.ceil(rows * self.exposures / self.batch)

    @property
    def flops(self) -> float:
        """Of the (pre)training, by arithmetic."""
        config = self.config
        if isinstance(config, DecoderOnlyConfig):
            length = {"pairs": examples.KEY + examples.VALUE, "strings": examples.STRING}
            tokens = length.get(self.meter, examples.TEXT - 1)
            return self.steps * float(flops_of_text(config, self.batch, tokens))
        lengths = (examples.KEY + 1, examples.VALUE)
        if self.meter == "facts":
            lengths = (examples.INPUT, examples.TARGET)
        return self.steps * float(flops_per_step(config, self.batch, *lengths))


BITS = {
    "pairs": examples.VALUE * math.log2(examples.SYMBOLS),
    "strings": examples.STRING * math.log2(examples.SYMBOLS),
    "facts": people.BITS,
}
"""What one item is worth."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """The grid.

    Attributes:
        name: Of the command line.
        raw_sizes: Of the raw meter.
        fact_sizes: Of the facts meter.
        raw_amounts: Bits offered per parameter, of the raw meter.
        fact_amounts: Likewise, of the facts meter.
        raw_exposures: Passes over pairs and strings.
        fact_exposures: Sentences about each attribute of each person.
        raw_seeds: That are reported.
        fact_seeds: That are reported.
        cost: How long it takes, in words, and where that comes from.
        at_once: Whether each process takes all cores or the GPU.
        raw_more: Passes of one run more, of the most strings at the largest size: whether the
            plateau rises with them. 0: none.
    """

    name: str
    raw_sizes: tuple[str, ...]
    fact_sizes: tuple[str, ...]
    raw_amounts: tuple[float, ...]
    fact_amounts: tuple[float, ...]
    raw_exposures: int
    fact_exposures: tuple[int, ...]
    raw_seeds: tuple[int, ...]
    fact_seeds: tuple[int, ...]
    cost: str
    at_once: bool = False
    raw_more: int = 0

    @property
    def described(self) -> str:
        """What it takes, in words."""
        return f"{len(self.tuning()) + len(self.cells())} trainings, {self.cost}"

    def tuning(self) -> list[Cell]:
        """The runs that choose learning rates: the largest size, an unreported seed.

        Random data are as many as are reported, which no model holds: of fewer, each rate holds
        all. People are few, as those that a model does not learn tell nothing of rates.
        """
        raw = [
            Cell(
                meter="pairs",
                family=family,
                size=self.raw_sizes[-1],
                amount=self.raw_amounts[-1],
                seed=TUNING_SEED,
                exposures=self.raw_exposures,
                rate=rate,
            )
            for family, rate in itertools.product(FAMILIES, RATES["pairs"])
        ]
        facts = [
            Cell(
                meter="facts",
                family=family,
                size=self.fact_sizes[-1],
                amount=TUNING_AMOUNT,
                seed=TUNING_SEED,
                exposures=self.fact_exposures[0],
                objective=objective,
                rate=rate,
            )
            for (family, objective), rate in itertools.product(_FACTS, RATES["facts"])
        ]
        return _longest_first([*raw, *facts])

    def cells(self) -> list[Cell]:
        """The runs that are reported, the longest first, so that no core waits for a late one."""
        arms = itertools.product(FAMILIES, self.raw_sizes, self.raw_amounts, self.raw_seeds)
        raw = [
            Cell(
                meter="pairs",
                family=family,
                size=size,
                amount=amount,
                seed=seed,
                exposures=self.raw_exposures,
            )
            for family, size, amount, seed in arms
        ]
        strings = [
            dataclasses.replace(cell, meter="strings")
            for cell in raw
            if (cell.family, cell.size) == ("decoder_only", self.raw_sizes[-1])
        ]
        if self.raw_more:
            most = max(strings, key=lambda cell: cell.amount)
            strings.append(dataclasses.replace(most, exposures=self.raw_more))
        facts = [
            Cell(
                meter="facts",
                family=family,
                size=size,
                amount=amount,
                seed=seed,
                exposures=exposures,
                objective=objective,
            )
            for (family, objective), size, amount, seed, exposures in itertools.product(
                _FACTS, self.fact_sizes, self.fact_amounts, self.fact_seeds, self.fact_exposures
            )
        ]
        return _longest_first([*raw, *strings, *facts])


_FACTS: tuple[tuple[Family, Objective], ...] = (
    ("t5_1_0", "ssm"),
    ("t5_1_0", "span_corruption"),
    ("t5_1_1", "ssm"),
    ("t5_1_1", "span_corruption"),
    ("decoder_only", "next_token"),
)


def _longest_first(cells: list[Cell]) -> list[Cell]:
    return sorted(cells, key=lambda cell: -cell.flops)


PLANS = {
    plan.name: plan
    for plan in (
        Plan(
            name="quick",
            raw_sizes=("6k",),
            fact_sizes=("6k",),
            raw_amounts=(1,),
            fact_amounts=(0.25,),
            raw_exposures=300,
            fact_exposures=(20,),
            raw_seeds=(0,),
            fact_seeds=(0,),
            cost="some minutes on two cores, to see that it runs",
        ),
        Plan(
            name="small",
            raw_sizes=("6k", "25k"),
            fact_sizes=("25k",),
            raw_amounts=(1, 4),
            fact_amounts=(0.25, 1),
            raw_exposures=3000,
            raw_more=10_000,
            fact_exposures=(100,),
            raw_seeds=(0,),
            fact_seeds=(0, 1),
            cost="about 50 minutes on two cores, reckoned from its cells",
        ),
        Plan(
            name="full",
            raw_sizes=("6k", "25k", "100k"),
            fact_sizes=("6k", "25k"),
            raw_amounts=(0.25, 1, 4),
            fact_amounts=(0.25, 1, 4),
            raw_exposures=1000,
            raw_more=3_000,
            fact_exposures=(100, 1000),
            raw_seeds=(0, 1, 2),
            fact_seeds=(0, 1, 2),
            cost="about 12 hours on two cores, reckoned from its operations at the "
            "small plan's rate",
        ),
        Plan(
            name="large",
            raw_sizes=("100k", "1M"),
            fact_sizes=("100k", "1M"),
            raw_amounts=(0.25, 1, 4),
            fact_amounts=(0.25, 1, 4),
            raw_exposures=1000,
            fact_exposures=(100, 1000),
            raw_seeds=(0, 1),
            fact_seeds=(0, 1),
            cost="about 25 hours on one GPU, reckoned as a millisecond for each of "
            "91 million steps; it has not been run",
            at_once=True,
        ),
    )
}


def check_memory(plan: Plan) -> None:
    """Checks that the largest cell of a plan is not larger than the memory there is.

    Counted are parameters, their gradients and Adam's two moments, and what a step keeps of its
    logits; all that is float32.

    Raises:
        TooLarge: It is.
    """
    for cell in {(each.meter, each.size): each for each in plan.cells()}.values():
        counted = SIZES[cell.size].parameters(cell.family, cell.meter)
        positions = cell.batch * (examples.INPUT + examples.TARGET + examples.TEXT)
        numbers = 4 * counted.total + 3 * positions * ROWS[cell.meter]
        check_size(f"a training of {cell.size} parameters", 4 * numbers)
