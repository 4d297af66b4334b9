"""`closedbook probe`: which facts a model ranks first among a closed set of candidates."""

import dataclasses
import pathlib
from typing import Annotated

import typer

from closedbook.cli.knowledge.options import (
    ExtraIdsOption,
    ForceOption,
    OutOption,
    VocabularyOption,
)
from closedbook.cli.run import at_least, one_of, plain


def probe(
    out: OutOption,
    model: Annotated[
        str,
        typer.Option(
            help="The model that is asked: a run's MODEL_DIR, any checkpoint (see `closedbook "
            "ask`), a folder of a masked language model such as BERT, or closedbook://atlas_ssm, "
            "closedbook://atlas_qa."
        ),
    ] = "closedbook://atlas_ssm",
    data: Annotated[
        str,
        typer.Option(
            metavar="DIR|FILE|atlas",
            help="The facts, recognised by content: LAMA, ParaRel, PopQA, BEAR, EntityQuestions, "
            "CounterFact, known facts, your own JSON lines; or the packaged atlas.",
        ),
    ] = "atlas",
    relations: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Only these relations. Default: all.")
    ] = None,
    style: Annotated[
        str | None,
        typer.Option(
            help="How facts are put to the model. question: the model's prefix and a question; "
            "sentinels: a sentence with <extra_id_0>, T5's own target; bare: the same, the bare "
            "object as target; nem: `_X_` in the sentence; continuation: a sentence up to the "
            "object; sentence: the likelihood of a whole one; mask: a sentence with masks. "
            "Default: as the model was trained."
        ),
    ] = None,
    normalise: Annotated[
        str,
        typer.Option(
            help="A candidate's score. sum: its log-probability, the sum over its tokens, which "
            "favours short names; length: the mean per token, the end included."
        ),
    ] = "sum",
    k: Annotated[
        str,
        typer.Option(
            "--k",
            metavar="1,10,...",
            help="P@k for these k in the tables: how often the right object is among the k best.",
        ),
    ] = "1,10",
    others: Annotated[
        str,
        typer.Option(
            help="Other right objects of the same subject: removed from a fact's ranking, or "
            "ranked against it, as in LAMA."
        ),
    ] = "removed",
    candidates: Annotated[
        pathlib.Path | None,
        typer.Option(
            metavar="FILE",
            help="Rank these, one per line, for every relation, such as LAMA's common vocabulary. "
            "Default: the objects of each relation.",
        ),
    ] = None,
    single_token: Annotated[
        bool,
        typer.Option(
            "--single-token",
            help="LAMA's ranking: only candidates that are one piece, scored without an end; with "
            "--style sentence statements are scored whole all the same.",
        ),
    ] = False,
    same_tokens_as: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL",
            help="With --single-token: only those that are one piece in this model's vocabulary "
            "too; may be given several times.",
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
    lama_filters: Annotated[
        bool,
        typer.Option(
            "--lama-filters",
            help="Leave out and count what LAMA does: prompts over 100 words, facts that raters "
            "denied, facts said before.",
        ),
    ] = False,
    uhn: Annotated[
        bool,
        typer.Option(
            "--uhn",
            help="LAMA-UHN (Poerner et al. 2020): leave out facts whose subject's name holds the "
            "object's, and count them.",
        ),
    ] = False,
    uhn_names: Annotated[
        pathlib.Path | None,
        typer.Option(
            metavar="FILE",
            help="With --uhn: also those whose object a part of the subject's name suggests, by "
            'JSON lines of {"relation", "name", "objects"}.',
        ),
    ] = None,
    paraphrases: Annotated[
        bool | None,
        typer.Option(
            "--paraphrases/--no-paraphrases",
            help="Also ask every other wording of a fact: whether the answers agree (ParaRel's "
            "consistency, Elazar et al. 2021), and are right in all. Default: for BEAR by "
            "sentences, whose score is the mean over its templates.",
        ),
    ] = None,
    negated: Annotated[
        bool,
        typer.Option(
            "--negated",
            help='Also ask each fact with "not" in its prompt (Kassner and Schütze 2020): whether '
            "the best candidate and the ranking change.",
        ),
    ] = False,
    generate: Annotated[
        bool | None,
        typer.Option(
            "--generate/--no-generate",
            help="Also let the model answer freely (greedy), judged by exact match and by the "
            "judge. Default: for questions.",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            callback=at_least(1),
            metavar="N",
            help="Only the first N facts of each relation; all candidates.",
        ),
    ] = None,
    hidden: Annotated[
        bool,
        typer.Option(
            "--hidden",
            help="Also look for hidden knowledge (Gekhman et al. 2025): how many (right, wrong) "
            "pairs the model's own scores rank right, and how many linear probes on its states.",
        ),
    ] = False,
    hidden_sites: Annotated[
        str | None,
        typer.Option(
            metavar="GLOB,...",
            help="With --hidden: the sites, places in the network, whose vectors are probed: "
            "decoder.3.resid_post is the state after layer 3 (from 0), decoder.*.mlp.out what "
            "each feed-forward layer adds. Default: the residual stream after the middle and the "
            "last layer, and the embedding.",
        ),
    ] = None,
    hidden_wrong: Annotated[
        int | None,
        typer.Option(
            callback=at_least(1),
            metavar="N",
            help="With --hidden: wrong candidates per fact. Default: 10.",
        ),
    ] = None,
    triples: Annotated[
        pathlib.Path | None,
        typer.Option(
            metavar="FILE",
            help="Also rank what a relation extractor found (LAMA's RE): rows with subject, "
            "relation, object, score, and fact (its id) for oracle linking.",
        ),
    ] = None,
    retrieve: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CORPUS",
            help="Also look facts up in text by TF-IDF, as DrQA does: files by pattern, folders, "
            "tfds:NAME; may be given several times.",
        ),
    ] = None,
    reader: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="With --retrieve: a SQuAD model of transformers that reads answers out of it.",
        ),
    ] = None,
    vocabulary: VocabularyOption = None,
    extra_ids: ExtraIdsOption = None,
    force: ForceOption = False,
) -> None:
    """Ask a model for facts without training it, as LAMA does (Petroni et al. 2019).

    Each fact becomes a prompt; the model gives each candidate of its relation a probability; the
    right object's place among them makes P@1 (how often it is first), P@10 (among the ten best)
    and MRR (the mean of 1 / place), beside Freq (the commonest objects of the relation first) and
    chance. Means by type are of relations 1-1 (an object has one subject), N-1 (several) and N-M
    (a subject has several objects). docs/probing.md explains all words.

    DIR gets report.html (open it in a browser), results.jsonl (a row per fact), summary.json,
    command.json, figures and tables. What is done when the command is killed stays in
    DIR.unfinished, and the same command goes on from there.

    Examples:

    `closedbook probe --model closedbook://atlas_ssm --data atlas --out probe_ssm`

    `closedbook probe --model runs/nq_small --data EntityQuestions/test --out probe_nq`

    `closedbook probe --data LAMA/TREx --candidates common_vocab.txt --single-token --out lama`
    """
    arguments = {name: plain(value) for name, value in locals().items()}
    from closedbook.cli.analyze import progress_bar
    from closedbook.cli.knowledge import probe_baselines, probe_steps, probe_table
    from closedbook.errors import UserError
    from closedbook.knowledge import result_folders
    from closedbook.knowledge.probing import probe as probing
    from closedbook.knowledge.probing import results, wordings
    from closedbook.knowledge.probing.candidates import first_facts
    from closedbook.knowledge.probing.families.opening import (
        check_can,
        open_model,
        prompting_of,
        spelling_of,
    )
    from closedbook.knowledge.probing.prompts import WAYS

    result_folders.check_target(out, force=force)
    way = one_of("--style", style, WAYS) if style is not None else None
    settings = probing.Settings(
        normalise=one_of("--normalise", normalise, probing.NORMALISATIONS),
        others=one_of("--others", others, probing.OTHERS),
        single=single_token,
        negated=negated,
    )
    ks = probe_steps.numbers(k)
    if not hidden and (hidden_sites, hidden_wrong) != (None, None):
        raise UserError("--hidden-sites and --hidden-wrong go with --hidden; give it too")
    if uhn_names is not None and not uhn:
        raise UserError("--uhn-names goes with --uhn; give both, or neither")
    if same_tokens_as and not single_token:
        raise UserError("--same-tokens-as goes with --single-token; give both, or neither")
    beside = probe_baselines.Asked(triples=triples, retrieve=retrieve or (), reader=reader)
    with progress_bar() as progress:
        loaded = open_model(model, vocabulary=vocabulary, extra_ids=extra_ids)
        prompting = prompting_of(loaded, way)
        settings = dataclasses.replace(
            settings, generate=prompting.way == "question" if generate is None else generate
        )
        check_can(loaded, prompting.way, hidden=hidden, generate=settings.generate)
        facts = probe_steps.facts_of(data, relations, prompting)
        bear = {relation.corpus for relation in facts.relations.values()} == {"BEAR"}
        asked = bear and prompting.way == "sentence" if paraphrases is None else paraphrases
        settings = dataclasses.replace(settings, paraphrases=asked)
        facts = probe_steps.filtered(facts, lama=lama_filters, uhn=uhn, names=uhn_names)
        facts = wordings.askable(facts, prompting)
        alike = [spelling_of(open_model(each)) for each in same_tokens_as or []]
        everything = probe_steps.with_candidates(
            facts,
            [prompting, *alike],
            candidates,
            single=settings.single,
            drop=drop_unspelled,
        )
        facts = everything if limit is None else first_facts(everything, limit)
        # What cannot be asked, or probed for hidden knowledge, is told of before any work is done.
        look = probe_steps.look_of(loaded, facts, hidden_sites, hidden_wrong) if hidden else None
        tasks = probing.tasks_of(loaded, facts, prompting, settings)
        with result_folders.unfinished(out) as kept:
            found_beside = probe_baselines.of(beside, facts, data, settings, ks, kept, progress)
            rows = probing.probe(
                loaded, facts, prompting, settings, tasks=tasks, keep=kept, progress=progress
            )
            inside = look and probe_steps.hidden(
                loaded,
                facts,
                prompting,
                look,
                single=settings.single,
                keep=kept,
                progress=progress,
            )
            progress("writing", 1, 1)
            result = results.of(
                rows,
                facts,
                loaded,
                prompting,
                settings,
                ks=ks,
                model_name=model,
                arguments=arguments,
                hidden=inside,
                everything=everything,
                baselines=found_beside[0],
                retrieved=found_beside[1],
            )
            results.write(result, out, force=force)
    probe_table.show(result, out)
