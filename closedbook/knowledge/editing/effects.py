"""What an edit did, in free answers: the edited prompts, the subject's other facts, all others.

Before is always the stored original, never a model that other edits have changed already.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from closedbook.eval.intervals import Estimate, share
from closedbook.knowledge.editing import answering, atlas_edits
from closedbook.knowledge.editing.requests import Edit
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.models.parameters import Params
from closedbook.tasks.facts import templates
from closedbook.tasks.facts.form import Fact

KINDS = ("the prompt", "its contexts", "unseen phrasings")
GROUPS = ("same subject", "same relation", "all others")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asked:
    """One question before and after.

    Attributes:
        id: Of the fact.
        kind: One of `KINDS` for prompts of an edit, of `GROUPS` for other facts.
        question: Without the model's prefix.
        objects: What is right: the target, or the fact's own objects.
        before, after: The free answers.
        begins: Whether they need only begin with what is right (`answering.goes_on`).
    """

    id: str
    kind: str
    question: str
    objects: tuple[str, ...]
    before: str
    after: str
    begins: bool = False

    @property
    def was_right(self) -> bool:
        """Whether the answer before is one of the objects, by exact match."""
        return answering.right(self.before, self.objects, begins=self.begins)

    @property
    def is_right(self) -> bool:
        """Whether the answer after is one of the objects, by exact match."""
        return answering.right(self.after, self.objects, begins=self.begins)

    @property
    def changed(self) -> bool:
        """Whether the model says something else than before."""
        return self.before != self.after

    def as_row(self) -> dict[str, object]:
        """As results.jsonl has it."""
        named = dataclasses.asdict(self)
        return named | {"was_right": self.was_right, "is_right": self.is_right}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Effects:
    """What edits did.

    Attributes:
        prompts: The questions of the edits themselves.
        others: The other facts.
    """

    prompts: tuple[Asked, ...]
    others: tuple[Asked, ...]

    def told(self) -> dict[str, Estimate]:
        """Kind of prompt -> share answered with the target."""
        return {kind: found for kind in KINDS if (found := self._share(self.prompts, kind))}

    def kept(self) -> dict[str, Estimate]:
        """Group of other facts -> of those right before, the share that is right after."""
        known = [each for each in self.others if each.was_right]
        return {group: found for group in GROUPS if (found := self._share(known, group))}

    def counts(self) -> dict[str, dict[str, int]]:
        """Group of other facts -> facts, changed, right before and wrong after, the reverse."""
        found = {}
        for group in GROUPS:
            rows = [each for each in self.others if each.kind == group]
            found[group] = {
                "facts": len(rows),
                "changed": sum(each.changed for each in rows),
                "lost": sum(each.was_right and not each.is_right for each in rows),
                "gained": sum(each.is_right and not each.was_right for each in rows),
            }
        return found

    def _share(self, rows: Sequence[Asked], kind: str) -> Estimate | None:
        chosen = [each for each in rows if each.kind == kind]
        if not chosen:
            return None
        ids = [each.id for each in chosen]
        # Of one edit the interval is over its wordings, of several over edits.
        clusters = ids if len(set(ids)) > 1 else None
        return share([each.is_right for each in chosen], clusters=clusters)


def measure(
    model: LoadedModel,
    params: Params,
    edits: Sequence[Edit],
    others: Sequence[Fact] = (),
    said: Mapping[str, str] | None = None,
) -> Effects:
    """Asks the original and the edited model.

    Args:
        model: The stored original.
        params: The edited parameters.
        edits: What was edited.
        others: Facts with questions that should not change; edited ones among them are left out.
        said: Fact's id -> what the original says, where that is known.
    """
    asked: list[tuple[str, str, str, tuple[str, ...]]] = []
    edited = set[tuple[str, str]]()  # subject and fact's id
    for edit in edits:
        fact = atlas_edits.find(edit.subject, edit.prompt) if atlas_edits.knows(model) else None
        unseen = atlas_edits.unseen_prompts(fact) if fact else ()
        edited |= {(edit.subject, edit.id), *([(edit.subject, fact.id)] if fact else [])}
        groups = ((edit.prompt,), edit.contexts, unseen)
        for kind, prompts in zip(KINDS, groups, strict=True):
            for prompt in prompts:
                question = templates.with_subject(prompt, edit.subject)
                asked.append((edit.id, kind, question, (edit.target,)))
    number = len(asked)
    told = {question for _, _, question, _ in asked}
    subjects = {edit.subject for edit in edits}
    same = {f.id for f in others if (f.subject, f.id) in edited or f.asked() in told}
    relations = {fact.relation for fact in others if fact.id in same}
    rest = [fact for fact in others if fact.id not in same]
    for fact in rest:
        group = GROUPS[1] if fact.relation in relations else GROUPS[2]
        group = GROUPS[0] if fact.subject in subjects else group
        asked.append((fact.id, group, fact.asked(), fact.objects))
    questions = [question for _, _, question, _ in asked]
    before = answering.answers(model, model.params, questions[:number])
    if said is None:
        before += answering.answers(model, model.params, questions[number:])
    else:
        before += [said[fact.id] for fact in rest]
    after = answering.answers(model, params, questions)
    rows = [
        Asked(
            id=id_,
            kind=kind,
            question=question,
            objects=objects,
            before=old,
            after=new,
            begins=answering.goes_on(model, question),
        )
        for (id_, kind, question, objects), old, new in zip(asked, before, after, strict=True)
    ]
    return Effects(prompts=tuple(rows[:number]), others=tuple(rows[number:]))
