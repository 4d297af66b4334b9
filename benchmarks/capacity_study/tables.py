"""The page's tables."""

from collections.abc import Mapping, Sequence

from benchmarks.capacity_study.numbers import (
    Held,
    Point,
    Result,
    arm_of,
    curve,
    held,
    kinds_of,
    plateaus,
)


def amounts(found: Sequence[Point]) -> str:
    """Bits held by amount, per parameter without embeddings and with them."""
    most = plateaus(found)
    lines = [
        "| model | parameters | with embeddings | exposures | offered | held | of offered, % | "
        "held, with embeddings | seeds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for point in found:
        whole = point.parameters + point.embeddings
        mark = "**" * (most[curve(point)] is point)
        seeds = ", ".join(f"{each:.2f}" for each in point.seeds) if len(point.seeds) > 1 else "–"
        with_all = point.held.over(whole / point.parameters)
        name = f"{point.arm}, {point.kind}" if point.kind else point.arm
        lines.append(
            f"| {name} | {point.parameters:,} | {whole:,} | {point.exposures:,} | "
            f"{point.offered:.2f} | {mark}{point.held}{mark} | "
            f"{100 * point.held.bits / point.offered:.0f} | {with_all} | {seeds} |"
        )
    return "\n".join(
        [*lines, "", "Bits per parameter. The most that a model held is in bold: its plateau."]
    )


def groups(results: Sequence[Result]) -> str:
    """Bits per person, of those asked about in fine-tuning, held out, and never told of."""
    lines = [
        "Bits per person, of 34, in the phrasing that is best for others: as stated before "
        "fine-tuning, and by questions after it, of people that it asked about, of those held out, "
        "and of people whom the model was never told of:",
        "",
        "| model | size | people | exposures | seed | stated | asked about | held out | in the "
        "mean of phrasings | never told of | never, stated |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for each in results:
        if each["meter"] != "facts":
            continue
        cells = [
            _per_person(each[kind][group], phrasing)
            for kind, group, phrasing in (
                ("stated", "told", "best"),
                ("groups", "asked", "best"),
                ("groups", "held out", "best"),
                ("groups", "held out", "mean"),
                ("groups", "never told", "best"),
                ("stated", "never told", "best"),
            )
        ]
        lines.append(
            f"| {arm_of(each)} | {each['size']} | {each['items']:,} | {each['exposures']:,} | "
            f"{each['seed']} | {' | '.join(cells)} |"
        )
    return "\n".join(lines)


def _per_person(found: Result, phrasing: str) -> str:
    value = found[phrasing]
    return str(Held(value["bits"], value["low"], value["high"]).over(found["people"]))


def silenced(results: Sequence[Result]) -> str:
    """What is left when parts add nothing: of the cells with most held of each arm and size."""
    chosen: dict[tuple[str, str], Result] = {}
    for each in results:
        key = arm_of(each), each["size"]
        if key not in chosen or _rate(each) > _rate(chosen[key]):
            chosen[key] = each
    lines = [
        "A part is silenced by setting the output matrices of its attentions or feed-forward units "
        "to 0; what it costs is its parameters, of all that are no embedding. For each model the "
        "cell that held most.",
        "",
        _of_random(list(chosen.values())),
        "",
        "Of people as stated, where a model held more than a hundredth of what they are worth; the "
        "percentages are of a part of the people, and intervals are wide:",
        "",
        "| model | size | silenced | parameters, % | bits left, % |",
        "|---|---|---|---|---|",
    ]
    for (arm, size), each in chosen.items():
        if each["meter"] != "facts":
            continue
        whole = each["whole"]["held"]
        if whole["low"] < 0.01 * whole["entropy"]:
            continue
        for part in each["silenced"]:
            share = 100 * part["parameters"] / each["parameters"]
            ends = [100 * part["held"][end] / whole["bits"] for end in ("bits", "low", "high")]
            name = f"{part['stack']}, {part['kind']}"
            lines.append(
                f"| {arm} | {size} | {name} | {share:.0f} | {ends[0]:.0f} "
                f"[{ends[1]:.0f}, {ends[2]:.0f}] |"
            )
    return "\n".join(lines)


def _of_random(cells: Sequence[Result]) -> str:
    """Random data without each of the parts, in a sentence."""
    parts = [
        (part["held"]["unclipped"] / each["parameters"], part["held"]["bits"])
        for each in cells
        if each["meter"] != "facts"
        for part in each["silenced"]
    ]
    none = sum(bits == 0 for _, bits in parts)
    lost = [per_parameter for per_parameter, _ in parts]
    return (
        f"Of random data, {none} of {len(parts)} parts, silenced one at a time, leave nothing: the "
        f"model then spends {-max(lost):.0f} to {-min(lost):.0f} bits per parameter more than one "
        "that knows nothing, sure of wrong symbols. So no stack and no kind of layer holds them by "
        "itself."
    )


def _rate(result: Result) -> float:
    return held(result, kinds_of(result)[0]).bits / result["parameters"]


def rates(tuned: Sequence[Result], chosen: Mapping[str, float]) -> str:
    """Bits held with each learning rate, the chosen one in bold; of people as stated."""
    lines = ["| model | bits per parameter, by learning rate |", "|---|---|"]
    for arm, best in chosen.items():
        of = sorted(
            (
                each
                for each in tuned
                if f"{each['meter']}-{each['family']}-{each['objective']}" == arm
            ),
            key=lambda each: each["rate"],
        )
        cells = []
        for each in of:
            bits = held(each, kinds_of(each)[0]).bits / each["parameters"]
            told = f"{each['rate']:g}: {bits:.3f}"
            cells.append(f"**{told}**" if each["rate"] == best else told)
        lines.append(f"| {arm_of(of[0])} | {', '.join(cells)} |")
    return "\n".join(lines)
