"""BEAR's score by closedbook and by lm-pub-quiz, item by item.

    pip install lm-pub-quiz==0.3.3 accelerate
    python benchmarks/bear.py --data BEAR [--relations P30,P105,P412] [--limit 2] [--model FOLDER]

Both score the first facts of each relation in all templates, with the whole answer space. The model
is a decoder-only one in a Hugging Face folder; by default SmolLM2-135M-Instruct (Q4_1; `make
smollm2` fetches it), which transformers dequantises into a folder for both. The greatest difference
of a statement's log-likelihood, the answers that differ and the times are printed by relation,
then both scores. Processor time is that of all threads; closedbook's includes compiling.
"""

import argparse
import dataclasses
import json
import pathlib
import tempfile
import time

import numpy as np

from benchmarks.smollm2 import place
from closedbook.knowledge import load_model
from closedbook.knowledge.probing.agreement import bear_score
from closedbook.knowledge.probing.families.opening import prompting_of
from closedbook.tasks.facts import read_facts


def dequantised(folder: pathlib.Path) -> None:
    """SmolLM2 in float32, as transformers reads its GGUF file."""
    import torch
    import transformers

    file = place()
    quantised = {"gguf_file": file.name}
    model = transformers.AutoModelForCausalLM.from_pretrained(
        file.parent, dtype=torch.float32, **quantised
    )
    config = model.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config  # or it would not be written
    plain = type(model)(config)
    plain.load_state_dict(model.state_dict())
    plain.float().save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(file.parent, **quantised).save_pretrained(folder)


def subset(data: pathlib.Path, out: pathlib.Path, names: list[str], limit: int | None) -> None:
    """The first facts of some relations, in BEAR's form."""
    metadata = json.loads((data / "metadata_relations.json").read_text())
    for name in names or metadata:
        lines = (data / f"{name}.jsonl").read_text().splitlines(keepends=True)
        (out / f"{name}.jsonl").write_text("".join(lines[:limit]))
    kept = {name: metadata[name] for name in names or metadata}
    (out / "metadata_relations.json").write_text(json.dumps(kept))


def ours(folder: pathlib.Path, data: pathlib.Path):
    """Relation -> (scores [templates, facts, candidates], right candidate [facts], seconds)."""
    model = load_model(folder)
    prompting = prompting_of(model, "sentence")
    scorer = prompting.scorer(model)
    facts = read_facts(data)
    found = {}
    for name, relation in facts.relations.items():
        started = time.process_time()
        rows = []
        for number in range(len(facts.of(name)[0].prompts)):
            worded = [
                dataclasses.replace(fact, prompt=fact.prompts[number], paraphrases=())
                for fact in facts.of(name)
            ]
            rows.append(scorer(prompting.inputs(worded), prompting.answers(relation)))
        gold = [relation.candidates.index(fact.object) for fact in facts.of(name)]
        found[name] = np.array(rows), np.array(gold), time.process_time() - started
    return found


def theirs(folder: pathlib.Path, data: pathlib.Path):
    """The same by lm-pub-quiz, and its own accuracy."""
    from lm_pub_quiz import Dataset, Evaluator

    evaluator = Evaluator.from_model(str(folder), model_type="CLM")
    results = evaluator.evaluate_dataset(Dataset.from_path(data), batch_size=32)
    found = {}
    for result in results:
        table = result.instance_table
        templates = sorted(table["template_index"].unique())
        rows = [table[table["template_index"] == number] for number in templates]
        scores = np.array([each["pll_scores"].tolist() for each in rows])
        found[result.relation_code] = scores, rows[0]["answer_idx"].to_numpy()
    return found, float(results.get_metrics("accuracy"))


def main() -> None:
    """Prints a line per relation, and both scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, required=True, help="the folder BEAR")
    parser.add_argument("--relations", default="P30,P105,P412", help="names; empty for all")
    parser.add_argument("--limit", type=int, default=2, help="facts of each relation")
    parser.add_argument("--model", type=pathlib.Path, help="a Hugging Face folder")
    options = parser.parse_args()
    names = [name for name in options.relations.split(",") if name]
    with tempfile.TemporaryDirectory() as made:
        data = pathlib.Path(made) / "BEAR"
        data.mkdir()
        subset(options.data, data, names, options.limit)
        folder = options.model
        if folder is None:
            folder = pathlib.Path(made) / "smollm2"
            dequantised(folder)
        compare(folder, data)


def compare(folder: pathlib.Path, data: pathlib.Path) -> None:
    """Asks both and prints."""
    own = ours(folder, data)
    started = time.process_time()
    other, accuracy = theirs(folder, data)
    seconds = time.process_time() - started
    print("relation  statements  greatest difference  other answers  closedbook, s")
    right = []
    for name, (scores, gold, spent) in own.items():
        expected, places = other[name]
        assert (places == gold).all()
        best = scores.argmax(axis=-1)
        different = int((best != expected.argmax(axis=-1)).sum())
        apart = np.abs(scores - expected).max()
        print(f"{name:8}  {scores.size:10,}  {apart:19.1e}  {different:13}  {spent:13.1f}")
        right.append((best == gold).T)
    score, deviation = bear_score(np.concatenate(right))
    print(f"closedbook   BEAR score {100 * score:.2f}, standard deviation {100 * deviation:.2f}")
    print(f"lm-pub-quiz  accuracy   {100 * accuracy:.2f}, {seconds:.1f} s of processor time")


if __name__ == "__main__":
    main()
