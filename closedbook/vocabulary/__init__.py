"""Text to ids and back, with the ids that SeqIO and T5 give; needs no TensorFlow."""

from closedbook.vocabulary.sentencepiece import Vocabulary
from closedbook.vocabulary.special import EOS_ID, EXTRA_IDS, PAD_ID, sentinel, sentinel_number

__all__ = ["EOS_ID", "EXTRA_IDS", "PAD_ID", "Vocabulary", "sentinel", "sentinel_number"]
