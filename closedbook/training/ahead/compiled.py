"""One program, compiled for devices that need not be there: its memory and what is exchanged."""

import dataclasses
import re
import time
from collections.abc import Mapping
from typing import Any

import jax

from closedbook.errors import UserError
from closedbook.memory import shortage
from closedbook.parallel.collectives import Collective, collectives
from closedbook.parallel.programs_memory import bytes_on_a_device
from closedbook.training.programs import Program
from closedbook.training.state import TrainState


@dataclasses.dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes on one device.

    Attributes:
        parameters: Of the model.
        optimizer: Of the optimiser's state.
        batch: Of the other arguments.
        outputs: Of results that do not take an argument's place.
        temporaries: What XLA needs besides: activations, gradients, room to work in.
        code: Of the program itself.
        activations: The part of `temporaries` that grows with the rows of a batch; the rest does
            not. None where it was not measured.
    """

    parameters: int
    optimizer: int
    batch: int
    outputs: int
    temporaries: int
    code: int
    activations: int | None = None

    @property
    def total(self) -> int:
        """All of it."""
        held = self.parameters + self.optimizer + self.batch + self.outputs
        return held + self.temporaries + self.code


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compiled:
    """What the compiler says about a program.

    Attributes:
        name: Of the program.
        seconds: That compiling took here.
        memory: Of one device; None where the program does not fit and the compiler says so.
        too_large: The compiler's words, where it does not fit.
        exchanged: Operations by which devices exchange arrays, in one run.
        wanted: Bytes that it would take, where it does not fit and the compiler says how many.
    """

    name: str
    seconds: float
    memory: Memory | None
    too_large: str | None
    exchanged: tuple[Collective, ...]
    wanted: int | None = None

    @property
    def needed(self) -> int | None:
        """Bytes on one device, whether it has them or not; None if the compiler does not say."""
        return self.wanted if self.memory is None else self.memory.total

    def with_growth(self, half: "Compiled") -> "Compiled":
        """With its activations, from the same program for half of the rows."""
        if self.memory is None or half.memory is None:
            return self
        grown = 2 * (self.memory.temporaries - half.memory.temporaries)
        activations = min(max(grown, 0), self.memory.temporaries)
        memory = dataclasses.replace(self.memory, activations=activations)
        return dataclasses.replace(self, memory=memory, seconds=self.seconds + half.seconds)


def compile_program(program: Program, options: Mapping[str, Any] | None = None) -> Compiled:
    """Compiles a program for the devices of its arguments.

    Call it where the mesh and the rules are current (`Partitioner.activate`).

    Args:
        program: From `programs`.
        options: Of the compiler; those of a `Topology`.

    Raises:
        UserError: The compiler fails for another reason than memory.
    """
    began = time.monotonic()
    try:
        made = program.lower().compile(compiler_options=dict(options or {}) or None)
    except jax.errors.JaxRuntimeError as error:
        words = " ".join(str(error).split())
        short = shortage(error)
        if short is None:
            raise UserError(f"the {program.name} does not compile: {words[:500]}") from error
        return Compiled(
            name=program.name,
            seconds=time.monotonic() - began,
            memory=None,
            too_large=_shortened(words),
            exchanged=(),
            wanted=short.asked,
        )
    seconds = time.monotonic() - began
    stats: Any = made.memory_analysis()
    parameters, optimizer = _held(program.arguments[0])
    memory = Memory(
        parameters=parameters,
        optimizer=optimizer,
        batch=max(stats.argument_size_in_bytes - parameters - optimizer, 0),
        outputs=max(stats.output_size_in_bytes - stats.alias_size_in_bytes, 0),
        temporaries=stats.temp_size_in_bytes,
        code=stats.generated_code_size_in_bytes,
    )
    return Compiled(
        name=program.name,
        seconds=seconds,
        memory=memory,
        too_large=None,
        exchanged=tuple(collectives(made.as_text() or "")),
    )


def _held(first: object) -> tuple[int, int]:
    """Bytes of the parameters and of the optimiser's state in a program's first argument."""
    if isinstance(first, TrainState):
        return bytes_on_a_device(first.params), bytes_on_a_device(first.opt_state)
    return bytes_on_a_device(first), 0


def _shortened(words: str) -> str:
    """The sentence of a compiler's message that has the numbers."""
    number = r"[\d.]+[KMGT]?"
    match = re.search(rf"Used {number} of {number} \w+\. Exceeded \w+ capacity by {number}", words)
    return match[0] if match else words[:300]
