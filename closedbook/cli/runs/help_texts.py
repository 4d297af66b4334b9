"""What `t5x train|eval|infer --help` says: an example, the macros, the page."""

_SHARED = {
    "MIXTURE_OR_TASK_NAME": "the data, a SeqIO task or mixture",
    "TASK_FEATURE_LENGTHS": "tokens of a row, {'inputs': 128, 'targets': 32}",
    "DATA_DIR": "the folder with the data set's own files; TFDS's without it",
    "VOCABULARY_FILE": "a SentencePiece model",
    "BATCH_SIZE": "rows at once, of all hosts",
}
_CHECKPOINT = {"CHECKPOINT_PATH": "a run's folder, or any checkpoint"}
_MACROS = {
    "train": {
        "MODEL_DIR": "the run's folder; by default runs/, task and gin files",
        "INITIAL_CHECKPOINT_PATH": "what fine-tuning starts from: any T5 checkpoint",
        **_SHARED,
        "TRAIN_STEPS": "the last step, those of the checkpoint counted",
        "TRAIN_STEPS_RELATIVE": "steps after the checkpoint, instead",
        "EVAL_PERIOD": "steps between evaluations",
        "SAVE_PERIOD": "steps between checkpoints",
        "DROPOUT_RATE": "from 0 to below 1",
        "RANDOM_SEED": "drawn once and kept where none is given",
    },
    "eval": {
        **_CHECKPOINT,
        "EVAL_OUTPUT_DIR": "where scores and answers are written",
        "SPLIT": "'test' where none is given",
        **_SHARED,
    },
    "infer": {
        **_CHECKPOINT,
        "INFER_OUTPUT_DIR": "where answers are written",
        "ENGINE": "'jax' where none is given; 'ctranslate2' and 'ctranslate2-int8' need the extra",
        "SPLIT": "'test' where none is given",
        **_SHARED,
    },
}
_RUN = "A run's `config.gin` says what the other macros are; the file for {mode} comes after it."
_FIRST = {
    "train": "Train or fine-tune; run again with the same MODEL_DIR to go on.",
    "eval": "Score a checkpoint on a split.\n\n" + _RUN.format(mode="evaluation"),
    "infer": "Write a checkpoint's answers; run again to go on.\n\n"
    + _RUN.format(mode="inference"),
}
_EXAMPLES = {
    "train": "t5x train --gin_file=nq_small.gin --gin.DATA_DIR=\"'data'\" "
    "--gin.MODEL_DIR=\"'runs/mine'\" --dry_run",
    "eval": "t5x eval --gin_file=runs/mine/config.gin --gin_file=runs/eval.gin "
    "--gin.CHECKPOINT_PATH=\"'runs/mine'\" --gin.EVAL_OUTPUT_DIR=\"'runs/mine/test'\"",
    "infer": "t5x infer --gin_file=runs/mine/config.gin --gin_file=runs/infer.gin "
    "--gin.CHECKPOINT_PATH=\"'runs/mine'\" --gin.INFER_OUTPUT_DIR=\"'runs/mine/answers'\"",
}


def _text(mode: str) -> str:
    macros = "\n".join(f"- `{name}`: {what}" for name, what in _MACROS[mode].items())
    return (
        f"{_FIRST[mode]}\n\nExample:\n\n`{_EXAMPLES[mode]}`\n\n"
        f"Macros, given as `--gin.NAME=VALUE`, texts in quotes of their own:\n\n{macros}\n\n"
        "`t5x files` lists the gin files. What is as in T5X and what is not: docs/t5x.md."
    )


HELP = {mode: _text(mode) for mode in _EXAMPLES}
