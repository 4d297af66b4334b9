"""What lies in a folder in place of weights that can be read, and how those are made of it."""

from collections.abc import Iterable

_SAVE = "with the release of transformers that wrote it (5 reads no such weights): "
_REMEDIES = {
    "weights of TensorFlow alone": (
        ("tf_model.h5", "tf_model-", "saved_model.pb"),
        f"save them as safetensors first, {_SAVE}"
        "T5ForConditionalGeneration.from_pretrained(FOLDER, from_tf=True).save_pretrained(NEW)",
    ),
    "weights of Flax alone": (
        ("flax_model.msgpack", "flax_model-"),
        f"save them as safetensors first, {_SAVE}"
        "T5ForConditionalGeneration.from_pretrained(FOLDER, from_flax=True).save_pretrained(NEW)",
    ),
    "an ONNX export alone": (
        (".onnx", "onnx/"),
        "an export is for inference and cannot be trained or converted; give the model that it "
        "was made of",
    ),
    "an OpenVINO export alone": (
        ("openvino_",),
        "an export is for inference and cannot be trained or converted; give the model that it "
        "was made of",
    ),
}


def adapter(names: Iterable[str]) -> str:
    """What to do about the adapter of PEFT (LoRA and others) that a folder holds; "" without one.

    transformers puts such an adapter onto its base model, even where whole weights lie beside it.

    Args:
        names: Files of the folder.
    """
    found = sorted(name for name in names if name.startswith(("adapter_config.", "adapter_model.")))
    if not found:
        return ""
    return (
        f"holds an adapter of PEFT, such as LoRA ({', '.join(found)}), which is no model without "
        "its base; merge the adapter first: AutoPeftModelForSeq2SeqLM.from_pretrained(FOLDER)"
        ".merge_and_unload().save_pretrained(NEW)"
    )


def other_weights(names: Iterable[str]) -> str:
    """What to do about the weights of other tools that a folder holds; "" without any.

    Args:
        names: Files of the folder, and folders in it, whose names end in "/".
    """
    names = list(names)
    for kind, (signs, remedy) in _REMEDIES.items():
        found = sorted(name for name in names if name.startswith(signs) or name.endswith(signs))
        if found:
            return f"holds {kind} ({', '.join(found[:3])}); {remedy}"
    return ""
