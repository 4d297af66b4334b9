"""Text to ids and back, with the ids that SeqIO and T5 give; needs no TensorFlow."""

from closedbook.vocabulary.sentencepiece import EOS_ID, EXTRA_IDS, PAD_ID, Vocabulary

__all__ = ["EOS_ID", "EXTRA_IDS", "PAD_ID", "Vocabulary"]
