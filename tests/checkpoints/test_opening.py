"""Which checkpoint a path means: told by what lies there, and never chosen in silence."""

import json
import pathlib
import shutil

import pytest
from flax import serialization

from closedbook.checkpoints import Format, open_checkpoint, recognise
from closedbook.checkpoints.convert import Options, convert
from closedbook.checkpoints.opening import find
from closedbook.checkpoints.tensors import nest
from closedbook.errors import UserError


@pytest.fixture(scope="module")
def run(upstream_run) -> pathlib.Path:
    return upstream_run


@pytest.fixture(scope="module")
def every(run, tmp_path_factory) -> dict[Format, pathlib.Path]:
    """A checkpoint of each format, by conversion or upstream's own."""
    folder = tmp_path_factory.mktemp("every")
    found = {Format.T5X: run / "checkpoint_20"}
    found[Format.T5X_ORBAX] = convert(
        run / "checkpoint_20", folder / "orbax", Options(to="t5x-orbax")
    )
    found[Format.HUGGINGFACE] = convert(
        run / "checkpoint_20", folder / "hf", Options(to="huggingface")
    )
    legacy = folder / "checkpoint_3"
    params = {
        name: tensor.read() for name, tensor in open_checkpoint(found[Format.T5X]).params.items()
    }
    state = {"target": nest(params), "state": {"step": 3}}
    legacy.write_bytes(serialization.msgpack_serialize({"optimizer": state, "version": 3}))
    return found | {Format.T5X_LEGACY: legacy}


def test_formats_are_recognised(every):
    for form, path in every.items():
        opened = open_checkpoint(path, newest=False)
        assert opened.format == form
        assert "token_embedder/embedding" in opened.params
    assert open_checkpoint("closedbook://atlas_qa").format == Format.CLOSEDBOOK


def test_parts_of_a_checkpoint_lead_to_it(every):
    for form, inside in (
        (Format.T5X, "checkpoint"),
        (Format.T5X_ORBAX, "state"),
        (Format.HUGGINGFACE, "model.safetensors"),
        (Format.HUGGINGFACE, "config.json"),
    ):
        assert find(every[form] / inside).format == form
    assert find(every[Format.T5X_ORBAX].parent).step == 20  # a folder with one checkpoint in it


def test_a_folder_of_two_checkpoints_is_not_guessed_at(run, every, tmp_path):
    with pytest.raises(UserError) as caught:
        open_checkpoint(run)
    message = str(caught.value)
    assert "holds 2 checkpoints; name one of them" in message
    assert f"{run}/checkpoint_0 (t5x)" in message
    assert f"{run}/checkpoint_20 (t5x)" in message
    both = tmp_path / "both"
    shutil.copytree(every[Format.HUGGINGFACE], both)
    (both / "model.ckpt-5.index").write_bytes(b"")
    with pytest.raises(
        UserError,
        match=r"holds 2 checkpoints[^$]*mesh-tf[^$]*huggingface|"
        r"holds 2 checkpoints[^$]*huggingface[^$]*mesh-tf",
    ):
        open_checkpoint(both)


def test_nothing_and_nonsense_are_told(tmp_path):
    for path, message in (
        (tmp_path / "absent", "no checkpoint at"),
        (tmp_path, "no checkpoint at"),
        ("s3://bucket/model", "unknown scheme"),
        ("closedbook://nothing", "unknown packaged model"),
    ):
        with pytest.raises(UserError, match=message):
            open_checkpoint(path)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(UserError, match=r"no checkpoint at .*notes\.txt"):
        open_checkpoint(tmp_path / "notes.txt")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ("adapter_config.json adapter_model.safetensors", "merge the adapter first: AutoPeft"),
        ("config.json model.safetensors adapter_config.json", "holds an adapter of PEFT"),
        ("config.json tf_model.h5", r"weights of TensorFlow alone \(tf_model\.h5\); save them"),
        ("config.json flax_model.msgpack", r"weights of Flax alone .*from_flax=True"),
        ("config.json encoder_model.onnx decoder_model.onnx", "an ONNX export alone"),
        ("config.json onnx/decoder_model.onnx", r"an ONNX export alone \(onnx/\); an export is"),
        ("config.json openvino_encoder_model.xml", "an OpenVINO export alone"),
    ],
)
def test_what_lies_there_in_place_of_weights_is_told(tmp_path, files, message):
    for name in files.split():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(UserError, match=message) as caught:
        open_checkpoint(tmp_path)
    assert str(caught.value).startswith(str(tmp_path))


def test_a_checkpoint_in_a_bucket_opens_in_place(run, every, buckets):
    for name, source in (("native", run / "checkpoint_20"), ("orbax", every[Format.T5X_ORBAX])):
        for path in source.rglob("*"):
            if path.is_file():
                key = f"bucket/{name}/checkpoint_20/{path.relative_to(source).as_posix()}"
                buckets.objects[key] = path.read_bytes()
        opened = open_checkpoint(f"gs://bucket/{name}/checkpoint_20")
        assert opened.step == 20
        local = open_checkpoint(source)
        key = "decoder/layers_1/mlp/wo/kernel"
        assert (opened.params[key].read() == local.params[key].read()).all()


@pytest.fixture
def own(tmp_path) -> pathlib.Path:
    return convert("closedbook://atlas_qa", tmp_path / "own", Options(to="closedbook")).parent


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("num_encoder_layers", "2", r"model\.json is not a valid model card"),
        (
            "num_encoder_layers",
            2_000_000_000,
            "the encoder has 2000000000 layers; it must have 1 to",
        ),
        ("scan_layers", "yes", r"model\.json is not a valid model card"),
    ],
)
def test_a_card_with_wild_values_is_refused(own, name, value, message):
    card = json.loads((own / "model.json").read_text())
    card["config"][name] = value
    (own / "model.json").write_text(json.dumps(card))
    with pytest.raises(UserError, match=message):
        recognise(open_checkpoint(own))


def test_a_damaged_orbax_tree_is_named(own):
    (own / "checkpoint_1850" / "digests.json").unlink()  # as checkpoints were before
    (own / "checkpoint_1850" / "params" / "_METADATA").write_text("{")
    with pytest.raises(UserError, match=r"params/_METADATA is damaged"):
        open_checkpoint(own)


def test_a_step_that_t5x_cannot_hold_is_refused(own):
    (own / "checkpoint_1850").rename(own / "checkpoint_99999999999")
    with pytest.raises(UserError, match="the step in the name is 99999999999"):
        open_checkpoint(own)
