"""Answers read out of passages by any SQuAD model of `transformers`.

As in DrQA (Chen et al. 2017) the answer is the span of at most 15 tokens whose scores of start and
end are highest among all passages of its question, not normalised per passage.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from closedbook.errors import UserError
from closedbook.knowledge import torch_folders
from closedbook.knowledge.progress import Count, silent
from closedbook.knowledge.torch_folders import TorchModel

_LONGEST_SPAN = 15  # tokens; DrQA's
_STRIDE = 64  # tokens that windows of a long passage share
_PAIRS = 1024  # questions with a passage that are tokenised together


@dataclasses.dataclass(frozen=True, kw_only=True)
class Span:
    """The best answer in a passage."""

    text: str
    score: float  # logits of start and end; higher is better


NOTHING = Span(text="", score=-np.inf)


def load(path: str) -> TorchModel:
    """A reader: a folder or hf://... with a model for extractive question answering.

    Raises:
        UserError: `transformers` is not installed, or there is no such model.
    """
    folder = torch_folders.folder_of(path)
    if folder is None:
        raise UserError(f"there is no reader {path}; give a folder of Hugging Face's or hf://NAME")
    named = torch_folders.architectures(folder)
    if not any(name.endswith("ForQuestionAnswering") for name in named):
        raise UserError(
            f"{path} is {', '.join(named) or 'of no kind that its config.json names'}; a reader is "
            "a model for extractive question answering (...ForQuestionAnswering)"
        )
    model = torch_folders.load(folder, "AutoModelForQuestionAnswering", "a reader")
    if not model.tokenizer.is_fast:
        raise UserError(f"the tokenizer of {path} tells no places in texts; give tokenizer.json")
    return model


def best_spans(
    model: TorchModel,
    pairs: Sequence[tuple[str, str]],
    *,
    words: bool = False,
    progress: Count = silent,
) -> list[Span]:
    """The best span in each passage for its question.

    Args:
        model: Of `load`.
        pairs: A question and a passage each.
        words: Whether spans are single words, as LAMA has DrQA answer.
        progress: Is told how many pairs are done.
    """
    found = [NOTHING] * len(pairs)
    for first in range(0, len(pairs), _PAIRS):
        part = pairs[first : first + _PAIRS]
        windows = model.tokenizer(
            [question for question, _ in part],
            [text for _, text in part],
            truncation="only_second",
            max_length=model.longest,
            stride=min(_STRIDE, model.longest // 4),
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        given = {name: windows[name] for name in ("token_type_ids",) if name in windows}
        for chosen, output in model.outputs(windows["input_ids"], 2, **given):
            starts = output.start_logits.float().cpu().numpy()
            ends = output.end_logits.float().cpu().numpy()
            for row, window in enumerate(chosen):
                number = first + windows["overflow_to_sample_mapping"][window]
                place = _best(windows, window, starts[row], ends[row], words)
                if place is None or place[2] <= found[number].score:
                    continue
                begin, end, score = place
                found[number] = Span(text=pairs[number][1][begin:end], score=score)
        progress(first + len(part))
    return found


def _best(
    windows: Any, window: int, starts: np.ndarray, ends: np.ndarray, words: bool
) -> tuple[int, int, float] | None:
    """Characters (start, limit) and score of a window's best span; None without a passage."""
    inside = [n for n, part in enumerate(windows.sequence_ids(window)) if part == 1]
    if not inside:
        return None
    low, high = inside[0], inside[-1] + 1
    size = high - low
    scores = starts[low:high, None].astype(np.float64) + ends[None, low:high]
    places = np.arange(size)
    ahead = places[None] - places[:, None]
    allowed = (ahead >= 0) & (ahead < _LONGEST_SPAN)
    if words:
        of = np.array(windows.word_ids(window)[low:high])
        whole = of[:, None] == of[None]
        # A span is the whole word, from its first piece to its last.
        first = np.append(True, of[1:] != of[:-1])
        last = np.append(of[1:] != of[:-1], True)
        allowed = whole & first[:, None] & last[None] & (ahead >= 0)
    scores[~allowed] = -np.inf
    start, end = np.unravel_index(int(scores.argmax()), scores.shape)
    offsets = windows["offset_mapping"][window]
    return offsets[low + start][0], offsets[low + end][1], float(scores[start, end])
