"""Makes qa_metrics.jsonl and qa_metrics_aggregate.json: the metrics of PyPI's t5 on made-up pairs.

Every answer meets every change, so that each rule of the normalisers is met in many texts. In an
environment that has t5 0.9.4:

    python tests/golden/metrics/make.py
"""

import json
import pathlib
import random
import unicodedata

ANSWERS = """\
Paris|The Red House|A. B. Carver|J. R. R. Holm|the Order of the Star|An Apple a Day|A|The
U.S.|U.K. and U.S.A.|C++|rock-and-roll|Jean-Luc Ferrière|O'Neil's Bar|Saint Ann’s Well|AT&T
14 December 1972|December 14, 1972|1981–82|1981-82|9/11|1,132|3.5 million|-40|50%|£50m|100 °C|½|#1
seven|7|one thousand, one hundred and thirty-two|No. 5|Hepatitis A|Vitamin B_12|x < y|{}|[sic]|~
Beyoncé|Beyonce|São Tomé|Þór Jónsson|Straße|İzmir|Čapek|Ａｂｃ|ﬁne|Волга|ΑΘΗΝΑ|東京|السلام|עברית|🙂
Mars (planet)|Mars, the planet|"Mars"|‘Mars’|“Mars”|`Mars`|´Mars´|Mars_the_planet|Mars; Mars: Mars!
an answer of many words that goes on, and on|  spaced   out  |!!!|...|the a an||theatre|Anna"""

CHANGES = {
    "same": lambda x: x,
    "lower": str.lower,
    "upper": str.upper,
    "title": str.title,
    "the": lambda x: f"the {x}",
    "an": lambda x: f"An {x}",
    "a with a point": lambda x: f"A. {x}",
    "article within": lambda x: x.replace(" ", " the ", 1),
    "no articles": lambda x: " ".join(w for w in x.split() if w.lower() not in ("a", "an", "the")),
    "point": lambda x: f"{x}.",
    "exclaimed": lambda x: f"¡{x}!",
    "quoted": lambda x: f"'{x}'",
    "typographic quotes": lambda x: f"‘{x}’",
    "double quotes": lambda x: f"“{x}”",
    "accents as quotes": lambda x: f"´{x}`",
    "bracketed": lambda x: f"[{x}] (n.)",
    "hyphens": lambda x: x.replace(" ", "-"),
    "underscores": lambda x: x.replace(" ", "_"),
    "long dashes": lambda x: x.replace(" ", " — "),
    "glued": lambda x: x.replace(" ", ""),
    "no punctuation": lambda x: "".join(c for c in x if c.isalnum() or c == " "),
    "tabs and lines": lambda x: "\t" + x.replace(" ", "\n"),
    "wide blanks": lambda x: x.replace(" ", "\u00a0\u3000"),
    "zero width": lambda x: x[:2] + "\u200b" + x[2:] + "\ufeff",
    "decomposed": lambda x: unicodedata.normalize("NFD", x),
    "compatible": lambda x: unicodedata.normalize("NFKC", x),
    "no accents": lambda x: unicodedata.normalize("NFKD", x).encode("ascii", "ignore").decode(),
    "picture": lambda x: f"{x}🙂",
    "number behind": lambda x: f"{x} 1,000",
    "price before": lambda x: f"$5 {x}",
    "cut": lambda x: x[:-3],
    "first word": lambda x: x.partition(" ")[0],
    "last word": lambda x: x.rpartition(" ")[2],
    "turned round": lambda x: " ".join(reversed(x.split())),
    "twice": lambda x: f"{x} {x}",
    "possessive": lambda x: f"{x}'s",
    "sentence": lambda x: f"The answer is {x}, I think; it is not an easy one.",
    "alternatives": lambda x: f"{x}/{x.lower()} or {x}",
    "empty": lambda x: "",
    "blank": lambda x: " \t",
    "article alone": lambda x: "the",
    "punctuation alone": lambda x: "?!",
}


def pairs() -> list[tuple[list[str], str]]:
    """Targets and a prediction each; a third of the predictions come from any of the answers."""
    draw = random.Random(0)
    answers = ANSWERS.replace("\n", "|").split("|")
    found = []
    for change in CHANGES.values():
        for answer in answers:
            others = draw.sample(answers, draw.choice((0, 0, 1, 2, 5, 11)))
            targets = [answer, *others]
            draw.shuffle(targets)
            source = draw.choice(answers) if draw.random() < 0.33 else answer
            found.append((targets, change(source)))
    return draw.sample(found, 1200)


def main() -> None:
    """Writes both files beside this one."""
    import t5
    from t5.evaluation import metrics, qa_utils

    if t5.__version__ != "0.9.4":
        raise SystemExit(f"t5 is {t5.__version__}; the numbers here are those of 0.9.4")
    folder = pathlib.Path(__file__).parent
    made = pairs()
    with (folder / "qa_metrics.jsonl").open("w", encoding="utf-8") as file:
        for targets, prediction in made:
            row = {
                "targets": targets,
                "prediction": prediction,
                "squad": metrics.squad([targets], [prediction]),
                "trivia_qa": metrics.trivia_qa([targets], [prediction]),
                "normalize_squad": qa_utils.normalize_squad(prediction),
                "normalize_trivia_qa": qa_utils.normalize_trivia_qa(prediction),
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    targets, predictions = zip(*made, strict=True)
    total = {
        "n": len(made),
        "squad": metrics.squad(targets, predictions),
        "trivia_qa": metrics.trivia_qa(targets, predictions),
    }
    text = json.dumps(total, indent=1) + "\n"
    (folder / "qa_metrics_aggregate.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
