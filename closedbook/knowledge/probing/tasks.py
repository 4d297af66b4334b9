"""What a probe asks of each relation, made and checked before any work is done."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from closedbook.errors import UserError
from closedbook.eval.files.json_lines import place
from closedbook.knowledge.probing import wordings
from closedbook.knowledge.probing.families.protocol import AnyPrompting, Model, Scorer
from closedbook.knowledge.probing.gold import Gold, gold
from closedbook.tasks.facts.form import Fact, Facts


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """The facts of one relation and what is asked of them."""

    facts: Sequence[Fact]
    candidates: Sequence[str]
    inputs: Sequence[Sequence[Any]]
    answers: Any
    right: Gold
    reworded: Sequence[wordings.Variant] = ()  # beside the first wording
    negated: wordings.Variant | None = None

    @property
    def variants(self) -> Sequence[wordings.Variant]:
        """All other prompts."""
        return (*self.reworded, *([self.negated] if self.negated else ()))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tasks:
    """All that a probe asks.

    Attributes:
        scorer: What scores candidates; its compiled programs serve all relations.
        of: Relation -> what is asked.
        places: Relation -> where its facts stand in the data.
    """

    scorer: Scorer
    of: Mapping[str, Task]
    places: Mapping[str, Sequence[int]]


def made(
    model: Model,
    facts: Facts,
    prompting: AnyPrompting[Model],
    *,
    single: bool = False,
    paraphrases: bool = False,
    negated: bool = False,
) -> Tasks:
    """What is asked of a model.

    Args:
        model: The model.
        facts: What is asked; the candidates are those of their relations.
        prompting: How it is put to the model.
        single: Whether candidates are single pieces, scored without an end (LAMA).
        paraphrases: Whether every wording of a fact is asked, not the first one alone.
        negated: Whether the denied prompt of a fact is asked too.

    Raises:
        UserError: A prompt or a candidate cannot be put to the model, or there is no other
            wording of any fact where some are asked for.
    """
    right = gold(facts)
    places: dict[str, list[int]] = {name: [] for name in facts.relations}
    for number, fact in enumerate(facts.facts):
        places[fact.relation].append(number)
    with place(facts.source):
        scorer = prompting.scorer(model)
        inputs = prompting.inputs(facts.facts)
        tasks = {}
        for name, relation in facts.relations.items():
            own = [facts.facts[number] for number in places[name]]
            tasks[name] = Task(
                facts=own,
                candidates=relation.candidates,
                inputs=[inputs[number] for number in places[name]],
                answers=prompting.answers(relation, single=single),
                right=Gold(
                    index=right.index[places[name]],
                    others=[right.others[number] for number in places[name]],
                ),
                reworded=wordings.paraphrases(own, prompting) if paraphrases else (),
                negated=wordings.negations(own, prompting) if negated else None,
            )
        for task in tasks.values():
            _check_room(model, prompting, task)
        if paraphrases and not any(task.reworded for task in tasks.values()):
            raise UserError(
                "no fact has a second wording that the model can be asked in; give some "
                '("paraphrases" or a relation\'s "templates"), or leave --paraphrases out'
            )
        if negated and not any(task.negated for task in tasks.values()):
            raise UserError(
                'no prompt that the model is asked can be denied; give facts a "negated" prompt, '
                "ask by sentences, or leave --negated out"
            )
    return Tasks(scorer=scorer, of=tasks, places=places)


def _check_room(model: Model, prompting: AnyPrompting[Model], task: Task) -> None:
    prompting.check_room(model, task.facts, task.inputs, task.answers)
    for variant in task.variants:
        asked = [task.facts[number] for number in variant.places]
        prompting.check_room(model, asked, variant.inputs, task.answers)
