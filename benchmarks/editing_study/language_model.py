"""The part of the page about a real language model."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.editing_study import tables
from benchmarks.editing_study.plan import DATA_SETS, SMOLLM2
from closedbook.knowledge.editing.evaluation.cases import YES_NO

_TOLD = ("prompt", "rephrasings")
_KEPT = ("neighbours", "same relation", "all others")
_ABOUT = {
    "CounterFact": "EasyEdit's form: sentences, one rephrasing and one neighbour each. Beside them "
    "four other facts that the model knows are asked.",
    "known_1000": "Facts that the model knows, with false objects of their relations as targets; "
    "the data has no rephrasings, and other facts that the model knows are asked.",
    "QAEdit": "Questions, put as `Q: ... A:` and judged by exact match; the target is the right "
    "answer, which the model mostly does not know, and five questions should not change.",
}


def section(results: Sequence[Mapping[str, Any]]) -> str:
    """Tables of every data set.

    Args:
        results: Of all cells of the part.
    """
    text = (
        f"\n## A language model: {SMOLLM2}\n\nIt goes on with a prompt for a line of at most 16 "
        "tokens; the rest of a sentence is right if it begins with the right words. Second moments "
        "are of 400 passages of WikiText-2 (39,000 keys).\n"
    )
    for name in DATA_SETS:
        singles = [each for each in results if each["data"] == name and "summary" in each]
        rows = [each for each in results if each["data"] == name and "points" in each]
        if singles:
            text += f"\n### {name}\n\n{_ABOUT[name]} {singles[0]['edits']} edits each.\n\n"
            text += _free(singles) + "\n" + _forced(singles) + "\n" + _yes_no(singles)
        if rows:
            text += "\n" + _in_row(rows)
    return text


def _free(results: Sequence[Mapping[str, Any]]) -> str:
    groups = (*_TOLD, *_KEPT, "negated prompt")
    shown = [g for g in groups if any(g in each["summary"]["free"] for each in results)]
    first = results[0]["summary"]
    rows = [["the original", *("–" for _ in shown[:-1]), _of(first["before"], shown[-1]), "–", "–"]]
    for each in results:
        s = each["summary"]
        told = [_of(s["free"], group) for group in shown]
        judged = _of(s["judged"], "prompt")
        rows.append([each["name"], *told, judged, f"{s['seconds']:.1f}"])
    return tables.table(["", *shown, "prompt, judged", "s per edit"], rows)


def _forced(results: Sequence[Mapping[str, Any]]) -> str:
    names = ("ES", "PS", "NS", "token accuracy", "token accuracy, rephrased")
    shown = [n for n in names if any(n in each["summary"]["forced"] for each in results)]
    rows = []
    for each in results:
        s = each["summary"]
        score = "–" if s["S"] is None else f"{100 * s['S']:.1f}"
        published = [_of(s["published"], key) for key in ("drawdown", "retain rate")]
        rows.append([each["name"], *(_of(s["forced"], name) for name in shown), score, *published])
    return tables.table(["teacher-forced", *shown, "S", "drawdown", "retain rate"], rows)


def _yes_no(results: Sequence[Mapping[str, Any]]) -> str:
    shown = [n for n in YES_NO if any(n in each["summary"]["yes_no"] for each in results)]
    first = results[0]["summary"]["yes_no"]
    rows = [["the original", *(_of(first.get(name, {}), "before") for name in shown)]]
    for each in results:
        found = each["summary"]["yes_no"]
        rows.append([each["name"], *(_of(found.get(name, {}), "after") for name in shown)])
    return tables.table(["“Is it true that ...?”", *shown], rows)


def _in_row(results: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            each["name"],
            f"{point['edits']:,}",
            *(_of(point["told"], group) for group in _TOLD),
            tables.estimate(point["kept"]),
            f"{max(point['norms'].values()):.2f}",
            "yes" if point["collapsed"] else "no",
        ]
        for each in results
        for point in each["points"]
    ]
    heads = ["", "edits", *_TOLD, "others kept", "|W| / original", "collapsed"]
    return tables.table(heads, rows)


def _of(values: Mapping[str, Any], key: str) -> str:
    return tables.estimate(values.get(key))
