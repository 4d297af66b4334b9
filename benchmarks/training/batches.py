"""Real questions as batches: padded, and packed."""

import json
import pathlib

import numpy as np

from closedbook.data.placing import placements
from closedbook.vocabulary import EOS_ID
from closedbook.vocabulary.sentencepiece import Vocabulary

Batch = dict[str, np.ndarray]
Example = tuple[list[int], list[int]]  # ids of a question and of its first answer


def examples(questions: pathlib.Path, vocabulary: pathlib.Path) -> list[Example]:
    """Ids of each question of a file of JSON lines with its first answer, both ending in EOS."""
    pieces = Vocabulary(vocabulary)
    found = []
    for line in questions.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        question, answer = pieces.encode(row["question"]), pieces.encode(row["answer"][0])
        found.append(([*question[:31], EOS_ID], [*answer[:15], EOS_ID]))
    return found


def padded(given: list[Example], rows: int, inputs: int, targets: int) -> Batch:
    """The first examples, one per row."""
    rows_of = [[n] for n in range(rows)]
    return _filled(given, rows_of, inputs, targets, packed=False)


def packed(given: list[Example], rows: int, inputs: int, targets: int) -> tuple[Batch, int]:
    """The first batch of the examples as training packs them, and how many examples it holds."""
    placed = next(
        placements(
            np.array([len(one) for one, _ in given]),
            np.array([len(other) for _, other in given]),
            row_count=rows,
            inputs_length=inputs,
            targets_length=targets,
        )
    )
    rows_of: list[list[int]] = [[] for _ in range(rows)]
    for place, row in zip(placed.places.tolist(), placed.rows.tolist(), strict=True):
        rows_of[row].append(place)
    return _filled(given, rows_of, inputs, targets, packed=True), len(placed.places)


def _filled(
    given: list[Example], rows_of: list[list[int]], inputs: int, targets: int, *, packed: bool
) -> Batch:
    names = ("encoder_input_tokens", "encoder_segment_ids", "encoder_positions")
    others = ("decoder_target_tokens", "decoder_segment_ids", "decoder_positions")
    batch = {name: np.zeros((len(rows_of), inputs), np.int32) for name in names}
    batch |= {name: np.zeros((len(rows_of), targets), np.int32) for name in others}
    batch["decoder_input_tokens"] = np.zeros((len(rows_of), targets), np.int32)
    for row, numbers in enumerate(rows_of):
        ends = [0, 0]
        for segment, number in enumerate(numbers, start=1):
            for side, (tokens, arrays) in enumerate(
                zip(given[number], (names, others), strict=True)
            ):
                place = slice(ends[side], ends[side] + len(tokens))
                batch[arrays[0]][row, place] = tokens
                batch[arrays[1]][row, place] = segment
                batch[arrays[2]][row, place] = np.arange(len(tokens))
                if side:
                    batch["decoder_input_tokens"][row, place] = [0, *tokens[:-1]]
                ends[side] += len(tokens)
    batch["decoder_loss_weights"] = (batch["decoder_target_tokens"] > 0).astype(np.int32)
    if not packed:
        for name in (*names[1:], *others[1:]):
            del batch[name]
    return batch
