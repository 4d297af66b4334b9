"""Answers per second on a CPU, beside transformers and CTranslate2, on real questions.

    python -m benchmarks.decoding --questions NQ-open.dev.jsonl --vocabulary spiece.model
        [--size t5_1_1_small] [--beams 1] [--one] [--rounds 7] [--only NAME,...] [--out FILE.json]

A random T5 answers questions with 16 tokens each; its EOS is so improbable that no answer ends
early, so all ways do the same number of steps and answer the same questions. Inputs are the
questions as fine-tuning on NQ reads them ("nq question: ..."). Of ours, texts of like length share
a batch of 64 and are padded to its bucket; of transformers', sorted ("at its best") or in the
file's order ("as it comes"), padded to the longest of a batch. `--one` asks one question at a
time. Rounds of all ways are interleaved; medians of seconds by the clock, and of the ratios within
a round, least and most in brackets. Greedy answers of float32 are compared token by token.
"""

import argparse
import dataclasses
import datetime
import functools
import json
import os
import pathlib
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from closedbook.inference import DecodeSettings, Predictor
from closedbook.models import T5, T5Config, precision, size

OUTPUTS, BATCH = 16, 64
PREFIX = "nq question: "
Ids = list[list[int]]
Way = Callable[[Ids], Sequence[Sequence[int]]]


class _Numbers:
    """A vocabulary without words: texts are ids, written as numbers."""

    def encode_batch(self, texts: Sequence[str]) -> Ids:
        return [[int(number) for number in text.split()] for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        return " ".join(map(str, ids))


def endless(config: T5Config) -> Any:
    """Random parameters with which no answer ends: EOS's logit is 0, the largest is far above."""
    example = np.ones((1, 2), np.int32)
    params = nn.meta.unbox(jax.jit(T5(config).init)(jax.random.key(0), example, example)["params"])
    if config.logits_via_embedding:
        embedding = params["token_embedder"]["embedding"]
        params["token_embedder"]["embedding"] = embedding.at[1].set(0.0)
    else:
        kernel = params["decoder"]["logits_dense"]["kernel"]
        params["decoder"]["logits_dense"]["kernel"] = kernel.at[:, 1].set(0.0)
    return jax.block_until_ready(params)


def settings_of(beams: int) -> DecodeSettings:
    """Greedy, or a beam search by the rules of transformers, which the peers share."""
    if beams == 1:
        return DecodeSettings(max_decode_length=OUTPUTS)
    return DecodeSettings(
        method="beam",
        num_beams=beams,
        beam_rules="huggingface",
        alpha=1.0,
        max_decode_length=OUTPUTS,
    )


def ours(config: T5Config, params: Any, beams: int, batch: int, *, packs: bool = True) -> Way:
    """By JAX."""
    found = Predictor(
        T5(config),
        _Numbers(),
        settings=settings_of(beams),
        batch_size=batch,
        sets_aside=True,
        packs=packs,
    )
    return lambda inputs: [each.tokens for each in found.predict_tokens(params, inputs)]


def transformers_(
    config: T5Config, params: Any, beams: int, batch: int, *, ordered: bool, dtype: str, kernel: str
) -> Way:
    """By `generate` of transformers with torch."""
    import torch
    from transformers import T5Config as TheirConfig
    from transformers import T5ForConditionalGeneration

    from closedbook.checkpoints.huggingface.names import to_theirs
    from closedbook.checkpoints.tensors import flatten

    theirs = TheirConfig(
        vocab_size=config.vocab_size,
        d_model=config.emb_dim,
        d_kv=config.head_dim,
        d_ff=config.mlp_dim,
        num_layers=config.num_encoder_layers,
        num_decoder_layers=config.num_decoder_layers,
        num_heads=config.num_heads,
        feed_forward_proj="gated-gelu" if len(config.mlp_activations) > 1 else "relu",
        tie_word_embeddings=config.logits_via_embedding,
        decoder_start_token_id=0,
        attn_implementation=kernel,
    )
    # Its constructor ties them whatever is asked, as of version 5.
    theirs.tie_word_embeddings = config.logits_via_embedding
    model = T5ForConditionalGeneration(theirs).eval()
    state = {}
    for name, value in flatten(params, leaf=lambda node: False).items():
        turned = name.endswith(("kernel", "rel_embedding"))
        array = np.array(value).T if turned else np.array(value)
        state[to_theirs(name)] = torch.tensor(np.ascontiguousarray(array))
    for stack in ("encoder", "decoder"):
        state[f"{stack}.embed_tokens.weight"] = state["shared.weight"]
    if config.logits_via_embedding:
        state["lm_head.weight"] = state["shared.weight"]
    model.load_state_dict(state)
    model = model.to(getattr(torch, dtype))

    def answer(inputs: Ids) -> Sequence[Sequence[int]]:
        order = list(range(len(inputs)))
        if ordered:
            order.sort(key=lambda number: len(inputs[number]))
        out: list[Any] = [None] * len(inputs)
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            width = max(len(inputs[number]) for number in chosen)
            rows = torch.zeros((len(chosen), width), dtype=torch.long)
            for row, number in zip(rows, chosen, strict=True):
                row[: len(inputs[number])] = torch.tensor(inputs[number])
            with torch.inference_mode():
                found = model.generate(
                    input_ids=rows,
                    attention_mask=(rows > 0).long(),
                    max_new_tokens=OUTPUTS,
                    num_beams=beams,
                    do_sample=False,
                )
            for number, row in zip(chosen, found[:, 1:].tolist(), strict=True):
                out[number] = row
        return out

    return answer


def ctranslate2_(config: T5Config, params: Any, beams: int, batch: int, *, kind: str) -> Way:
    """By CTranslate2, from our parameters."""
    from closedbook.checkpoints.ctranslate2_folders import folder_of
    from closedbook.inference.ctranslate2_predictor import CTranslate2Predictor, opened

    settings = (
        settings_of(beams)
        if beams == 1
        else DecodeSettings(method="beam", num_beams=beams, alpha=1.0, max_decode_length=OUTPUTS)
    )
    model = opened(folder_of(config, params, kind))
    found = CTranslate2Predictor(
        T5(config), _Numbers(), opened=lambda params: model, settings=settings, batch_size=batch
    )
    return lambda inputs: [each.tokens for each in found.predict_tokens(params, inputs)]


def ways_of(config: T5Config, params: Any, beams: int, batch: int) -> dict[str, Callable[[], Way]]:
    """By name, what makes each way ready."""
    given = (config, params, beams, batch)
    narrow = dataclasses.replace(config, dtype=precision.OPERANDS)
    ways: dict[str, Callable[[], Way]] = {
        "ours float32": functools.partial(ours, *given),
        "ours bf16_bf16_f32": functools.partial(ours, narrow, *given[1:]),
        "ctranslate2 float32": functools.partial(ctranslate2_, *given, kind="float32"),
        "ctranslate2 int8": functools.partial(ctranslate2_, *given, kind="int8"),
    }
    for kernel in ("eager", "sdpa"):
        for ordered in (True, False) if batch > 1 else (True,):
            name = f"transformers {kernel} float32{'' if ordered else ', as it comes'}"
            ways[name] = functools.partial(
                transformers_, *given, ordered=ordered, dtype="float32", kernel=kernel
            )
    ways["transformers eager bfloat16"] = functools.partial(
        transformers_, *given, ordered=True, dtype="bfloat16", kernel="eager"
    )
    return ways


def main() -> None:
    """Prints a line per way: seconds, tokens per second, and the ratio to ours in float32."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=pathlib.Path, required=True, help="JSON lines")
    parser.add_argument("--vocabulary", type=pathlib.Path, required=True, help="SentencePiece")
    parser.add_argument("--size", default="t5_1_1_small", help="a published size, or 'tiny'")
    parser.add_argument("--beams", type=int, default=1)
    parser.add_argument("--number", type=int, default=128, help="questions of a round")
    parser.add_argument("--one", action="store_true", help="one question at a time")
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds of each way")
    parser.add_argument("--only", default="", help="beginnings of names of ways, with commas")
    parser.add_argument("--out", type=pathlib.Path, help="a JSON file for the figures")
    options = parser.parse_args()
    config = _config(options.size)
    params = endless(config)
    inputs = _inputs(options.questions, options.vocabulary, options.number)
    only = tuple(name for name in options.only.split(",") if name)
    ready: dict[str, Way] = {}
    answers = {}
    for name, make in ways_of(config, params, options.beams, 1 if options.one else BATCH).items():
        if only and not name.startswith(only):
            continue
        began = time.monotonic()
        ready[name] = make()
        answers[name] = [list(row) for row in ready[name](inputs)]
        assert all(1 not in row and len(row) == OUTPUTS for row in answers[name]), name
        print(f"{name}: ready after {time.monotonic() - began:.0f} s", flush=True)
    seconds: dict[str, list[float]] = {name: [] for name in ready}
    processor: dict[str, list[float]] = {name: [] for name in ready}
    for _ in range(options.rounds):
        for name, way in ready.items():
            began, worked = time.perf_counter(), time.process_time()
            way(inputs)
            seconds[name].append(time.perf_counter() - began)
            processor[name].append(time.process_time() - worked)
    rows = _table(seconds, processor, answers, len(inputs))
    if options.out:
        options.out.write_text(json.dumps(_record(options, inputs, rows), indent=1) + "\n")


def _config(name: str) -> T5Config:
    if name == "tiny":
        small = size("t5_1_1_small")
        return dataclasses.replace(
            small,
            emb_dim=128,
            num_heads=4,
            head_dim=32,
            mlp_dim=256,
            num_encoder_layers=2,
            num_decoder_layers=2,
            dropout_rate=0.0,
        )
    return dataclasses.replace(size(name), dropout_rate=0.0)


def _inputs(questions: pathlib.Path, vocabulary: pathlib.Path, number: int) -> Ids:
    from closedbook.checkpoints.vocabularies import open_vocabulary

    texts = [json.loads(line)["question"] for line in questions.read_text().splitlines()]
    chosen = texts[:: max(1, len(texts) // number)][:number]
    ids = open_vocabulary(vocabulary, None).encode_batch([PREFIX + text for text in chosen])
    return [[*row, 1] for row in ids]


def _table(
    seconds: dict[str, list[float]],
    processor: dict[str, list[float]],
    answers: dict[str, Any],
    number: int,
) -> list[dict[str, Any]]:
    first = next(iter(seconds))
    rows = []
    for name, taken in seconds.items():
        ratios = [other / one for one, other in zip(seconds[first], taken, strict=True)]
        row = {
            "way": name,
            "seconds": statistics.median(taken),
            "processor_seconds": statistics.median(processor[name]),
            "tokens_per_second": number * OUTPUTS / statistics.median(taken),
            f"times_{first}": statistics.median(ratios),
            "least": min(ratios),
            "most": max(ratios),
            "equal_answers": sum(
                a == b for a, b in zip(answers[first], answers[name], strict=True)
            ),
        }
        rows.append(row)
        print(
            f"{name:40} {row['seconds']:7.3f} s (processor {row['processor_seconds']:.3f}) "
            f"{row['tokens_per_second']:7.0f} tokens/s  "
            f"{statistics.median(ratios):.2f} times {first}'s [{min(ratios):.2f}, "
            f"{max(ratios):.2f}]  equal answers {row['equal_answers']} of {number}",
            flush=True,
        )
    return rows


def _record(options: argparse.Namespace, inputs: Ids, rows: list[dict[str, Any]]) -> dict[str, Any]:
    import importlib.metadata as installed

    features = precision.processor_features() & {"avx2", "avx512f", *precision.FAST_PRODUCTS}
    versions = {}
    for package in ("jax", "torch", "transformers", "ctranslate2"):
        try:
            versions[package] = installed.version(package)
        except installed.PackageNotFoundError:
            continue
    return {
        "date": datetime.date.today().isoformat(),
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "features": sorted(features),
        "load": os.getloadavg(),
        "versions": versions,
        "size": options.size,
        "beams": options.beams,
        "questions": len(inputs),
        "mean_input_tokens": statistics.mean(map(len, inputs)),
        "at_once": 1 if options.one else BATCH,
        "rounds": options.rounds,
        "ways": rows,
    }


if __name__ == "__main__":
    main()
