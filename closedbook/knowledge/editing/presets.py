"""Which settings and which contexts an edit gets where the user says nothing."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

from closedbook.errors import UserError
from closedbook.eval.files import json_lines, text_files
from closedbook.inference.settings import DecodeSettings
from closedbook.knowledge.editing import answering, atlas_edits, requests
from closedbook.knowledge.editing.moments import Corpus
from closedbook.knowledge.editing.places import has_encoder
from closedbook.knowledge.editing.requests import ESSENCE, Edit, Keep
from closedbook.knowledge.editing.settings import Method, Settings, published
from closedbook.knowledge.editing.values import ValueSettings
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.tasks.facts import templates
from closedbook.tasks.facts.form import Fact

# Of the layers of GPT-2 XL, ROME edits the one at a third of the depth, MEMIT five up to it.
_DEPTH = 0.35
_SPREAD = 5 / 48
_STARTS = ("The", "Therefore", "Because", "I", "You")  # of generated contexts, as in kmeng01/memit
_LENGTHS = (5, 10)  # tokens of generated contexts, as in kmeng01/rome
# Small steps and a strong decay keep the value short, and a short one harms other facts less.
_ATLAS = ValueSettings(learning_rate=0.1, steps=80, decay=1.0, kl=1.0, stop=0.02)
_ATLAS_ROW = dataclasses.replace(_ATLAS, decay=3.0, stop=0.1)


def settings(model: LoadedModel, method: Method, *, in_row: bool = False) -> Settings:
    """The settings of a method for a model: those of the packaged models, else the published.

    Args:
        model: Who is edited.
        method: How.
        in_row: For many edits on top of each other. On the packaged models rome then leaves the
            keys of earlier edits alone and changes less with each.
    """
    made = published(method)
    if atlas_edits.knows(model):
        made = _of_atlas(made, _atlas_layer(model))
        if in_row and method == "rome":
            made = _replaced(made, value=_ATLAS_ROW, accumulate_keys=True)
        return made
    stack = next(iter(model.config.stacks))
    layers = model.config.stacks[stack].layers
    last = int(layers * _DEPTH)
    several = method in ("memit", "emmet", "alphaedit")
    number = max(1, round(layers * _SPREAD)) if several else 1
    return _replaced(made, layers=tuple(range(last - min(number, last + 1) + 1, last + 1)))


def _atlas_layer(model: LoadedModel) -> int:
    """The layer of the first stack that takes edits best, by docs/studies/editing_study.md.

    Of two layers the second harms others less; of six only the first carries an edit over to
    other phrasings, and tracing finds the subject's effect there too.
    """
    stack = next(iter(model.config.stacks.values()))
    return 1 if stack.layers == 2 else 0


def _of_atlas(made: Settings, layer: int) -> Settings:
    made = _replaced(made, layers=(layer,))
    match made.method:
        case "rome":
            return _replaced(made, value=_ATLAS, ridge=1e-2, effect="matrix")
        case "memit" | "emmet":
            return _replaced(made, value=_ATLAS, ridge=1e-2, moment_weight=1.0)
        case "alphaedit":
            # Its keys are shorter than a large model's, so that 10 would outweigh them.
            return _replaced(made, value=_ATLAS, l2=0.1, null_threshold=1e-3)
        case _:
            return _replaced(made, fine_tuning_rate=1e-2, fine_tuning_steps=80, largest_change=2e-2)


def _replaced(made: Settings, **changes: object) -> Settings:
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]  # names are checked by it


def single(
    model: LoadedModel,
    subject: str,
    prompt: str,
    target: str,
    *,
    contexts: Sequence[str] | None = None,
    keep: Sequence[str] = (),
    said: Mapping[str, str] | None = None,
) -> Edit:
    """The edit of one fact as a user names it.

    Args:
        model: Who is edited.
        subject: As it stands in the prompt.
        prompt: With `{}` for the subject, or with the subject once.
        target: The new object.
        contexts: More prompts with `{}`; None for the atlas's other phrasings of the same question
            where the model knows it, and for prefixes that a decoder-only model writes itself.
        keep: Prompts with `{}` that are to be left alone; what the model says there is kept.
        said: The atlas's fact -> what the model answers, where it was asked already.

    Raises:
        UserError: The prompt does not name the subject, or names it several times.
    """
    prompt = slotted(prompt, subject)
    fact = atlas_edits.find(subject, prompt) if atlas_edits.knows(model) else None
    if fact is not None:
        others = [each for each in atlas_edits.about(subject) if each.id != fact.id]
        if said is None:
            found = answering.answers(model, model.params, [each.asked() for each in others])
            said = {each.id: text for each, text in zip(others, found, strict=True)}
        made = atlas_edits.edit_of(fact, target, said, prompt)
        given = made.contexts if contexts is None else tuple(contexts)
        kept = (*made.keep, *_kept(model, subject, keep))
        return Edit(
            id=made.id, subject=subject, prompt=prompt, target=target, contexts=given, keep=kept
        )
    if contexts is None:
        contexts = generated(model, prompt)
    essence = () if keep or has_encoder(model.config) else (Keep(prompt=ESSENCE, at_subject=True),)
    return Edit(
        id=f"{subject}: {prompt}",
        subject=subject,
        prompt=prompt,
        target=target,
        contexts=tuple(contexts),
        keep=(*_kept(model, subject, keep), *essence),
    )


def put(model: LoadedModel, fact: Fact) -> Fact:
    """The fact with its prompts as the model is asked.

    A model that goes on with its prompt gets questions framed (`answering.framed`), and of a
    sentence with a gap what stands before it; others get everything as it is.

    Raises:
        UserError: Text follows the gap of the fact's prompt, so that no model can go on with it.
    """
    if not model.config.continues_prompt or fact.style == "continuation":
        return fact
    asked = answering.framed if fact.style == "question" else _before_object
    paraphrases = [asked(each) for each in fact.paraphrases]
    prompt, negated = asked(fact.prompt), asked(fact.negated) if fact.negated else None
    if not prompt:
        raise UserError(
            f"in the prompt {fact.prompt!r} text follows the object, so that no model can go on "
            "with it; give a prompt that ends with the object"
        )
    return dataclasses.replace(
        fact,
        style="continuation",
        prompt=prompt,
        paraphrases=tuple(filter(None, paraphrases)),
        negated=negated or None,
        neighbours=tuple(
            dataclasses.replace(each, prompt=asked(each.prompt)) for each in fact.neighbours
        ),
    )


def _before_object(prompt: str) -> str:
    """A prompt up to the object's place, the subject's kept; "" where text follows it."""
    return templates.before_object(prompt, templates.SUBJECT) or ""


def check(model: LoadedModel, fact: Fact) -> None:
    """Checks that a fact with a target can be edited, without the work of `of_fact`.

    Args:
        model: Who is edited.
        fact: As `put` gives it.

    Raises:
        UserError: It cannot: its subject is not to be found, or its target not to be written.
    """
    requests.tells(model, Edit.of_fact(fact))


def of_fact(model: LoadedModel, fact: Fact) -> Edit:
    """The edit that a data set asks for, as `single` makes it; its paraphrases are for evaluation.

    Args:
        model: Who is edited.
        fact: As `put` gives it.

    Raises:
        UserError: The fact has no target, or cannot be put to the model.
    """
    if fact.target is None:
        raise UserError(f'fact {fact.id} has no target; give the new object as "target"')
    made = single(model, fact.subject, fact.prompt, fact.target)
    return dataclasses.replace(made, id=fact.id)


def slotted(prompt: str, subject: str) -> str:
    """The prompt with `{}` for the subject.

    Raises:
        UserError: It has neither `{}` nor the subject, or several of one.
    """
    if prompt.count(templates.SUBJECT) == 1:
        return prompt
    if templates.SUBJECT in prompt:
        raise UserError(
            f"the prompt {prompt!r} has {prompt.count(templates.SUBJECT)} places for the subject; "
            "write {} once"
        )
    found = templates.slotted(prompt, subject)
    if found is None:
        raise UserError(
            f"the subject {subject!r} is not in the prompt {prompt!r}; write it as it stands "
            "there, or {} in its place"
        )
    rest = found.partition(templates.SUBJECT)[2]
    if templates.slotted(rest, subject) is not None:
        raise UserError(
            f"the subject {subject!r} stands several times in the prompt {prompt!r}; write {{}} "
            "for the one that is meant"
        )
    return found


def _kept(model: LoadedModel, subject: str, prompts: Sequence[str]) -> list[Keep]:
    made = [slotted(each, subject) for each in prompts]
    asked = [templates.with_subject(each, subject) for each in made]
    said = answering.answers(model, model.params, asked)
    return [Keep(prompt=each, answer=text) for each, text in zip(made, said, strict=True)]


def generated(model: LoadedModel, prompt: str) -> tuple[str, ...]:
    """The prompt after texts that the model writes itself, so that the key fits in any context.

    Ten texts of five and of ten tokens, as in EasyEdit. An encoder-decoder writes answers and no
    texts: it gets none.
    """
    if has_encoder(model.config):
        return ()
    if model.sha256 not in _WRITTEN:
        _WRITTEN[model.sha256] = _written(model)
    return tuple(f"{text}. {prompt}" for text in _WRITTEN[model.sha256])


_WRITTEN: dict[str, tuple[str, ...]] = {}  # by the model's hash: the same for every prompt


def _written(model: LoadedModel) -> tuple[str, ...]:
    found = []
    for length in _LENGTHS:
        way = DecodeSettings(method="sample", top_k=5, max_decode_length=length, seed=0)
        for start, each in zip(_STARTS, model.ask(_STARTS, way), strict=True):
            text = f"{start} {each.text}".replace("{", "").replace("}", "")
            found.append(" ".join(text.split()))
    return tuple(dict.fromkeys(found))


def corpus_of(model: LoadedModel, path: pathlib.Path | None) -> Corpus:
    """The corpus of second moments: a file, or the atlas.

    Args:
        model: Who reads it.
        path: JSON lines of {"question", "answers"}, or a text with one passage a line.

    Raises:
        UserError: The file cannot be read.
    """
    if path is None:
        return atlas_edits.default_corpus(model)
    if path.suffix == ".jsonl":
        rows = list(json_lines.read(path, what="questions", remedy="give JSON lines"))
        texts, answers = [], []
        for number, row in rows:
            with json_lines.place(f"{path}:{number}"):
                if not isinstance(row, dict) or not isinstance(row.get("question"), str):
                    raise UserError('the line has no "question"; give {"question", "answers"}')
                told = row.get("answers") or [""]
                texts.append(model.card.prefix + row["question"])
                answers.append(str(told[0] if isinstance(told, list) else told))
        complete = tuple(answers) if all(answers) else ()
        return Corpus(name=path.name, texts=tuple(texts), answers=complete)
    lines = text_files.lines(path, what="texts", remedy="give a file of text")
    texts = [model.card.prefix + line.strip() for _, line in lines if line.strip()]
    return Corpus(name=path.name, texts=tuple(texts))
