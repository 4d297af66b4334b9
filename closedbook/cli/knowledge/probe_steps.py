"""What the options of `closedbook probe` ask for: which facts, which candidates, what else."""

import pathlib
from collections.abc import Sequence
from typing import Any

from closedbook.cli.run import comma_separated
from closedbook.errors import UserError
from closedbook.knowledge.probing import candidates
from closedbook.knowledge.probing.families.protocol import AnyPrompting, Spelling
from closedbook.knowledge.probing.hidden import states
from closedbook.knowledge.probing.prompts import style_of
from closedbook.knowledge.progress import Progress
from closedbook.tasks.facts import Facts, atlas, filters, read_facts


def facts_of(data: str, relations: str | None, prompting: AnyPrompting[Any]) -> Facts:
    """The facts of --data and --relations, in the style that a model is asked in."""
    names = None if relations is None else comma_separated(relations)
    style = style_of(prompting.way) if data == atlas.NAME else None
    return read_facts(data, relations=names, style=style)


def filtered(facts: Facts, *, lama: bool, uhn: bool, names: pathlib.Path | None) -> Facts:
    """The facts that the filters leave, with a count of what each dropped."""
    if lama:
        facts = filters.lama(facts)
    if uhn:
        told = filters.read_names(names) if names is not None else None
        facts = filters.unhelpful_names(facts, told)
    return facts


def with_candidates(
    facts: Facts,
    promptings: Sequence[Spelling],
    file: pathlib.Path | None,
    *,
    single: bool,
    drop: bool,
) -> Facts:
    """The facts with the candidates that the options ask for.

    Args:
        facts: All.
        promptings: Of the model, and of those whose single tokens are shared.
        file: Of --candidates.
        single: Whether they are single tokens.
        drop: Whether what the vocabulary cannot write is left out.
    """
    if file is not None:
        facts = candidates.of_all(facts, candidates.read(file), str(file))
    if single:
        facts = candidates.single_tokens(facts, promptings)
    if drop:
        facts = candidates.spelled(facts, promptings[0])
    return facts


Look = tuple[states.Pairs, tuple[str, ...]]  # for hidden knowledge: at which pairs, which sites


def look_of(model: Any, facts: Facts, globs: str | None, wrong: int | None) -> Look:
    """The pairs and the sites that a look for hidden knowledge is about."""
    names = comma_separated(globs or "")
    if globs is not None and not names:
        raise UserError(
            f"--hidden-sites is {globs!r}; give names or patterns of sites, such as "
            "decoder.*.resid_post, or leave it out"
        )
    pairs = states.sample(facts, states.WRONG if wrong is None else wrong)
    return pairs, states.sites(model.config, names)


def hidden(
    model: Any,
    facts: Facts,
    prompting: Any,
    look: Look,
    *,
    single: bool,
    keep: pathlib.Path,
    progress: Progress,
) -> dict[str, Any]:
    """What a look for hidden knowledge found, of which the page is made."""
    pairs, names = look

    def told(done: int) -> None:
        progress("hidden states", done, len(pairs.fact))

    read = states.read(
        model, facts, prompting, pairs, names, single=single, keep=keep, progress=told
    )
    return states.summarise(facts, pairs, read)


def numbers(text: str) -> tuple[int, ...]:
    """The numbers of --k, each once."""
    found = comma_separated(text, drop_empty=False)
    # No longer numbers: no relation has so many candidates, and arrays no room for the number.
    if not all(each.isdecimal() and len(each) < 10 and int(each) > 0 for each in found):
        raise UserError(
            f"--k is {text!r}; give numbers from 1 to 999,999,999, with commas between: --k 1,10"
        )
    return tuple(dict.fromkeys(map(int, found)))
