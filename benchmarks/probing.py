"""Scores of closed candidate sets: along a trie, against a loop over pairs in batches of 64.

    python benchmarks/probing.py [--rounds 3] [--prompts 48] [--relations country_capital,...]
    python benchmarks/probing.py --model FILE.gguf --prompts 4 --rounds 1   # a decoder-only model

The loop is what a first implementation does: each (prompt, candidate) pair is a row of its own, 64
rows a batch, sorted by length. Both ways score the same pairs of the atlas with `atlas_ssm`, a T5,
or with the model given; rounds are interleaved, and times are the processor's, of all threads, so
that other work on the machine counts little. The largest difference of a score is printed beside
the times.
"""

import argparse
import statistics
import time

import numpy as np

from closedbook.inference.predictor import Predictor
from closedbook.knowledge import load_model
from closedbook.knowledge.probing import tries, wordings
from closedbook.knowledge.probing.prompts import Prompting, style_of
from closedbook.knowledge.probing.scoring import Answers, CandidateScorer
from closedbook.tasks.facts import read_facts

_PAIRS = 64


class Pairs:
    """A loop over pairs of prompt and candidate."""

    def __init__(self, model) -> None:
        self._params = model.params
        self._predictor = Predictor(
            model.module, model.vocabulary, max_input_length=128, batch_size=_PAIRS
        )

    def __call__(self, inputs, answers: Answers) -> np.ndarray:
        """Scores [inputs, candidates]."""
        targets = [[*answers.before, *row] for row in answers.scored]
        pairs = [(row, target) for row in inputs for target in targets]
        order = sorted(range(len(pairs)), key=lambda n: len(pairs[n][1]))
        scores = np.empty(len(pairs))
        for first in range(0, len(order), _PAIRS):
            chosen = order[first : first + _PAIRS]
            found = self._predictor.score_tokens(
                self._params,
                [pairs[n][0] for n in chosen],
                [[pairs[n][1]] for n in chosen],
            )
            scores[chosen] = [row[0] for row in found]
        return scores.reshape(len(inputs), len(targets))


def main() -> None:
    """Prints one line per relation and way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="closedbook://atlas_ssm", help="as for closedbook probe")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds of each way")
    parser.add_argument("--prompts", type=int, default=48, help="prompts per relation")
    parser.add_argument(
        "--relations",
        default="country_capital,country_currency,airport_city,element_number",
        help="relations of the atlas",
    )
    options = parser.parse_args()
    model = load_model(options.model)
    prompting = Prompting.of(model)
    names = options.relations.split(",")
    facts = read_facts("atlas", relations=names, style=style_of(prompting.way))
    facts = wordings.askable(facts, prompting)
    ways = {"pairs": Pairs(model), "trie": CandidateScorer(model.module, model.params)}
    print(
        "relation            pairs  steps of pairs  of the trie   pairs, s   trie, s  ratio  apart"
    )
    for name, relation in facts.relations.items():
        answers = prompting.answers(relation)
        inputs = prompting.inputs(facts.of(name)[: options.prompts])
        scores = {way: score(inputs, answers) for way, score in ways.items()}  # compiles
        times: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(options.rounds):
            for way, score in ways.items():
                start = time.process_time()
                score(inputs, answers)
                times[way].append(time.process_time() - start)
        middle = {way: statistics.median(each) for way, each in times.items()}
        apart = float(np.abs(scores["pairs"] - scores["trie"]).max())
        steps = tries.nodes(answers.pieces, ended=answers.end is not None)
        print(
            f"{name:18} {scores['trie'].size:6,}  {int(answers.lengths.sum()):14,}  "
            f"{steps:11,}  {middle['pairs']:9.2f} "
            f"{middle['trie']:9.2f} {middle['pairs'] / middle['trie']:6.1f}  {apart:.1e}",
            flush=True,
        )


if __name__ == "__main__":
    main()
