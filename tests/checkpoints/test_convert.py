"""Conversions between the formats: the same bits on every way, and targets whole or absent."""

import collections
import dataclasses
import io
import json
import pathlib
import shutil

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
import sentencepiece

from closedbook.checkpoints import Checkpoint, CheckpointStore, Tensor, open_checkpoint, recognise
from closedbook.checkpoints.convert import Options, convert, plan
from closedbook.checkpoints.files.orbax import write_arrays
from closedbook.checkpoints.huggingface.folders import write_huggingface
from closedbook.checkpoints.layouts import arranged, converted
from closedbook.checkpoints.opening import published_prefix
from closedbook.checkpoints.t5x.native import write_t5x
from closedbook.checkpoints.tensors import nest
from closedbook.errors import UserError


def _vocabulary(path: pathlib.Path, pieces: int) -> pathlib.Path:
    words = (f"w{a}{b}{c}" for a in "abcdefghij" for b in "abcdefghij" for c in "abcdefghij")
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(f"{word} {word[::-1]} question answer" for word in words),
        model_writer=model,
        vocab_size=pieces,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    path.write_bytes(model.getvalue())
    return path


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory) -> pathlib.Path:
    """A vocabulary of at most 1,152 ids, the rows of the models here."""
    return _vocabulary(tmp_path_factory.mktemp("vocabulary") / "words.model", 300)


def _same(one, other) -> None:
    for name in ("params", "slots"):
        ours, theirs = getattr(one, name), getattr(other, name)
        assert ours.keys() == theirs.keys()
        for key, tensor in ours.items():
            found, wanted = tensor.read(), theirs[key].read()
            assert found.dtype == wanted.dtype
            np.testing.assert_array_equal(found, wanted, err_msg=key)
    assert one.step == other.step


@pytest.mark.parametrize("factored", [False, True])
def test_every_format_carries_parameters_and_optimizer_state(
    upstream_run, factored_checkpoint, factored, vocabulary, tmp_path
):
    """Native, Orbax, closedbook scanned, native scanned, native: bits, step and state stay."""
    route = [
        *(("t5x-orbax", "auto"), ("closedbook", "scanned"), ("closedbook", "auto")),
        *(("t5x", "scanned"), ("t5x", "auto")),
    ]
    first = factored_checkpoint if factored else upstream_run / "checkpoint_20"
    path = first
    for i, (to, layers) in enumerate(route):
        options = Options(to=to, layers=layers, vocabulary=vocabulary)
        path = convert(path, tmp_path / str(i), options)
        assert path == tmp_path / str(i) / "checkpoint_20"
    _same(open_checkpoint(path), open_checkpoint(first))
    assert (path / "checkpoint").read_bytes() == (first / "checkpoint").read_bytes()
    scanned = open_checkpoint(tmp_path / "1")
    assert scanned.card.config.scan_layers
    wide = scanned.card.config.emb_dim
    assert scanned.params["encoder/layers/mlp/wo/kernel"].shape == (2 * wide, 2, wide)
    assert scanned.updates == 20


def test_orbax_itself_restores_what_is_written(factored_checkpoint, tmp_path):
    """As T5X does: the manager's handlers find the state, and its numbers are upstream's."""
    convert(factored_checkpoint, tmp_path / "out", Options(to="t5x-orbax"))
    handlers = {"state": ocp.PyTreeCheckpointHandler(use_ocdbt=True)}
    manager = ocp.CheckpointManager(
        tmp_path / "out",
        item_handlers=handlers,
        options=ocp.CheckpointManagerOptions(step_prefix="checkpoint"),
    )
    assert manager.all_steps() == [20]
    source = open_checkpoint(factored_checkpoint)
    flat = {f"target/{name}": tensor for name, tensor in source.params.items()}
    flat |= {f"state/param_states/{name}": tensor for name, tensor in source.slots.items()}
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    item = nest({k: jax.ShapeDtypeStruct(t.shape, t.dtype) for k, t in flat.items()})
    item["state"]["step"] = jax.ShapeDtypeStruct((), np.int32)
    restored = manager.restore(
        20,
        args=ocp.args.Composite(
            state=ocp.args.PyTreeRestore(
                item,
                restore_args=jax.tree.map(lambda _: ocp.ArrayRestoreArgs(sharding=device), item),
            )
        ),
    )["state"]
    manager.close()
    assert int(restored["state"]["step"]) == 20
    wanted = nest({name: tensor.read() for name, tensor in flat.items()})
    jax.tree.map(np.testing.assert_array_equal, restored["target"], wanted["target"])
    jax.tree.map(
        np.testing.assert_array_equal,
        restored["state"]["param_states"],
        wanted["state"]["param_states"],
    )


def test_what_orbax_writes_under_t5x_s_names_is_read(tmp_path, factored_checkpoint):
    source = open_checkpoint(factored_checkpoint)
    state = {
        "target": nest({name: tensor.read() for name, tensor in source.params.items()}),
        "state": {
            "step": np.int32(20),
            "param_states": nest({name: tensor.read() for name, tensor in source.slots.items()}),
        },
    }
    manager = ocp.CheckpointManager(
        tmp_path, options=ocp.CheckpointManagerOptions(step_prefix="checkpoint")
    )
    state = jax.tree.map(jax.numpy.asarray, state)
    manager.save(20, args=ocp.args.Composite(state=ocp.args.PyTreeSave(state)))
    manager.close()
    _same(open_checkpoint(tmp_path / "checkpoint_20"), source)
    _same(open_checkpoint(tmp_path), source)


def test_numbers_are_converted_but_never_the_accumulators(factored_checkpoint, tmp_path):
    written = convert(factored_checkpoint, tmp_path / "half", Options(to="t5x", dtype="bfloat16"))
    found, source = open_checkpoint(written), open_checkpoint(factored_checkpoint)
    name = "encoder/layers_0/mlp/wo/kernel"
    assert found.params[name].read().dtype == jax.numpy.bfloat16
    np.testing.assert_array_equal(
        found.params[name].read(), source.params[name].read().astype(jax.numpy.bfloat16)
    )
    assert {tensor.dtype for tensor in found.slots.values()} == {np.dtype(np.float32)}


def test_a_state_is_dropped_only_where_it_is_said(factored_checkpoint, vocabulary, tmp_path):
    options = Options(to="closedbook", optimizer="drop", vocabulary=vocabulary)
    assert "optimiser state: dropped as asked" in plan(factored_checkpoint, options).notes
    written = convert(factored_checkpoint, tmp_path / "own", options)
    assert not (written / "optimizer").exists()
    notes = plan(written, Options(to="t5x")).notes
    assert "optimiser state: the source has none" in notes
    hugging = plan(factored_checkpoint, Options(to="huggingface")).notes
    assert "optimiser state: dropped (huggingface has no place for it)" in hugging


def test_another_optimizers_state_is_dropped_only_on_demand(
    factored_checkpoint, vocabulary, tmp_path
):
    written = convert(
        factored_checkpoint, tmp_path / "own", Options(to="closedbook", vocabulary=vocabulary)
    )
    store = CheckpointStore(tmp_path / "adam", asynchronous=False)
    params = nest({k: t.read() for k, t in open_checkpoint(written).params.items()})
    store.save(3, params=params, opt_state={"mu": params, "nu": params}, run={})
    store.close()
    adam = tmp_path / "adam" / "checkpoint_3"
    with pytest.raises(UserError, match=r"another optimiser than Adafactor.*--optimizer drop"):
        plan(adam, Options(to="t5x"))
    assert plan(adam, Options(to="t5x", optimizer="drop")).result.slots is None


def test_an_interrupted_conversion_leaves_nothing(factored_checkpoint, tmp_path):
    def interrupt(nbytes: int) -> None:
        raise KeyboardInterrupt

    for to in ("t5x", "t5x-orbax", "huggingface"):
        with pytest.raises(KeyboardInterrupt):
            convert(factored_checkpoint, tmp_path / to, Options(to=to), progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_source_is_named_and_nothing_is_written(factored_checkpoint, tmp_path):
    """A truncated chunk, a missing one, and a truncated file of Orbax's database."""
    name = "target.encoder.layers_0.mlp.wo.kernel"
    for damage in ("truncated", "missing"):
        copy = convert(factored_checkpoint, tmp_path / damage, Options(to="t5x-orbax"))
        chunk = copy / "state" / name / "0.0"
        data = chunk.read_bytes()
        chunk.unlink()
        if damage == "truncated":
            chunk.write_bytes(data[: len(data) // 2])
        with pytest.raises(UserError, match=rf"checkpoint_20 is damaged: state/{name}/0\.0 "):
            convert(copy, tmp_path / "out", Options(to="huggingface"))
        (copy / "digests.json").unlink()  # as another program's checkpoint
        with pytest.raises(UserError, match=rf"checkpoint_20/state: {name}"):
            convert(copy, tmp_path / "out", Options(to="huggingface"))
    database = tmp_path / "database" / "checkpoint_1850"
    shutil.copytree(open_checkpoint("closedbook://atlas_qa").path, database)
    (database / "digests.json").unlink()  # as closedbook wrote them before there were any
    data = max((database / "params").glob("**/d/*"), key=lambda path: path.stat().st_size)
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    with pytest.raises(UserError, match=r"checkpoint_1850.*params.* cannot be read"):
        convert(database, tmp_path / "out", Options(to="huggingface"))
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]


def test_the_file_of_an_error_is_named_whether_it_is_read_or_written(
    factored_checkpoint, tmp_path, monkeypatch
):
    out, chunk = tmp_path / "out", factored_checkpoint / "chunk"
    for place, message in (
        (lambda new: chunk, f"{chunk} cannot be read: Input/output error; {out} is not made"),
        (lambda new: new / "state", rf"{out} cannot be made: /.*/state: Input/output error"),
        (lambda new: None, rf"{out} cannot be made: Input/output error"),
    ):

        def fail(new: pathlib.Path, checkpoint: Checkpoint, place=place) -> None:
            raise OSError(5, "Input/output error", place(new))

        monkeypatch.setattr("closedbook.checkpoints.convert.write_t5x", fail)
        with pytest.raises(UserError, match=f"^{message}$"):
            convert(factored_checkpoint, out, Options(to="t5x"))
    assert list(tmp_path.iterdir()) == []


def test_a_vocabulary_of_another_size_is_refused(factored_checkpoint, vocabulary_file, tmp_path):
    other = vocabulary_file
    message = r"has 2100 ids, extra ids included, but the embedding has 1152 rows .*another model"
    with pytest.raises(UserError, match=message):
        convert(factored_checkpoint, tmp_path / "out", Options(to="closedbook", vocabulary=other))
    with pytest.raises(UserError, match=r"comes without a vocabulary.*--vocabulary FILE"):
        plan(factored_checkpoint, Options(to="closedbook"))
    broken = tmp_path / "broken.model"
    broken.write_bytes(b"not a model")
    with pytest.raises(UserError, match=r"broken\.model is not a SentencePiece model"):
        plan(factored_checkpoint, Options(to="closedbook", vocabulary=broken))


def test_a_vocabulary_that_the_card_names_may_be_much_smaller_than_the_embedding(tmp_path):
    """As after training on an own vocabulary with T5's 32,128 rows."""
    source = open_checkpoint("closedbook://atlas_qa")
    config = dataclasses.replace(source.card.config, vocab_size=32128)
    rows = np.zeros((32128, config.emb_dim), np.float32)
    embedding = Tensor.of(rows, "embedding")
    params = {**source.params, "token_embedder/embedding": embedding}
    wide = dataclasses.replace(source, params=params, config=config)
    (tmp_path / "checkpoint_1").mkdir()
    write_arrays(tmp_path / "checkpoint_1" / "params", wide.params)
    dataclasses.replace(source.card, config=config).write(tmp_path, source.vocabulary)
    assert plan(tmp_path / "checkpoint_1", Options(to="t5x")).result.prefix == "atlas question: "
    options = Options(to="t5x", vocabulary=source.vocabulary)
    with pytest.raises(UserError, match="it is another model's vocabulary"):
        plan(tmp_path / "checkpoint_1", options)


def test_missing_extra_and_misshapen_tensors_are_listed_together(factored_checkpoint):
    whole = open_checkpoint(factored_checkpoint)
    params = dict(whole.params)
    del params["decoder/decoder_norm/scale"]
    params["encoder/layers_0/attention/rogue/kernel"] = params["encoder/encoder_norm/scale"]
    params["decoder/layers_1/mlp/wo/kernel"] = params["decoder/layers_1/mlp/wi_0/kernel"]
    with pytest.raises(UserError) as caught:
        recognise(dataclasses.replace(whole, params=params))
    message = str(caught.value)
    assert "missing: decoder/decoder_norm/scale (128,)" in message
    assert "extra: encoder/layers_0/attention/rogue/kernel (128,) (" in message
    assert "other shape: decoder/layers_1/mlp/wo/kernel is (128, 256), the model has" in message
    assert f"({factored_checkpoint}/" in message  # where the tensor lies


def test_steps_and_shards_are_the_users_choice(factored_checkpoint, tmp_path):
    assert (
        convert(factored_checkpoint, tmp_path / "t", Options(to="t5x", step=7)).name
        == "checkpoint_7"
    )
    options = Options(to="huggingface", max_shard_bytes=1_000_000)
    convert(factored_checkpoint, tmp_path / "shards", options)
    files = sorted((tmp_path / "shards").glob("model-*.safetensors"))
    assert len(files) > 2
    assert all(path.stat().st_size <= 1_100_000 for path in files)
    index = json.loads((tmp_path / "shards" / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"].values()) == {path.name for path in files}
    for bad, message in (
        ({"to": "torch"}, "'torch'"),
        ({"to": "t5x", "dtype": "int8"}, "'int8'"),
        ({"to": "huggingface", "layers": "scanned"}, "no scanned layers"),
        ({"to": "t5x", "step": -1}, "step is -1"),
        ({"to": "t5x", "step": 2**31}, "step is 2147483648"),
        ({"to": "t5x", "extra_ids": 10}, "extra ids belong to a vocabulary"),
        ({"to": "t5x", "extra_ids": -5, "vocabulary": pathlib.Path("v")}, "extra ids are -5"),
        ({"to": "huggingface", "max_shard_bytes": 0}, "a shard of 0 bytes"),
    ):
        with pytest.raises(UserError, match=message):
            Options(**bad)


def test_what_shapes_do_not_tell_is_kept_beside_t5x_checkpoints(
    vocabulary, factored_checkpoint, tmp_path
):
    """Prefix, sentinels, activations and the furthest relative position."""
    hugging = convert(factored_checkpoint, tmp_path / "hf", Options(to="huggingface"))
    config = json.loads((hugging / "config.json").read_text())
    config |= {"relative_attention_max_distance": 64, "feed_forward_proj": "gated-silu"}
    config |= {"dense_act_fn": "silu"}
    (hugging / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        UserError,
        match=r"mlp_activations \('silu', 'linear'\) .*, relpos_max_distance 64 .*, which t5x does",
    ):
        plan(hugging, Options(to="t5x"))
    for to in ("t5x", "t5x-orbax"):
        options = Options(to=to, vocabulary=vocabulary, extra_ids=7, prefix="quiz: ")
        opened = open_checkpoint(convert(hugging, tmp_path / to, options))
        assert opened.config.mlp_activations == ("silu", "linear")
        assert opened.config.relpos_max_distance == 64
        assert (opened.extra_ids, opened.prefix) == (7, "quiz: ")
        assert opened.vocabulary.read_bytes() == vocabulary.read_bytes()


def test_published_names_tell_the_prefix():
    for name, prefix in (
        ("hf://google/t5-11b-ssm-nqo", "nq question: "),
        ("hf://me/T5-small-SSM-wq@main", "wq question: "),
        ("gs://t5-data/pretrained_models/cbqa/small_ssm_tqa/model.ckpt-1110000", "trivia_qa q"),
        ("/data/my-ssm-nq-runs/t5_small/checkpoint_5", None),
        ("hf://google/t5-small-ssm", None),
    ):
        found = published_prefix(name)
        assert found is None if prefix is None else str(found).startswith(prefix)


def test_numbers_too_large_for_float16_are_refused_with_their_tensor(factored_checkpoint, tmp_path):
    source = open_checkpoint(factored_checkpoint)
    name = "encoder/encoder_norm/scale"
    large = Tensor.of(np.full((128,), 1e30, np.float32), "file: scale")
    changed = converted({**source.params, name: large}, np.dtype(np.float16))
    with pytest.raises(UserError, match=r"file: scale has numbers that float16 cannot hold"):
        changed[name].read()
    assert changed["decoder/decoder_norm/scale"].read().dtype == np.float16


def test_a_stack_is_read_once_for_all_its_layers(factored_checkpoint, vocabulary, tmp_path):
    options = Options(to="closedbook", layers="scanned", vocabulary=vocabulary)
    scanned = convert(factored_checkpoint, tmp_path / "scanned", options)
    opened = open_checkpoint(scanned)
    reads = collections.Counter()

    def counted(name: str, tensor: Tensor) -> Tensor:
        def load(index):
            reads[name] += 1
            return tensor.read(index)

        return dataclasses.replace(tensor, load=load)

    params = {name: counted(name, tensor) for name, tensor in opened.params.items()}
    layers = arranged(dataclasses.replace(opened, params=params, slots=None), scanned=False)
    (tmp_path / "t5x").mkdir()
    write_t5x(tmp_path / "t5x", layers)
    (tmp_path / "hf").mkdir()
    write_huggingface(tmp_path / "hf", layers, dataclasses.replace(recognise(layers)))
    stacks = [count for name, count in reads.items() if "/layers/" in name]
    assert stacks
    assert set(stacks) == {2}  # one read for each of the two formats
