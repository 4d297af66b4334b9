"""The ReLU language model of the study: the block of Geva et al. 2021, small, on WikiText-2."""

import io
import pathlib

from closedbook import whole_files
from closedbook.errors import UserError
from closedbook.vocabulary import EOS_ID, PAD_ID

PIECES = 8000  # of the vocabulary
ROWS = 8192  # of the embedding
LENGTH = 256  # tokens per row
BATCH = 8  # rows per step: 2,048 tokens
_TASK = "study_wikitext2"


def vocabulary(text: pathlib.Path, file: pathlib.Path) -> pathlib.Path:
    """A SentencePiece model of WikiText-2's own words and their parts, trained once.

    `<unk>`, which stands in the text for words that WikiText-2 leaves out, is one piece.

    Args:
        text: The training text.
        file: The model to write.
    """
    if file.exists():
        return file
    import sentencepiece

    trained = io.BytesIO()
    with text.open(encoding="utf-8") as lines:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=(line.strip() for line in lines if line.strip()),
            model_writer=trained,
            model_type="unigram",
            vocab_size=PIECES,
            character_coverage=0.9995,
            byte_fallback=True,
            normalization_rule_name="identity",
            pad_id=PAD_ID,
            eos_id=EOS_ID,
            unk_id=2,
            bos_id=-1,
            unk_piece="<never>",  # bytes spell what is no piece
            user_defined_symbols=["<unk>"],
            max_sentence_length=1 << 16,
            num_threads=2,
            minloglevel=2,
        )
    whole_files.write_bytes(file, trained.getvalue())
    return file


def train(
    texts: dict[str, pathlib.Path],
    words: pathlib.Path,
    folder: pathlib.Path,
    *,
    layers: int,
    steps: int,
) -> pathlib.Path:
    """Trains the model with `t5x train`'s own code; a run that was stopped goes on.

    Args:
        texts: Split -> file, "train" and "validation".
        words: The vocabulary.
        folder: MODEL_DIR.
        layers: Of width 256, with 1,024 memories each.
        steps: Of 2,048 tokens.

    Returns:
        The folder.

    Raises:
        UserError: The run was stopped before its last step.
    """
    from closedbook.cli import gin_files
    from closedbook.training.loop import train as run

    files = {_TASK: {split: str(texts[split]) for split in ("train", "validation")}}
    bindings = [
        f"MODEL_DIR = {str(folder)!r}",
        f"tasks.language_model_from_files.files = {files!r}",
        "tasks.language_model_from_files.held_out = 0.0",
        f"MIXTURE_OR_TASK_NAME = {_TASK!r}",
        f"VOCABULARY_FILE = {str(words)!r}",
        "vocabulary.open_vocabulary.extra_ids = 0",
        f"TASK_FEATURE_LENGTHS = {{'targets': {LENGTH}}}",
        f"BATCH_SIZE = {BATCH}",
        f"network.DecoderOnlyConfig.vocab_size = {ROWS}",
        "network.DecoderOnlyConfig.emb_dim = 256",
        "network.DecoderOnlyConfig.num_heads = 4",
        "network.DecoderOnlyConfig.head_dim = 64",
        "network.DecoderOnlyConfig.mlp_dim = 1024",
        f"network.DecoderOnlyConfig.num_layers = {layers}",
        f"network.DecoderOnlyConfig.max_positions = {LENGTH}",
        "network.DecoderOnlyConfig.embedding_scale = 16.0",  # the root of emb_dim
        "DROPOUT_RATE = 0.0",  # no token is seen more than a few times
        "RANDOM_SEED = 0",
        f"TRAIN_STEPS_RELATIVE = {steps}",
        f"SAVE_PERIOD = {max(steps // 20, 1)}",
        f"EVAL_PERIOD = {max(steps // 4, 1)}",
        "EVAL_STEPS = 20",
        f"STATS_PERIOD = {max(steps // 40, 1)}",
        "utils.create_learning_rate_scheduler.factors = "
        "'constant * linear_warmup * rsqrt_normalized_decay'",
        "utils.create_learning_rate_scheduler.base_learning_rate = 0.02",
        "utils.create_learning_rate_scheduler.warmup_steps = 100",
    ]
    files_of_gin = ["models/lm_relu_tiny.gin", "lm_from_files.gin"]
    arguments = gin_files.resolve("train", files_of_gin, bindings)
    result = run(**arguments, config_text=gin_files.config_text())
    if not result.finished:
        raise UserError(f"stopped at step {result.step} of {folder}; run the study again to go on")
    return folder
