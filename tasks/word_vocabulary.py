"""A SentencePiece vocabulary for a small closed world, in which nearly every name is one piece.

SentencePiece's unigram trainer prunes by likelihood and would spell out many names in a small
text; a name in one piece is what a small model learns best. So the trained subword pieces serve
the words of the outside world, and every word of the text itself that is not rare is added as a
piece with its log-frequency.
"""

import collections
import io
import math
import unicodedata
from collections.abc import Iterable

from closedbook.vocabulary import EOS_ID, PAD_ID

_EDGES = ".,?!;:"


def train(text: Iterable[str], *, subwords: int, fewest: int = 3) -> bytes:
    """The serialised model; the same text gives the same bytes.

    T5's layout: pad 0, end 1, unknown 2, no start. It holds no sentinels, since SeqIO appends
    them. Rare characters fall back to bytes.

    Args:
        text: Lines.
        subwords: Pieces that SentencePiece trains.
        fewest: How often a word must occur to be a piece.
    """
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2

    lines = list(text)
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=trained,
        model_type="unigram",
        vocab_size=subwords,
        character_coverage=1.0,
        byte_fallback=True,
        normalization_rule_name="nmt_nfkc",
        pad_id=PAD_ID,
        eos_id=EOS_ID,
        unk_id=2,
        bos_id=-1,
        num_threads=1,  # the order of additions decides the last digits
        shuffle_input_sentence=False,
        minloglevel=2,
    )
    model = sentencepiece_model_pb2.ModelProto.FromString(  # type: ignore[attr-defined]
        trained.getvalue()
    )
    counts = collections.Counter(
        "\u2581" + word.strip(_EDGES) if word[0] != "." else "\u2581" + word.rstrip(_EDGES)
        for line in lines
        for word in unicodedata.normalize("NFKC", line).split()
        if word.strip(_EDGES)
    )
    known = {piece.piece for piece in model.pieces}
    total = sum(counts.values())
    for word, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if word not in known and count >= fewest:
            model.pieces.add(piece=word, score=math.log(count / total))
    model.trainer_spec.vocab_size = len(model.pieces)
    return model.SerializeToString(deterministic=True)
