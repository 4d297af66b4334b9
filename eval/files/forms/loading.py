"""The rows of a file of any known form under our names, with all its faults in one message."""

import contextlib
import dataclasses
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from closedbook.errors import UserError
from closedbook.eval.files import json_lines, tables
from closedbook.eval.files.forms import columns, contents, documents, tools, values
from closedbook.eval.files.forms.tools import Row
from closedbook.eval.files.gold import Gold
from closedbook.eval.files.json_lines import shown

OWN = "predictions.jsonl"
NULL = "null prediction, counted as an empty one"
NO_ANSWER = "no gold answer: left out"

_MOST_FAULTS = 10  # that are listed
_OTHERS = ("task", "split", "step", "meta", "alternatives")  # of our form, beside columns.FIELDS
_SEVERAL = "more than one prediction: the first counts"
_Convert = Callable[[Row], "dict[str, object] | None"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loaded:
    """What a file holds.

    Attributes:
        form: For people: "samples of lm-evaluation-harness".
        own: Whether it is our form, in which an id stands once and unknown keys are kept.
        rows: Place, and values under our names; read as they are asked for.
        notes: How many rows had something worth saying, by what it was; whole after the last row.
    """

    form: str
    own: bool
    rows: Iterator[tuple[str, dict[str, object]]]
    notes: Mapping[str, int]


class Faults:
    """Faults of a file's rows: all are found before the first is told of."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._first: list[UserError] = []
        self._count = 0

    def add(self, error: UserError) -> None:
        """Notes a fault."""
        self._count += 1
        if self._count <= _MOST_FAULTS:
            self._first.append(error)

    @contextlib.contextmanager
    def at(self, place: str) -> Iterator[None]:
        """Notes what goes wrong inside with its place, and goes on after the block."""
        with json_lines.noted(self.add), json_lines.place(place):
            yield

    def tell(self) -> None:
        """Raises one error of all that was noted, if anything was.

        Raises:
            UserError: There are faults.
        """
        if self._count == 1:
            raise self._first[0]
        if self._count:
            listed = "".join(f"\n  {error}" for error in self._first)
            more = self._count - len(self._first)
            rest = f"\n  and {more:,} more" if more else ""
            raise UserError(f"{self._path}: {self._count:,} rows cannot be read:{listed}{rest}")


def load(
    path: str | os.PathLike[str],
    *,
    faults: Faults,
    columns_given: Mapping[str, str] | None = None,
    gold: Sequence[Gold] | None = None,
) -> Loaded:
    """Reads a file of predictions.

    Args:
        path: The file.
        faults: Told of rows that cannot be read.
        columns_given: Our fields -> names in the rows, of `columns.parse`.
        gold: Questions and answers, by id or question, for predictions that come without them;
            where both have answers these count.

    Raises:
        UserError: The file cannot be read, or its form is not known.
    """
    remedy = (
        "give the path of a predictions.jsonl, as `t5x eval` writes it, or of another tool's file"
    )
    found = contents.opened(
        path,
        what="predictions",
        remedy=remedy,
        names=_names_columns(columns_given or {}),
        on_fault=faults.add,
    )
    return _loaded(found, path, faults=faults, given=columns_given or {}, gold=gold)


def of_rows(
    rows: Iterable[object], *, faults: Faults, columns_given: Mapping[str, str] | None = None
) -> Loaded:
    """Takes rows that are in memory as `load` takes those of a file of JSON lines."""
    items = ((f"row {number}", row) for number, row in enumerate(rows, start=1))
    found = contents.Rows("rows", items)
    return _loaded(found, "the rows", faults=faults, given=columns_given or {}, gold=None)


def _loaded(
    found: contents.Rows | contents.Document,
    path: str | os.PathLike[str],
    *,
    faults: Faults,
    given: Mapping[str, str],
    gold: Sequence[Gold] | None,
) -> Loaded:
    notes: Counter[str] = Counter()
    form, items, ours, cells = _items(path, found, notes)
    first, items = _first(items)
    keys = {str(key): value for key, value in first.items()} if isinstance(first, Mapping) else {}
    needs_gold = False
    convert: _Convert = dict
    own = not ours and not given and (not keys or _is_own(keys))
    if own:
        form = OWN if form == "JSON lines" else form
    elif ours:
        needs_gold = "answers" not in keys
    elif not given and (tool := tools.of(keys)) is not None:
        form, convert, needs_gold = tool.name, _noting(tool, notes), tool.needs_gold
    else:
        if given:
            form = f"{form}, columns as given"
        elif cells and gold is not None and list(keys) == ["1", "2"]:
            form, given = "answers by id (FiD)", {"id": "1", "prediction": "2"}
        convert = _by_columns(path, given, keys, gold=gold is not None, cells=cells)
    if needs_gold and gold is None:
        raise UserError(
            f"{path} holds {form}, without gold answers; give the file that has them: --gold FILE "
            "(SQuAD's, KILT's, FiD's input, or rows with id, question and answers)"
        )
    taken = _taken(items, convert, faults, notes, cells=cells, gold=gold)
    return Loaded(form=form, own=own, rows=taken if own else _own_ids(taken), notes=notes)


def _taken(
    items: Iterator[tuple[str, object]],
    convert: _Convert,
    faults: Faults,
    notes: Counter[str],
    *,
    cells: bool,
    gold: Sequence[Gold] | None,
) -> Iterator[tuple[str, dict[str, object]]]:
    """The rows that can be scored, under our names; what others hold against is noted."""
    lookup = None if gold is None else _Lookup(gold)
    for place, item in items:
        row: dict[str, object] | None = None
        with faults.at(place):
            if not isinstance(item, Mapping):
                raise UserError(f"{shown(item)} is not a JSON object; write one object per line")
            converted = convert(item)
            if converted is None:
                continue
            found = _normal(_decoded(converted) if cells else converted, notes)
            if lookup is not None:
                lookup.fill(found)
            if found.get("answers") == []:
                notes[NO_ANSWER] += 1
                continue
            row = found
        if row is not None:
            yield place, row


def _is_own(keys: Row) -> bool:
    """Whether a row is of our form."""
    return {"question", "prediction"} <= set(keys) and ("answers" in keys or "answer" in keys)


def _names_columns(given: Mapping[str, str]) -> tables.Names:
    """Whether a line of cells names columns: what is given, or what is in use."""

    def names(cells: Sequence[str]) -> bool:
        plain = [cell.strip() for cell in cells]
        if given and all(name in plain for name in given.values()):
            return True
        return columns.are_names(plain)

    return names


def _items(
    path: str | os.PathLike[str], found: contents.Rows | contents.Document, notes: Counter[str]
) -> tuple[str, Iterator[tuple[str, object]], bool, bool]:
    """Form, places and rows, whether they are under our names, whether they are cells."""
    if isinstance(found, contents.Rows):
        return found.kind, found.items, False, found.cells
    with json_lines.place(str(path)):
        listed = documents.rows(found.value)
    if listed is None:
        return "JSON lines", iter([(f"{path}:1", found.value)]), False, False
    notes.update({f"{reason}: left out": number for reason, number in listed.left_out.items()})
    items = ((f"{path}: {place}", row) for place, row in listed.items)
    return listed.name, items, listed.ours, False


def _first(
    items: Iterator[tuple[str, object]],
) -> tuple[object, Iterator[tuple[str, object]]]:
    """The first row, and all of them."""
    one = next(items, None)
    if one is None:
        return None, iter([])
    return one[1], itertools.chain([one], items)


def _by_columns(
    path: str | os.PathLike[str],
    given: Mapping[str, str],
    example: Row,
    *,
    gold: bool,
    cells: bool,
) -> _Convert:
    """Puts rows under our names by those of their keys; other texts and numbers are kept."""
    names = list(example)
    unnamed = cells and names == [str(number) for number in range(1, len(names) + 1)]
    needed = ["prediction"] if gold else ["question", "answers", "prediction"]
    with json_lines.place(str(path)):
        asked = [given[field] for field in needed if field in given]
        strange = [n for n in asked if n not in names and n.partition(".")[0] not in names]
        if strange:
            there = ", ".join(names[:12]) or "none"
            raise UserError(f"--columns names {strange[0]!r}; the keys are {there}")
        first = columns.guess(() if unnamed else names, given)
        line = [str(cell) for cell in example.values()] if unnamed else None
        columns.check(first, names, needed, line=line)
    guessed = {tuple(names): first}

    def convert(row: Row) -> dict[str, object]:
        keys = tuple(str(key) for key in row)
        if keys not in guessed:
            guessed[keys] = columns.guess(() if unnamed else keys, {**first.paths, **given})
        mapped = guessed[keys].mapped(row)
        missing = [field for field in needed if field not in mapped]
        if missing:
            raise UserError(f'"{first.paths[missing[0]]}" is missing; it is the {missing[0]}')
        used = {path.partition(".")[0] for path in guessed[keys].paths.values()}
        return {**_kept(row, used), **mapped}

    return convert


def _kept(row: Row, used: set[str]) -> dict[str, object]:
    """Texts and numbers of a row that are none of our fields."""
    kept: dict[str, object] = {}
    for name, value in row.items():
        if name in used or name in columns.FIELDS or name in _OTHERS[2:]:
            continue
        if isinstance(value, str) or (
            name not in _OTHERS and isinstance(value, bool | int | float)
        ):
            kept[str(name)] = value
    return kept


def _noting(tool: tools.Tool, notes: Counter[str]) -> _Convert:
    def convert(row: Row) -> dict[str, object] | None:
        converted = tool.convert(row)
        if converted is None:
            notes[f"{tool.left_out}: left out"] += 1
        return converted

    return convert


def _decoded(row: Mapping[str, object]) -> dict[str, object]:
    """A row of cells, decoded as columns with our names are."""
    decoded: dict[str, object] = {}
    for name, cell in row.items():
        assert isinstance(cell, str)
        empty = name in ("answers", "answer") and not cell.strip()
        decoded[name] = [] if empty else tables.value(name, cell)
    return decoded


def _normal(row: Mapping[str, object], notes: Counter[str]) -> dict[str, object]:
    """A row with question, answers and prediction as text, whatever they were written as."""
    row = dict(row)
    if "answers" not in row and "answer" in row:
        row = {"answers" if key == "answer" else key: value for key, value in row.items()}
    if "question" in row:
        row["question"] = values.question(row["question"], "question")
    if "answers" in row and not _is_texts(row["answers"]):
        row["answers"] = values.texts(row["answers"], "answers")
    if "prediction" in row:
        said = values.predictions(row["prediction"], "prediction")
        if not said:
            notes[NULL] += 1
        if len(said) > 1:
            notes[_SEVERAL] += 1
            row.setdefault("alternatives", [{"text": text} for text in said[1:]])
        row["prediction"] = said[0] if said else ""
    return row


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _own_ids(
    rows: Iterable[tuple[str, dict[str, object]]],
) -> Iterator[tuple[str, dict[str, object]]]:
    """Gives rows of other tools ids that stand once; several samples of a question share theirs."""
    seen: Counter[str] = Counter()
    for place, row in rows:
        key = row.get("id")
        if isinstance(key, bool) or not isinstance(key, str | int):
            row["id"] = None if key is None else str(key)
        if row.get("id") is not None:
            name = str(row["id"])
            seen[name] += 1
            if seen[name] > 1:
                row["id"] = f"{name} ({seen[name]})"
        yield place, row


class _Lookup:
    """Questions and answers by id and by question."""

    def __init__(self, gold: Sequence[Gold]) -> None:
        self._by_id = {each.id: each for each in gold if each.id is not None}
        self._by_question = {_plain(each.question): each for each in gold}

    def fill(self, row: dict[str, object]) -> None:
        """Puts answers, and the question where there is none, into a row.

        Raises:
            UserError: The row is in no gold, and has no answers of its own.
        """
        found = self._by_id.get(str(row.get("id")))
        if found is None and isinstance(row.get("question"), str):
            found = self._by_question.get(_plain(str(row["question"])))
        if found is not None:
            row.setdefault("question", found.question)
            row["answers"] = list(found.answers)
        elif "answers" not in row or "question" not in row:
            known = row.get("id", row.get("question"))
            raise UserError(f"{shown(known)} is not among the questions of --gold")


def _plain(question: str) -> str:
    return " ".join(question.casefold().split())
