"""Severed paths (Meng et al. 2022, section 2.2): a state restored while parts stay corrupted.

The outputs of one kind of part at the subject's last token are frozen, in every layer, to what
they are in a corrupted run, while the state is restored at that token layer by layer. What the
curve loses against the unsevered one went through these parts.
"""

import functools

import numpy as np

from closedbook.knowledge.tracing import lanes
from closedbook.knowledge.tracing.cases import Case
from closedbook.knowledge.tracing.kinds import Convention, kinds
from closedbook.knowledge.tracing.lanes import EMBEDDED, Lane, Layout, Restore
from closedbook.knowledge.tracing.noise import Noise
from closedbook.knowledge.tracing.program import Tracer
from closedbook.knowledge.tracing.trace import draw


def severed(
    tracer: Tracer, case: Case, *, noise: Noise, convention: Convention = "code"
) -> dict[str, np.ndarray]:
    """The probability of the answer with a state restored at the subject's last token.

    Args:
        tracer: The model.
        case: The fact.
        noise: On the subject's embeddings.
        convention: "code": the frozen outputs are those of a run with other noise than the run
            that they are put into, as kmeng01/rome draws it. "paper": of the same noise.

    Returns:
        By the name of what is severed, such as "encoder.mlp", float64 [layers]: means over the
        samples. "encoder.state" is the curve with nothing severed.
    """
    stack = tracer.subject_stack
    layers = tracer.config.stacks[stack].layers
    of_stack = [kind for kind in kinds(tracer.config) if kind.stack == stack]
    sites = tuple(kind.site for kind in of_stack if kind.windowed)
    draws = 2 if convention == "code" else 1
    fact = tracer.fact(case, draw(tracer, case, noise, draws))
    layout = _layout(stack, layers, sites, noise.samples, draws)
    values = tracer.scores(fact, layout, lanes.at([case.prompt.last], 1, layers))
    rows = layout.rows(2 * layers)
    first = 1 + len(sites)  # after the corrupted run and those that are severed
    found = lanes.numbers(rows, values, range(first, len(layout.all)))
    names = [kind.name for kind in of_stack]
    return dict(zip(names, found.reshape(len(names), layers), strict=True))


@functools.lru_cache(maxsize=16)
def _layout(stack: str, layers: int, sites: tuple[str, ...], samples: int, draws: int) -> Layout:
    def frozen(site: str) -> Restore:
        return Restore(site=site, first=0, limit=layers, slot=0, clean=False)

    # Each severed run begins with the embeddings; its restored ones go on from it.
    made = [Lane(begin=EMBEDDED, draw=draws - 1, restores=(frozen(site),)) for site in sites]
    for number, restores in enumerate([(), *((frozen(site),) for site in sites)]):
        for layer in range(layers):
            state = Restore(site="resid_post", first=layer, limit=layer + 1, slot=0)
            begin = lanes.after(layer)
            made.append(Lane(begin=begin, parent=number, restores=(state, *restores)))
    return Layout(stack, tuple(made), samples)
