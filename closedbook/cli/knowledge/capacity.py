"""`closedbook capacity`: a lower bound on the bits of facts that a model holds."""

from typing import Annotated

import typer

from closedbook.cli.knowledge.options import (
    ExtraIdsOption,
    ForceOption,
    OutOption,
    VocabularyOption,
)
from closedbook.cli.run import at_least, one_of, plain

_ON_ATLAS = 2  # phrasings, by default


def capacity(
    out: OutOption,
    model: Annotated[
        str,
        typer.Option(
            help="The model that is measured: a run's MODEL_DIR, any checkpoint (see `closedbook "
            "ask`), or closedbook://atlas_ssm, closedbook://atlas_qa."
        ),
    ] = "closedbook://atlas_qa",
    data: Annotated[
        str,
        typer.Option(
            metavar="DIR|FILE|atlas",
            help="The facts, recognised by content, as for `closedbook probe`: LAMA, BEAR, PopQA, "
            "..., your own JSON lines; or the packaged atlas.",
        ),
    ] = "atlas",
    relations: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Only these relations. Default: all.")
    ] = None,
    style: Annotated[
        str | None,
        typer.Option(
            help="How facts are put to the model, as for `closedbook probe`: question, sentinels, "
            "bare, nem, continuation, sentence, mask. Default: as the model was trained."
        ),
    ] = None,
    prior: Annotated[
        str,
        typer.Option(
            help="What a fact is worth. marginal: how often each object is right is taken as "
            "known, and a relation is worth log2 of the ways to give its objects to its subjects; "
            "uniform: log2 of its candidates, for made-up facts whose objects a fair die drew. "
            "On facts that exist uniform would count guesses of common objects as knowledge."
        ),
    ] = "marginal",
    phrasings: Annotated[
        int | None,
        typer.Option(
            callback=at_least(1),
            metavar="N",
            help="Ask each fact in its first N phrasings; more find more, and cost as much each. "
            "Default: 2 on the atlas, under a minute on two cores; all of other data.",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            callback=at_least(1),
            metavar="N",
            help="Only the first N facts of each relation; the bits are then of these.",
        ),
    ] = None,
    drop_unspelled: Annotated[
        bool,
        typer.Option(
            "--drop-unspelled",
            help="Leave out candidates that the vocabulary cannot write or writes like another, "
            "with their facts, and count them. Otherwise they are an error.",
        ),
    ] = False,
    uhn: Annotated[
        bool,
        typer.Option(
            "--uhn",
            help="Leave out facts whose subject's name holds the object's (Poerner et al. 2020): "
            "who reads the name needs no memory for them.",
        ),
    ] = False,
    vocabulary: VocabularyOption = None,
    extra_ids: ExtraIdsOption = None,
    force: ForceOption = False,
) -> None:
    """Measure how many bits of given facts a model holds, at least, and per parameter.

    Each fact is put to the model, which gives each candidate of its relation a probability. What
    the facts are worth to one who knows only the candidates, less what it takes to tell them to
    somebody who has the model, are bits that the parameters hold. A model that guesses holds 0; one
    that knows the capitals of 49 states holds log2(49!) = 208 bits, and less where the data has
    splits, each of which counts by itself.

    "best" asks each relation in the phrasing that is best for other facts of it, so that the choice
    adds nothing; "mean" is the mean over phrasings. Facts of different splits are reported apart,
    such as those that fine-tuning asked about and those held out. docs/capacity.md explains all
    numbers, and what they do not show.

    DIR gets report.html (open it in a browser), results.jsonl (a row per fact), summary.json,
    command.json, figures and tables. What is done when the command is killed stays in
    DIR.unfinished, and the same command goes on from there.

    Examples:

    `closedbook capacity --model closedbook://atlas_qa --data atlas --out bits_qa`

    `closedbook capacity --model runs/nq_small --data EntityQuestions/test --out bits_nq`

    `closedbook capacity --model gpt2 --data BEAR --style sentence --out bits_gpt2`
    """
    arguments = {name: plain(value) for name, value in locals().items()}
    from closedbook.cli.analyze import progress_bar
    from closedbook.cli.knowledge import capacity_table, probe_steps
    from closedbook.knowledge import result_folders
    from closedbook.knowledge.capacity import asking, priors, results
    from closedbook.knowledge.probing import wordings
    from closedbook.knowledge.probing.candidates import first_facts
    from closedbook.knowledge.probing.families.opening import open_model, prompting_of
    from closedbook.knowledge.probing.prompts import WAYS
    from closedbook.tasks.facts import atlas

    result_folders.check_target(out, force=force)
    way = one_of("--style", style, WAYS) if style is not None else None
    rule = one_of("--prior", prior, priors.PRIORS)
    with progress_bar() as progress:
        loaded = open_model(model, vocabulary=vocabulary, extra_ids=extra_ids)
        prompting = prompting_of(loaded, way)
        facts = probe_steps.facts_of(data, relations, prompting)
        facts = probe_steps.filtered(facts, lama=False, uhn=uhn, names=None)
        facts = wordings.askable(facts, prompting)
        facts = probe_steps.with_candidates(
            facts, [prompting], None, single=False, drop=drop_unspelled
        )
        facts = facts if limit is None else first_facts(facts, limit)
        most = _ON_ATLAS if phrasings is None and data == atlas.NAME else phrasings
        facts = asking.with_phrasings(facts, prompting, most)
        facts = priors.counted_once(facts, rule)
        # What cannot be asked is told of before any work is done.
        worth = priors.priors(facts, rule)
        tasks = asking.tasks_of(loaded, facts, prompting)
        with result_folders.unfinished(out) as kept:
            rows = asking.ask(
                loaded, facts, prompting, worth, tasks=tasks, keep=kept, progress=progress
            )
            progress("writing", 1, 1)
            result = results.of(
                rows,
                facts,
                loaded,
                prompting,
                worth,
                rule,
                model_name=model,
                arguments=arguments,
            )
            results.write(result, out, force=force)
    capacity_table.show(result, out)
