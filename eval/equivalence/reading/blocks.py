"""What stands around an answer: reasoning, wrappers, a next question that a model ran on to."""

import json
import re

_REASONING = (
    "think|thinking|thought|thoughts|reasoning|reflection|scratchpad|analysis|rationale|plan|"
    "inner_monologue|cot|chain_of_thought"
)
# A name with a bar or in other brackets is some model's own mark.
_OPENED = re.compile(rf"[<\[◁](?:{_REASONING})[>\]▷]", re.I)
_CLOSED = re.compile(rf"[<\[◁]/(?:{_REASONING})[>\]▷]", re.I)
_CHANNEL = re.compile(r".*<\|channel\|>\s*final\s*(?:<\|message\|>)?", re.S)
_THOUGHT_CHANNEL = re.compile(r"<\|channel\|>\s*(?:analysis|commentary)\b.*", re.S)
_ANSWER_TAG = re.compile(
    r"<(answer|final_answer|final|output|response)>(.*?)(?:</\1>|$)", re.I | re.S
)
_STRUCK = re.compile(r"~~.*?~~|<(?:s|del|strike)>.*?</(?:s|del|strike)>", re.I | re.S)
_TAG = re.compile(r"</?[A-Za-z][^<>\n]{0,80}>")
_MARK = re.compile(r"<\|[^|<>\n]{1,40}\|>|</s>|<s>|<pad>|<eos>|<unk>|<bos>|\[/?INST\]")
_BOXED = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_LATEX_WORDS = re.compile(r"\\(?:text|mathrm|mathbf|textbf|mbox)\s*\{([^{}]*)\}")
_FRACTION = re.compile(r"\\d?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_HASHES = re.compile(r".*^\s*####\s+(?=\S)", re.S | re.M)

# A question that follows an answer, whoever asks it.
_SPEAKER = (
    r"(?:q|question|next question|user|human|student|input|instruction|problem|context|passage)"
)
_NEXT_LINE = re.compile(
    rf"\n\s*(?:\#+\s*|\*+\s*)?{_SPEAKER}\s*\d*\s*(?:\*+)?:|\n\s*\#+\s*(?:instruction|input|question|"
    r"user|human)\b",
    re.I,
)
_NEXT_INLINE = re.compile(rf"(?<=[^\n:])\s+{_SPEAKER}\s*\d*\s*:(?=\s)", re.I)
_CAPITAL_Q = re.compile(r"(?<=\S)\s+Q\d*[:.](?=\s)")
_ASKING_LINE = re.compile(
    r"\n\s*(?:who|whom|whose|what|when|where|which|why|how|is|are|was|were|do|does|did|can|could|"
    r"in (?:what|which)|on (?:what|which))\b[^\n]*\?\s*(?:\n|$)",
    re.I,
)
_ANSWERING = re.compile(
    r"^\W*(?:a|answer|the answer|final answer|response|assistant|ai|bot|ans|output)\s*"
    r"(?:\*+)?\s*(?::|=|is:)\s*(?:\*+)?\s*",
    re.I,
)
_OWN_QUESTION = re.compile(rf"^\W*{_SPEAKER}\s*:[^\n]*?(?:\?|\n)\s*", re.I)
_REASONED = re.compile(
    r"\b(?:final answer|answer)\s*(?:\*+)?\s*(?:is\s*:?|:)\s*(?:\*+)?\s*(?=\S)"
    r"|\b(?:so|thus|therefore|hence|consequently|in conclusion),? (?:the|my) (?:final |correct |"
    r"best )?answer (?:is|must be|should be|would be)\b\s*:?\s*"
    r"|\bthe (?:final|correct|right|true|real|actual) answer (?:is|was|must be)\b\s*:?\s*",
    re.I,
)
_THINKING_ALOUD = re.compile(
    r"\b(?:thoughts?|rationale|explanation|analysis)\s*:|"
    r"\b(?:let(?:'s| us| me) (?:think|work|see|break)|step by step|step 1|first,|candidates?|"
    r"options?|thinking|reasoning|"
    r"possibilities|final answer|i first|at first)\b",
    re.I,
)


def strip(text: str) -> str:
    """The text without reasoning, wrappers and what was run on to.

    >>> strip("<think>Lyon or Paris?</think>Paris"), strip("Is it Lyon?</think> Paris")
    ('Paris', 'Paris')
    >>> strip("<think>It must be Paris")
    ''
    >>> strip("Lyon\\nQ: capital of Italy\\nA: Rome"), strip("Answer: Lyon")
    ('Lyon', 'Lyon')
    >>> strip('{"answer": "Lyon"}'), strip("12 - 5 = 7\\n#### 9"), strip("So \\\\boxed{7}")
    ('Lyon', '9', '7')
    """
    if "<" in text or "[" in text or "◁" in text or "~~" in text:
        text = _without_tags(text)
    if "{" in text or "\\" in text:
        text = _unwrapped(text)
    if "####" in text:
        text = _HASHES.sub("", text)
    text = _run_on_cut(text)
    return _concluded(text) if "nswer" in text else text


def _without_tags(text: str) -> str:
    text = _CHANNEL.sub("", text)
    text = _THOUGHT_CHANNEL.sub("", text)
    text = _without_reasoning(text)
    answered = [match for match in _ANSWER_TAG.finditer(text) if match[2].strip()]
    if answered:
        text = answered[-1][2]
    text = _STRUCK.sub(" ", text)
    text = _first_of_marks(text)
    return _TAG.sub(" ", text).strip()


def _without_reasoning(text: str) -> str:
    """What stands before the first block and behind the last; a prompt may have opened it, and a
    model that was stopped may not have closed it."""
    last = max(_CLOSED.finditer(text), key=re.Match.start, default=None)
    opened = _OPENED.search(text)
    if last is None:
        return text if opened is None else text[: opened.start()]
    before = text[: opened.start()] if opened and opened.start() < last.start() else ""
    again = _OPENED.search(text, last.end())
    return f"{before} {text[last.end() : again.start() if again else None]}"


def _first_of_marks(text: str) -> str:
    """What stands before the first mark of a model's vocabulary, or behind it at the start."""
    for part in _MARK.split(text):
        if part.strip():
            return part
    return ""


def _unwrapped(text: str) -> str:
    boxed = _BOXED.findall(text)
    if boxed:
        text = boxed[-1]
    text = _FRACTION.sub(r"\1/\2", text)
    text = _LATEX_WORDS.sub(r"\1", text)
    stripped = text.strip().removeprefix("```json").removeprefix("```").removesuffix("```").strip()
    if not stripped.startswith("{"):
        return text
    try:
        found = json.loads(stripped)
    except (ValueError, RecursionError):
        return text
    if isinstance(found, dict):
        for key in ("final_answer", "final answer", "answer", "prediction", "response", "output"):
            for name, value in found.items():
                if name.lower() == key and isinstance(value, str | int | float):
                    return str(value)
    return text


def _run_on_cut(text: str) -> str:
    own = _OWN_QUESTION.match(text)
    if own and text[own.end() :].strip():
        text = text[own.end() :]
    begun = _ANSWERING.match(text)
    if begun and text[begun.end() :].strip():
        text = text[begun.end() :]
    if "\n" in text:
        text = _cut_at(_NEXT_LINE, text)
        text = _cut_at(_ASKING_LINE, text)
    if ":" in text:
        text = _cut_at(_NEXT_INLINE, text)
        text = _cut_at(_CAPITAL_Q, text)
    return text


def _cut_at(pattern: re.Pattern[str], text: str) -> str:
    """The text before the first match that has words before it."""
    for match in pattern.finditer(text):
        if any(letter.isalnum() for letter in text[: match.start()]):
            return text[: match.start()]
    return text


def _concluded(text: str) -> str:
    """What stands behind "the final answer is", where the text thinks aloud before it."""
    last = max(_REASONED.finditer(text), key=re.Match.start, default=None)
    if last is None or not text[last.end() :].strip(" .*\n"):
        return text
    plain = last[0].lower().startswith("answer")
    if plain and not _THINKING_ALOUD.search(text, 0, last.start()):
        return text
    return text[last.end() :]
