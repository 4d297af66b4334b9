"""Makes model/ and scores.json: what lm-pub-quiz 0.3.3 gives a tiny random BERT.

python tests/golden/lm_pub_quiz_masked/make.py   # where lm-pub-quiz and transformers are
"""

import json
import pathlib

HERE = pathlib.Path(__file__).parent
MODEL, SCORES = HERE / "model", HERE / "scores.json"

WORDS = (
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "capital", "of", "is", "in", ".", ","),
    *("peru", "cuba", "lima", "paris", "rio", "de", "jan", "##eiro", "bu", "##en", "##os", "ai"),
    *("##res", "has", "and", "city"),
)
NAMES = ("Lima", "Paris", "Rio de Janeiro", "Buenos Aires", "Rio")
SUBJECTS = ("Peru", "Janeiro, Cuba")
TEMPLATES = ("the capital of [X] is [Y].", "[Y] is in [X]", "[X] has [Y], and the city is [Y].")
# Our ways beside lm-pub-quiz's metric, and whether it scores the answer's tokens alone.
WAYS = {"sentence": ("within_word_l2r", False), "mask": ("answer_l2r+word_l2r", True)}


def main() -> None:
    import torch
    import transformers
    from lm_pub_quiz import Evaluator

    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
        initializer_range=1.0,
    )
    transformers.BertForMaskedLM(config).save_pretrained(MODEL)
    (MODEL / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    (MODEL / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}\n')
    network = transformers.AutoModelForMaskedLM.from_pretrained(MODEL)
    tokenizer = transformers.AutoTokenizer.from_pretrained(MODEL)
    rows = []
    for way, (metric, alone) in WAYS.items():
        evaluator = Evaluator.from_model(
            network.eval(),
            tokenizer=tokenizer,
            model_type="MLM",
            pll_metric=metric,
            conditional_score=alone,
        )
        # With two places for the answer its metric masks both at once; ours fills the first.
        for template in TEMPLATES if way == "sentence" else TEMPLATES[:2]:
            for subject in SUBJECTS:
                found = evaluator.score_answers(
                    template=template, subject=subject, answers=NAMES, reduction="sum"
                )
                scores = [round(float(score), 5) for score in found]
                rows.append(
                    {"way": way, "template": template, "subject": subject, "scores": scores}
                )
    SCORES.write_text(json.dumps({"names": NAMES, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
