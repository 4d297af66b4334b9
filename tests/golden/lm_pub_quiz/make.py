"""Makes model/, BEAR/ and scores.json: what lm-pub-quiz gives a tiny random model on made-up facts.

Two steps, for closedbook and lm-pub-quiz need not live in one environment:

    python tests/golden/lm_pub_quiz/make.py model
    python tests/golden/lm_pub_quiz/make.py scores   # where lm-pub-quiz 0.3.3 is installed
"""

import json
import pathlib
import shutil
import sys

HERE = pathlib.Path(__file__).parent
MODEL, DATA, SCORES = HERE / "model", HERE / "BEAR", HERE / "scores.json"

# The object at the end, first, in the middle and twice; names that merge with what stands beside
# them, that end in a full stop, that begin small, that share beginnings.
RELATIONS = {
    "P1": {
        "templates": [
            "The capital of [X] is [Y].",
            "[Y] serves as the capital of [X].",
            "In [X], [Y] is the seat of the government.",
        ],
        "answers": ["Orlan", "Orlan on Sea", "New Orlan", "Tiss", "Tissel, D.C.", "Vray"],
        "subjects": ["Marnia", "the Lower Isles", "Ost-Perra", "Quell", "Drune", "East Marnia"],
    },
    "P2": {
        "templates": [
            "[X] is made of [Y].",
            "[Y] is what [X] is made of",
            "[X]: [Y], and nothing but [Y]!",
        ],
        "answers": ["glass", "lead glass", "iron", "ironwood"],
        "subjects": ["pelt lamp", "a drumlin", "Korr's bell", "moth harp"],
    },
}


def make_model() -> None:
    """A random GPT-2 with the tokenizer of ../rome, and the facts."""
    import numpy as np

    from closedbook.checkpoints.huggingface.folders import write_huggingface
    from closedbook.checkpoints.tensors import Checkpoint, Tensor
    from closedbook.models import DecoderOnlyConfig, decoder_only

    config = DecoderOnlyConfig(
        vocab_size=400,
        emb_dim=16,
        num_heads=2,
        num_layers=2,
        head_dim=8,
        mlp_dim=32,
        max_positions=64,
        eos_id=0,
        bos_id=0,
    )
    random = np.random.default_rng(0)
    shapes = decoder_only.parameter_shapes(config)
    params = {
        name: Tensor.of(0.5 * random.normal(size=shape).astype(np.float32), name)
        for name, shape in shapes.items()
    }
    MODEL.mkdir(exist_ok=True)
    write_huggingface(MODEL, Checkpoint(format="", path="made", params=params), config)
    shutil.copyfile(HERE.parent / "rome" / "gpt2_tiny_tokenizer.json", MODEL / "tokenizer.json")
    ends = dict.fromkeys(("bos_token", "eos_token"), "<|endoftext|>")
    ends["tokenizer_class"] = "PreTrainedTokenizerFast"
    (MODEL / "tokenizer_config.json").write_text(json.dumps(ends) + "\n")
    DATA.mkdir(exist_ok=True)
    metadata = {}
    for name, relation in RELATIONS.items():
        ids = [f"{name}-A{place}" for place in range(len(relation["answers"]))]
        metadata[name] = {
            "templates": relation["templates"],
            "answer_space_ids": ids,
            "answer_space_labels": relation["answers"],
        }
        lines = []
        for number, subject in enumerate(relation["subjects"]):
            row = {"sub_id": f"{name}-S{number}", "sub_label": subject, "sub_aliases": []}
            row |= {"obj_id": ids[number], "obj_label": relation["answers"][number]}
            lines.append(json.dumps(row | {"answer_idx": number}) + "\n")
        (DATA / f"{name}.jsonl").write_text("".join(lines))
    (DATA / "metadata_relations.json").write_text(json.dumps(metadata, indent=1) + "\n")


def make_scores() -> None:
    """Log-likelihoods, numbers of tokens and accuracies, by lm-pub-quiz."""
    from lm_pub_quiz import Dataset, Evaluator

    evaluator = Evaluator.from_model(str(MODEL), model_type="CLM")
    dataset = Dataset.from_path(DATA)
    found = {"rows": [], "accuracy": {}}
    for reduction in ("sum", "mean"):
        results = evaluator.evaluate_dataset(dataset, reduction=reduction, batch_size=8)
        found["accuracy"][reduction] = float(results.get_metrics("accuracy"))
        for result in results:
            for _, row in result.instance_table.iterrows():
                found["rows"].append(
                    {
                        "relation": result.relation_code,
                        "subject": row["sub_label"],
                        "template": int(row["template_index"]),
                        "reduction": reduction,
                        "answer": int(row["answer_idx"]),
                        "scores": [round(float(score), 5) for score in row["pll_scores"]],
                    }
                )
    SCORES.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    {"model": make_model, "scores": make_scores}[sys.argv[1]]()
