"""What `closedbook memories explain` prints."""

from collections.abc import Mapping, Sequence

from closedbook.eval.report.text import inline
from closedbook.knowledge.memories.explanations.explain import Explanation, Part, Read
from closedbook.knowledge.memories.explanations.strongest import Strong
from closedbook.knowledge.memories.triggers import Marked

IN_SHORT = (
    "A memory is one cell of a feed-forward layer. Its key answers to patterns in the text, with a "
    "coefficient; its value, times the coefficient, is added to the model's state, where it votes "
    "for some tokens and against others."
)
_BAR = 24  # characters of the longest bar
_TEXT = 90  # characters of a trigger
_PARTS = 24  # of which all are printed; of more, so many with the largest numbers


def show(
    explanation: Explanation, strong: Mapping[str, Sequence[Strong]], *, indexed: bool
) -> None:
    """Prints the answer, the parts that add up, and the strongest memories.

    Args:
        explanation: Of the answer.
        strong: Memories to list, by stack.
        indexed: Whether there is an index of triggers.
    """
    given = explanation.answer
    print(inline(explanation.question))
    print(f"{inline(given.text)}  (probability {explanation.answer_probability:.3f})")
    number = f"token {explanation.place + 1} of {len(explanation.tokens)}"
    print(
        f"\n{number}, {inline(explanation.token)!r}: probability {explanation.probability:.3f}, "
        f"logit {explanation.logit:.3f} (the score from which the probability is made)"
    )
    if explanation.against:
        print(f"explained: the logit less that of {inline(explanation.against)!r}")
    print("what adds up to it:\n")
    _parts(explanation.parts, explanation.explained)
    print(f"  {explanation.explained:9.3f}  sum")
    for site, reads in explanation.reads.items():
        _reads(site.replace("_", "-"), reads)
    if explanation.encoder_parts:
        total = sum(part.value for part in explanation.encoder_parts)
        print(
            "\nwhat cross-attention adds, by the parts of the encoder that wrote what it reads:\n"
        )
        _parts(explanation.encoder_parts, total)
        print(f"  {total:9.3f}  sum")
    if strong:
        print(f"\n{IN_SHORT}")
    for stack, memories in strong.items():
        print(
            f"\nthe strongest memories of the {stack}: what they add, where they answer, what they "
            f"promote{'; texts to which they answer most' * indexed}\n"
        )
        for each in memories:
            _memory(each)
    if strong and not indexed:
        print("\n`closedbook memories index` finds what memories answer to, and shows it here.")


def _parts(parts: Sequence[Part], total: float) -> None:
    largest = max(abs(part.value) for part in parts) or 1.0
    order = sorted(parts, key=lambda part: -abs(part.value))
    chosen, others = parts, order[_PARTS:]
    if others:
        chosen = [part for part in parts if part in order[:_PARTS]]
    for part in chosen:
        bar = "#" * round(_BAR * abs(part.value) / largest)
        drawn = f"-{bar}" if part.value < 0 else bar
        print(f"  {part.value:9.3f} {_share(part.value, total)}  {part.label:32} {drawn}".rstrip())
    if others:
        rest = sum(part.value for part in others)
        print(f"  {rest:9.3f} {_share(rest, total)}  {len(others)} other parts, each smaller")


def _share(value: float, total: float) -> str:
    return f"{100 * value / total:6.1f}%" if total else "      –"


def _reads(name: str, reads: Sequence[Read]) -> None:
    strongest = sorted(reads, key=lambda read: -abs(read.value))[:5]
    shown = ", ".join(f"{inline(read.token)!r} {read.value:+.3f}" for read in strongest)
    print(f"\n{name} reads: {shown}")


def _memory(each: Strong) -> None:
    memory = each.memory
    print(
        f"  {memory.value:+9.3f}  {memory.name:16} coefficient {memory.coefficient:.3f} at "
        f"{inline(memory.token)!r}; promotes {', '.join(inline(word) for word in each.writes)}"
    )
    for trigger in each.triggers:
        print(f"             {marked_line(trigger, _TEXT)}")


def marked_line(text: Marked, longest: int) -> str:
    """A trigger in one line: its input in brackets, and the marked token between « and ».

    Args:
        text: The trigger.
        longest: Characters of its input, and of each side of the marked token.
    """
    given = f"[{inline(text.inputs, longest)}] " if text.inputs else ""
    before = text.before if len(text.before) <= longest else f"... {text.before[-longest:]}"
    after = text.after if len(text.after) <= longest else f"{text.after[:longest]} ..."
    return given + inline(f"{before}«{text.at}»{after}", 4 * longest)
