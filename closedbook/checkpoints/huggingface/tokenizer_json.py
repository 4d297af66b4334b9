"""Hugging Face's `tokenizer.json` out of a SentencePiece unigram model, and back.

The tokenizer.json of the published T5s differs from SentencePiece in two places, and so do the ids
of those who use it: it puts a blank after every sentinel ("<extra_id_0>." becomes the sentinel,
"▁" and "."), and it drops blanks by splitting at them. What is written here does as SentencePiece
and SeqIO do: only the beginning of a text gets a blank, runs of blanks are made one, and a
sentinel takes the blanks before it. Two things remain that the format cannot say: a sentinel is
found even with no blank before it, and the names of the special tokens ("</s>") are found in text.
"""

import base64
import binascii
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from closedbook.errors import UserError
from closedbook.vocabulary.special import EXTRA_IDS, WORD_START, sentinel, sentinel_number

_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = range(1, 7)  # SentencePiece.Type
_UNIGRAM = 1  # TrainerSpec.ModelType
_PLAIN = ("<pad>", "</s>", "<unk>", "<s>")
_RUNS, _TAIL = " {2,}", r" +\z"  # blanks that remove_extra_whitespaces removes


def from_model(model: Any, place: str, extra_ids: int) -> dict[str, Any]:
    """The content of a tokenizer.json.

    Args:
        model: A SentencePiece ModelProto.
        place: Its file, for messages.
        extra_ids: Sentinels after its pieces; none are added if it holds sentinels itself.

    Raises:
        UserError: The format cannot say what the model does, for example byte-pair encoding.
    """
    trainer, rules = model.trainer_spec, model.normalizer_spec
    kind = trainer.DESCRIPTOR.fields_by_name["model_type"].enum_type.values_by_number
    unfit = [
        (trainer.model_type != _UNIGRAM, f"its type is {kind[trainer.model_type].name}"),
        (trainer.treat_whitespace_as_suffix, "its blanks end words (treat_whitespace_as_suffix)"),
        (not rules.escape_whitespaces, "it does not escape blanks"),
        (any(p.type == _UNUSED for p in model.pieces), "it has unused pieces"),
    ]
    for holds, why in unfit:
        if holds:
            raise UserError(
                f"{place}: {why}, but a Hugging Face tokenizer can be written of SentencePiece "
                "unigram models as T5's alone; convert without a vocabulary"
            )
    vocab, added = [], []
    for number, piece in enumerate(model.pieces):
        which = sentinel_number(piece.piece)
        name = piece.piece if which is None else sentinel(which)
        vocab.append([name, piece.score])
        if which is not None or piece.type in (_UNKNOWN, _CONTROL, _USER_DEFINED):
            added.append(_added(number, name, which is not None, piece.type != _USER_DEFINED))
    if all(sentinel_number(name) is None for name, _ in vocab):
        for number in reversed(range(extra_ids)):
            added.append(_added(len(vocab), sentinel(number), True, True))
            vocab.append([sentinel(number), 0.0])
    normalizers: list[dict[str, Any]] = []
    if rules.precompiled_charsmap:
        charsmap = base64.b64encode(rules.precompiled_charsmap).decode()
        normalizers.append({"type": "Precompiled", "precompiled_charsmap": charsmap})
    if rules.remove_extra_whitespaces:
        for pattern, content in ((_RUNS, " "), (_TAIL, "")):
            replace = {"type": "Replace", "pattern": {"Regex": pattern}, "content": content}
            normalizers.append(replace)
    metaspace = {
        "type": "Metaspace",
        "replacement": WORD_START,
        "prepend_scheme": "first" if rules.add_dummy_prefix else "never",
        "split": not any(WORD_START in piece.piece[1:] for piece in model.pieces),
    }
    decoders = [{"type": "ByteFallback"}] if trainer.byte_fallback else []
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": normalizers} if normalizers else None,
        "pre_tokenizer": metaspace,
        "post_processor": _ending(trainer.eos_piece, [p.piece for p in model.pieces], place),
        "decoder": {"type": "Sequence", "decoders": [*decoders, metaspace]},
        "model": {
            "type": "Unigram",
            "unk_id": next(i for i, p in enumerate(model.pieces) if p.type == _UNKNOWN),
            "vocab": vocab,
            "byte_fallback": trainer.byte_fallback,
        },
    }


def _added(number: int, name: str, takes_blanks: bool, special: bool) -> dict[str, Any]:
    return {
        "id": number,
        "content": name,
        "single_word": False,
        "lstrip": takes_blanks,  # SeqIO's piece is "▁<extra_id_0>", the blank included
        "rstrip": False,
        "normalized": False,
        "special": special,
    }


def _ending(name: str, pieces: list[str], place: str) -> dict[str, Any]:
    """Appends the end of sequence to a text, and to each of a pair."""
    if name not in pieces:
        raise UserError(f"{place} has no end of sequence {name!r}; train it with --eos_id=1")
    end = {"SpecialToken": {"id": name, "type_id": 0}}
    first, second = ({"Sequence": {"id": letter, "type_id": 0}} for letter in "AB")
    return {
        "type": "TemplateProcessing",
        "single": [first, end],
        "pair": [first, end, second, end],
        "special_tokens": {name: {"id": name, "ids": [pieces.index(name)], "tokens": [name]}},
    }


def to_model(data: object, place: str) -> Any:
    """A SentencePiece ModelProto that gives the ids of a tokenizer.json.

    100 sentinels at the end, <extra_id_0> last, are left out, as in T5's own file, where SeqIO
    appends them; any other number stays in the file.

    Args:
        data: The parsed file.
        place: Its path, for messages.

    Raises:
        UserError: It is not a Unigram tokenizer as T5's; the message names the key.
    """
    from sentencepiece import sentencepiece_model_pb2 as model_pb2

    inside = _Reader(place)
    content = inside.mapping(data, "the file")
    tokenizer = inside.mapping(content.get("model"), "model")
    pieces = inside.pieces(tokenizer)
    special = inside.added(content.get("added_tokens") or [], pieces)
    unknown = tokenizer.get("unk_id")
    if not isinstance(unknown, int) or not 0 <= unknown < len(pieces):
        raise inside.refused("model.unk_id", unknown, "it must be the id of the unknown piece")

    model = model_pb2.ModelProto()  # type: ignore[attr-defined]  # generated at import
    trainer, rules = model.trainer_spec, model.normalizer_spec
    if _ends_in_sentinels(pieces, EXTRA_IDS):
        pieces = pieces[:-EXTRA_IDS]
    trainer.model_type, trainer.vocab_size = _UNIGRAM, len(pieces)
    trainer.byte_fallback = tokenizer.get("byte_fallback") is True
    for number, (name, score) in enumerate(pieces):
        kind = _NORMAL
        if number == unknown:
            kind = _UNKNOWN
        elif sentinel_number(name) is not None:
            kind, name = _USER_DEFINED, WORD_START + name.removeprefix(WORD_START)
        elif number in special:
            kind = _CONTROL if special[number] else _USER_DEFINED
        elif trainer.byte_fallback and re.fullmatch("<0x[0-9A-F]{2}>", name):
            kind = _BYTE
        model.pieces.add(piece=name, score=score, type=kind)
    names = {name: number for number, (name, _) in enumerate(pieces)}
    trainer.unk_id, trainer.unk_piece = unknown, pieces[unknown][0]
    trainer.pad_id, trainer.pad_piece = names.get("<pad>", -1), "<pad>"
    trainer.eos_id, trainer.eos_piece = names.get("</s>", -1), "</s>"
    trainer.bos_id = names.get("<s>", -1)

    charsmap, one_blank = inside.normalizer(content.get("normalizer"))
    prefix, splits = inside.pre_tokenizer(content.get("pre_tokenizer"))
    rules.name, rules.precompiled_charsmap = "tokenizer.json", charsmap
    rules.add_dummy_prefix, rules.escape_whitespaces = prefix, True
    rules.remove_extra_whitespaces = one_blank or splits
    return model


def _ends_in_sentinels(pieces: list[tuple[str, float]], count: int) -> bool:
    wanted = [sentinel(number) for number in reversed(range(count))]
    ends = [name.removeprefix(WORD_START) for name, _ in pieces[-count:]] == wanted
    return ends and all(sentinel_number(name) is None for name, _ in pieces[:-count])


def names(data: Any) -> list[str]:
    """The name of each id of a parsed tokenizer.json, added tokens included.

    What is no list of pieces has no names; `to_model` says what is wrong with it.
    """
    model = data.get("model") if isinstance(data, dict) else None
    vocab = model.get("vocab") if isinstance(model, dict) else None
    pairs = vocab if isinstance(vocab, list) else []
    found = [str(pair[0]) for pair in pairs if isinstance(pair, list) and pair]
    for token in _added_tokens(data):
        if token.get("id") == len(found):
            found.append(str(token.get("content")))
    return found


def is_plain(data: Any) -> bool:
    """Whether a SentencePiece model finds in text all that a tokenizer.json finds in it.

    It does where the added tokens are no others than the unknown piece, ends, padding and
    sentinels. transformers cuts a text at any further one before it looks for pieces, and what
    follows begins a word; SentencePiece does neither.
    """
    contents = (token.get("content") for token in _added_tokens(data))
    return all(
        not isinstance(name, str) or name in _PLAIN or sentinel_number(name) is not None
        for name in contents
    )


def _added_tokens(data: Any) -> list[dict[str, Any]]:
    tokens = data.get("added_tokens") if isinstance(data, dict) else None
    return (
        [token for token in tokens if isinstance(token, dict)] if isinstance(tokens, list) else []
    )


class _Reader:
    """Takes values out of a parsed tokenizer.json and says where one is not what it must be."""

    def __init__(self, place: str) -> None:
        self._place = place

    def refused(self, key: str, value: object, why: str) -> UserError:
        shown = repr(value)
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        return UserError(
            f"{self._place}: {key} is {shown}; {why}; put the model's SentencePiece file "
            "(spiece.model) into the folder"
        )

    def mapping(self, value: object, key: str) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise self.refused(key, value, "it must be an object")
        return value

    def pieces(self, tokenizer: Mapping[str, Any]) -> list[tuple[str, float]]:
        kind = tokenizer.get("type", "Unigram")  # files before 2021 have no type
        if kind != "Unigram":
            raise self.refused("model.type", kind, "T5's tokenizers are Unigram")
        vocab = tokenizer.get("vocab")
        if not isinstance(vocab, list) or not vocab:
            raise self.refused("model.vocab", vocab, "it must be a list of [piece, score]")
        pieces = []
        for number, pair in enumerate(vocab):
            match pair:
                case [str(name), int() | float() as score] if _is_text(name) and _is_float32(score):
                    pieces.append((name, float(score)))
                case _:
                    why = "it must be [piece, finite score]"
                    raise self.refused(f"model.vocab[{number}]", pair, why)
        if len({name for name, _ in pieces}) < len(pieces):
            name, times = Counter(name for name, _ in pieces).most_common(1)[0]
            raise self.refused("model.vocab", name, f"it stands there {times} times")
        return pieces

    def added(self, tokens: object, pieces: list[tuple[str, float]]) -> dict[int, bool]:
        """Ids of added tokens and whether each is special; ids past the end are appended."""
        if not isinstance(tokens, list):
            raise self.refused("added_tokens", tokens, "it must be a list")
        special = {}
        for position, token in enumerate(tokens):
            key = f"added_tokens[{position}]"
            token = self.mapping(token, key)
            number, name = token.get("id"), token.get("content")
            if not isinstance(name, str) or not _is_text(name):
                raise self.refused(f"{key}.content", name, "it must be a text")
            if not isinstance(number, int) or not 0 <= number <= len(pieces):
                raise self.refused(
                    f"{key}.id", number, f"the next free id, for {name!r}, is {len(pieces)}"
                )
            if number == len(pieces):
                pieces.append((name, 0.0))
            elif pieces[number][0].removeprefix(WORD_START) != name.removeprefix(WORD_START):
                why = f"that is the piece {pieces[number][0]!r}, not {name!r}"
                raise self.refused(f"{key}.id", number, why)
            special[number] = token.get("special") is not False
        return special

    def normalizer(self, value: object) -> tuple[bytes, bool]:
        """The character map and whether runs of blanks are made one."""
        charsmap, one_blank = b"", False
        for key, step in self._steps(value, "normalizer", "normalizers"):
            kind = step.get("type")
            if kind == "Precompiled" and not charsmap:
                try:
                    charsmap = base64.b64decode(
                        str(step.get("precompiled_charsmap")), validate=True
                    )
                except (binascii.Error, ValueError) as error:
                    raise self.refused(f"{key}.precompiled_charsmap", error, "not base64") from None
            elif kind == "Replace" and step.get("pattern") in ({"Regex": _RUNS}, {"Regex": _TAIL}):
                one_blank = True
            elif kind != "Strip":
                raise self.refused(f"{key}.type", kind, "SentencePiece knows no such step")
        return charsmap, one_blank

    def pre_tokenizer(self, value: object) -> tuple[bool, bool]:
        """Whether a text gets a blank at its beginning, and whether it is split at blanks."""
        prefix = splits = False
        for key, step in self._steps(value, "pre_tokenizer", "pretokenizers"):
            kind = step.get("type")
            if kind == "WhitespaceSplit":
                splits = True
            elif kind == "Metaspace" and step.get("replacement", WORD_START) == WORD_START:
                old = "always" if step.get("add_prefix_space", True) else "never"
                prefix = step.get("prepend_scheme", old) != "never"
            else:
                raise self.refused(f"{key}.type", kind, "T5's are WhitespaceSplit and Metaspace")
        return prefix, splits

    def _steps(self, value: object, key: str, parts: str) -> list[tuple[str, Mapping[str, Any]]]:
        """The steps of a (possibly nested) sequence, each with its key."""
        if value is None:
            return []
        step = self.mapping(value, key)
        if step.get("type") != "Sequence":
            return [(key, step)]
        inner = step.get(parts)
        if not isinstance(inner, list):
            raise self.refused(f"{key}.{parts}", inner, "it must be a list")
        steps = []
        for number, each in enumerate(inner):
            steps += self._steps(each, f"{key}.{parts}[{number}]", parts)
        return steps


def _is_text(name: str) -> bool:
    """Whether SentencePiece can hold it: JSON may have half characters."""
    return bool(name) and not any("\ud800" <= c <= "\udfff" for c in name)


def _is_float32(score: float) -> bool:
    """Whether SentencePiece can hold it."""
    return not isinstance(score, bool) and -3.4e38 < score < 3.4e38
