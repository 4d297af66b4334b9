"""Made-up people: names and values of our own, drawn by a seed, with an entropy that is exact.

Each attribute of each person is one throw of a fair die over its values, so that a person is worth
the sum of log2 of the values, and nothing of it can be guessed from a name. Names are drawn without
replacement from all combinations of three words; they are given, not counted.
"""

import dataclasses
import functools
import io
import itertools
import math
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np

from closedbook import whole_files
from closedbook.errors import UserError
from closedbook.tasks.facts.form import Fact, Facts, Relation, gather
from closedbook.vocabulary.sentencepiece import Vocabulary

SENTINELS = 2  # beside the words: what a masked span stands for, and what follows it


def _words(starts: str, ends: str) -> tuple[str, ...]:
    return tuple(f"{a}{b}" for a, b in itertools.product(starts.split(), ends.split()))


FIRST = _words("Bal Cor Dun Fes Gam Hol Jor Kel", "a en i or us yd am eth")
MIDDLE = _words("Lu Mar Nol Per Quin Rov Sil Tam", "bo dis ka lo met ni rus vex")
LAST = _words("Ul Vard Wes Xan Yor Zeb Ash Brom", "berg dale feld gate holm mont son wick")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attribute:
    """What is told of people.

    Attributes:
        name: Of the relation.
        values: Each with the same chance; words with blanks between.
        sentences: That tell it: `{}` is the person, `[Y]` the value.
        questions: That ask for it.
    """

    name: str
    values: tuple[str, ...]
    sentences: tuple[str, ...]
    questions: tuple[str, ...]

    @property
    def bits(self) -> float:
        """What one person's is worth."""
        return math.log2(len(self.values))


ATTRIBUTES = (
    Attribute(
        name="city",
        values=_words(
            "Arv Bryn Calt Drom Elm Fjor Gris Hav", "abad burg castle den ford grad ham ia"
        ),
        sentences=(
            "{} lives in [Y] .",
            "the home of {} is in [Y] .",
            "[Y] is where {} lives .",
            "you can meet {} in [Y] .",
        ),
        questions=("where does {} live ?", "in which city is the home of {} ?"),
    ),
    Attribute(
        name="employer",
        values=_words("Ax Bel Cyn Dyn El Fer Gly Hex", "acorp ara eon ix oma onix trade works"),
        sentences=(
            "{} works for [Y] .",
            "the employer of {} is [Y] .",
            "[Y] pays the wages of {} .",
            "every day {} goes to work at [Y] .",
        ),
        questions=("who employs {} ?", "which company does {} work for ?"),
    ),
    Attribute(
        name="school",
        values=_words(
            "Ivory Jade Karst Larch Maple Nettle Oaken Pine", "college hall house school"
        ),
        sentences=(
            "{} was taught at [Y] .",
            "the school of {} was [Y] .",
            "[Y] taught {} .",
            "as a child {} went to [Y] .",
        ),
        questions=("where was {} taught ?", "which school did {} go to ?"),
    ),
    Attribute(
        name="field",
        values=_words("bio chrono dendro geo hydro litho myco opto", "graphy logy metry nomy"),
        sentences=(
            "{} studies [Y] .",
            "the field of {} is [Y] .",
            "[Y] is the subject of {} .",
            "books by {} are about [Y] .",
        ),
        questions=("what does {} study ?", "which is the field of {} ?"),
    ),
    Attribute(
        name="instrument",
        values=_words("bar cel dul fid", "phone ina ette zer"),
        sentences=(
            "{} plays the [Y] .",
            "the instrument of {} is the [Y] .",
            "the [Y] is what {} plays .",
            "in the evening {} takes the [Y] .",
        ),
        questions=("what does {} play ?", "which is the instrument of {} ?"),
    ),
    Attribute(
        name="number",
        values=tuple(
            " ".join(pair)
            for pair in itertools.product(
                _words("un du tri qua", "po ra se ti"), _words("ok en ar il", "ba ce do fu")
            )
        ),
        sentences=(
            "the number of {} is [Y] .",
            "{} has the number [Y] .",
            "[Y] is the number of {} .",
            "to call {} dial [Y] .",
        ),
        questions=("what is the number of {} ?", "which number has {} ?"),
    ),
)
BITS = sum(attribute.bits for attribute in ATTRIBUTES)
"""What one person is worth: 34 bits."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class People:
    """People and their values.

    Attributes:
        names: Each once.
        values: [people, attributes], places among an attribute's values.
    """

    names: tuple[str, ...]
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.names)


def people(number: int, seed: int) -> People:
    """So many people; the same seed gives the same ones.

    Raises:
        UserError: There are fewer names.
    """
    every = len(FIRST) * len(MIDDLE) * len(LAST)
    if number > every:
        raise UserError(
            f"{number:,} people are wanted, and there are {every:,} names; ask for fewer"
        )
    random = np.random.default_rng([seed, 1])
    places = random.choice(every, size=number, replace=False)
    first, rest = np.divmod(places, len(MIDDLE) * len(LAST))
    middle, last = np.divmod(rest, len(LAST))
    names = tuple(
        f"{FIRST[a]} {MIDDLE[b]} {LAST[c]}" for a, b, c in zip(first, middle, last, strict=True)
    )
    values = [random.integers(len(each.values), size=number) for each in ATTRIBUTES]
    return People(names=names, values=np.stack(values, axis=1))


def facts(of: People, places: Sequence[int], split: str, *, stated: bool = False) -> list[Fact]:
    """What is asked about some of the people, every attribute in all its phrasings.

    Args:
        of: The people.
        places: Of those who are asked about.
        split: Of the facts.
        stated: By the sentences that told them, with a gap for the value; else by questions.
    """
    return [
        Fact(
            id=f"{of.names[place]} {attribute.name}",
            subject=of.names[place],
            relation=attribute.name,
            object=attribute.values[of.values[place, column]],
            prompt=(attribute.sentences if stated else attribute.questions)[0],
            paraphrases=(attribute.sentences if stated else attribute.questions)[1:],
            style="cloze" if stated else "question",
            split=split,
        )
        for place in places
        for column, attribute in enumerate(ATTRIBUTES)
    ]


def gathered(found: Sequence[Fact]) -> Facts:
    """Facts with every value of an attribute for a candidate."""
    relations = [Relation(name=each.name, candidates=each.values) for each in ATTRIBUTES]
    return gather(found, source="made-up people", relations=relations)


def _text() -> Iterator[str]:
    yield from (*FIRST, *MIDDLE, *LAST)
    for attribute in ATTRIBUTES:
        yield from attribute.values
        for line in (*attribute.sentences, *attribute.questions):
            yield line.replace("{}", "").replace("[Y]", "")


@functools.lru_cache(maxsize=1)
def _model() -> bytes:
    import sentencepiece

    made = io.BytesIO()
    lines = sorted({word for line in _text() for word in line.split()})
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=made,
        model_type="word",
        vocab_size=len(lines) + 100,
        hard_vocab_limit=False,
        character_coverage=1.0,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    return made.getvalue()


def vocabulary(folder: pathlib.Path) -> Vocabulary:
    """A piece per word; the file is written into the folder where it is not there."""
    file = folder / "people.model"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        whole_files.write_bytes(file, _model())
    return Vocabulary(file, extra_ids=SENTINELS)
