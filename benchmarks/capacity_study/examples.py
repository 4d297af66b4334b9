"""Batches: people's sentences masked in one way or another, questions, and random strings.

Each batch depends on its number alone, so that a killed run goes on with the same ones. An exposure
is one sentence about each attribute of each person, in one of its wordings; all objectives read the
same sentences in the same order.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Literal, get_args

import numpy as np

from benchmarks.capacity_study.people import ATTRIBUTES, People
from closedbook.models.families import Config
from closedbook.vocabulary import EOS_ID, PAD_ID, sentinel
from closedbook.vocabulary.sentencepiece import Vocabulary

Objective = Literal["ssm", "span_corruption", "next_token"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
BEGIN = 2  # stands before a text of a decoder-only model; the vocabulary's unknown piece
INPUT, TARGET, TEXT = 16, 6, 18  # tokens of an encoder's input, of a target, of a whole text
NOISE = (
    0.15  # of a sentence's tokens that span corruption masks (Raffel et al. 2020, section 3.1.4)
)
SYMBOLS, KEY, VALUE = 64, 3, 10  # of random pairs
FIRST_SYMBOL = 3  # ids below mean padding, end and begin
STRING = 16  # symbols of a random string without a key

Batch = Mapping[str, np.ndarray]
Batches = Callable[[int], Batch]


@dataclasses.dataclass(frozen=True)
class Sentences:
    """Sentences by attribute, wording and person.

    Attributes:
        ids: int32 [attributes, wordings, people, `INPUT`], padded with 0.
        first: [attributes, wordings, people], where the value begins.
        size: Likewise, its tokens.
        length: Likewise, tokens of the sentence.
    """

    ids: np.ndarray
    first: np.ndarray
    size: np.ndarray
    length: np.ndarray


def batches_of(rows: int, batch: int, seed: int) -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
    """Which rows each batch holds, and the pass over the data that each is of; by its number.

    Every pass is a new order of all rows.
    """

    @functools.lru_cache(maxsize=2)
    def order(epoch: int) -> np.ndarray:
        return np.random.default_rng([seed, 2, epoch]).permutation(rows)

    def chosen(number: int) -> tuple[np.ndarray, np.ndarray]:
        epoch, place = np.divmod(np.arange(number * batch, (number + 1) * batch), rows)
        picked = [order(int(each))[place[epoch == each]] for each in np.unique(epoch)]
        return np.concatenate(picked), epoch

    return chosen


def sentences(people: People, vocabulary: Vocabulary) -> Sentences:
    """All sentences about all people."""
    texts, befores, values = [], [], []
    for column, attribute in enumerate(ATTRIBUTES):
        for line in attribute.sentences:
            for name, place in zip(people.names, people.values[:, column], strict=True):
                told = line.replace("{}", name)
                befores.append(told.partition("[Y]")[0])
                texts.append(told.replace("[Y]", attribute.values[place]))
                values.append(attribute.values[place])
    shape = (len(ATTRIBUTES), len(ATTRIBUTES[0].sentences), len(people))
    rows = vocabulary.encode_batch(texts)
    lengths = [
        np.array([len(row) for row in each], np.int32).reshape(shape)
        for each in (vocabulary.encode_batch(befores), vocabulary.encode_batch(values), rows)
    ]
    return Sentences(_padded(rows, INPUT).astype(np.int32).reshape(*shape, INPUT), *lengths)


def pretraining(
    people: People,
    vocabulary: Vocabulary,
    objective: Objective,
    *,
    batch: int,
    seed: int,
) -> Batches:
    """Batches of sentences.

    Args:
        people: Of whom they tell.
        vocabulary: Of `people.vocabulary`.
        objective: "ssm" masks the value, "span_corruption" as many tokens as T5 would, in a row at
            a random place; "next_token" masks nothing.
        batch: Sentences of a batch.
        seed: Of the order, the wordings and the places.
    """
    every = sentences(people, vocabulary)
    chosen = batches_of(len(people) * len(ATTRIBUTES), batch, seed)
    marks = [vocabulary.encode(sentinel(number))[0] for number in range(2)]

    def made(number: int) -> Batch:
        places, _ = chosen(number)
        person, attribute = np.divmod(places, len(ATTRIBUTES))
        random = np.random.default_rng([seed, 3, number])
        wording = random.integers(every.ids.shape[1], size=batch)
        at = attribute, wording, person
        ids, first, size = every.ids[at], every.first[at], every.size[at]
        if objective == "next_token":
            return _texts(ids, np.zeros(batch, np.int64))
        if objective == "span_corruption":
            length = every.length[at]
            size = np.maximum(1, np.round(NOISE * length).astype(np.int64))
            first = random.integers(length - size + 1)
        return _masked(ids, first, size, marks)

    return made


def _masked(ids: np.ndarray, first: np.ndarray, size: np.ndarray, marks: list[int]) -> Batch:
    """A span of each row masked: a sentinel stands for it, and around it in the target."""
    batch, column = len(ids), np.arange(INPUT)[None]
    start, width = first[:, None], size[:, None]
    source = np.where(column < start, column, column + width - 1)
    padded = np.pad(ids, ((0, 0), (0, INPUT)))
    encoder = np.take_along_axis(padded, np.where(column > start, source, column), axis=1)
    encoder = np.where(column == start, marks[0], encoder)
    encoder = _ended(encoder)
    places = np.arange(TARGET - 1)[None]
    span = np.take_along_axis(padded, np.minimum(start + places, 2 * INPUT - 1), axis=1)
    told = np.where(places < width, span, np.where(places == width, marks[1], 0))
    targets = np.concatenate([np.full((batch, 1), marks[0]), told], axis=1)
    return _encoder_decoder(encoder, _ended(targets))


def _ended(ids: np.ndarray) -> np.ndarray:
    """Rows with the end of text in the first place that is padding."""
    found = ids.copy()
    lengths = (ids != PAD_ID).sum(axis=1)
    assert lengths.max() < ids.shape[1]
    found[np.arange(len(ids)), lengths] = EOS_ID
    return found


def _encoder_decoder(encoder: np.ndarray, targets: np.ndarray) -> Batch:
    """As a T5 reads it; its decoder begins with padding."""
    shifted = np.pad(targets, ((0, 0), (1, 0)))[:, :-1]
    made = {"encoder": encoder, "decoder": shifted, "targets": targets}
    return {name: each.astype(np.int32) for name, each in made.items()}


def _texts(ids: np.ndarray, given: np.ndarray, *, ended: bool = True) -> Batch:
    """As a decoder-only model reads it, after `BEGIN`; `given` tokens are not predicted."""
    text = _ended(np.pad(ids, ((0, 0), (0, 1)))) if ended else ids
    shifted = np.pad(text, ((0, 0), (1, 0)), constant_values=BEGIN)[:, :-1]
    targets = np.where(np.arange(text.shape[1])[None] < given[:, None], PAD_ID, text)
    return {"decoder": shifted.astype(np.int32), "targets": targets.astype(np.int32)}


def questions(
    people: People,
    places: np.ndarray,
    vocabulary: Vocabulary,
    config: Config,
    *,
    batch: int,
    seed: int,
) -> tuple[int, Batches]:
    """How many questions there are about some of the people, and batches of them with answers."""
    asked, answers = [], []
    for column, attribute in enumerate(ATTRIBUTES):
        for line in attribute.questions:
            asked += [line.replace("{}", people.names[place]) for place in places]
            answers += [attribute.values[people.values[place, column]] for place in places]
    inputs, targets = vocabulary.encode_batch(asked), vocabulary.encode_batch(answers)
    if config.continues_prompt:
        rows = _padded([a + b for a, b in zip(inputs, targets, strict=True)], TEXT - 2)
        whole = _texts(rows, np.array([len(row) for row in inputs]))
    else:
        whole = _encoder_decoder(_ended(_padded(inputs, INPUT)), _ended(_padded(targets, TARGET)))
    chosen = batches_of(len(asked), batch, seed)
    return len(asked), lambda number: {n: each[chosen(number)[0]] for n, each in whole.items()}


def _padded(rows: list[list[int]], length: int) -> np.ndarray:
    found = np.zeros((len(rows), length), np.int64)
    for row, ids in zip(found, rows, strict=True):
        row[: len(ids)] = ids
    return found


def pairs(number: int, seed: int, config: Config) -> Batch:
    """Random keys, each once, and random values: the key is given, the value is to be told.

    A value is worth `VALUE` log2 `SYMBOLS` bits.
    """
    random = np.random.default_rng([seed, 4])
    keys = random.choice(SYMBOLS**KEY, size=number, replace=False)
    keys = np.stack([keys // SYMBOLS**place % SYMBOLS for place in range(KEY)], axis=1)
    values = random.integers(SYMBOLS, size=(number, VALUE))
    keys, values = keys + FIRST_SYMBOL, values + FIRST_SYMBOL
    if config.continues_prompt:
        text = np.concatenate([keys, values], axis=1)
        return _texts(text, np.full(number, KEY), ended=False)
    return _encoder_decoder(_ended(np.pad(keys, ((0, 0), (0, 1)))), values)


def strings(number: int, seed: int) -> Batch:
    """Random strings without a key, as Morris et al. have, worth `STRING` log2 `SYMBOLS` bits."""
    random = np.random.default_rng([seed, 5])
    text = random.integers(SYMBOLS, size=(number, STRING)) + FIRST_SYMBOL
    return _texts(text, np.zeros(number, np.int64), ended=False)


def of_rows(whole: Batch, *, batch: int, seed: int) -> Batches:
    """Batches of rows of arrays that hold all the data."""
    chosen = batches_of(len(whole["targets"]), batch, seed)
    return lambda number: {name: each[chosen(number)[0]] for name, each in whole.items()}
