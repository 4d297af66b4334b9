"""Answers out of a model: greedy, beam search, sampling; scores of given answers."""

from closedbook.inference.decode import decode
from closedbook.inference.greedy import greedy
from closedbook.inference.predictor import Prediction, Predictor, TextVocabulary
from closedbook.inference.protocol import Decoder
from closedbook.inference.sampling import sample
from closedbook.inference.score import score_candidates
from closedbook.inference.search import beam_search
from closedbook.inference.settings import DecodeSettings
from closedbook.inference.steps import Decoded

__all__ = [
    "DecodeSettings",
    "Decoded",
    "Decoder",
    "Prediction",
    "Predictor",
    "TextVocabulary",
    "beam_search",
    "decode",
    "greedy",
    "sample",
    "score_candidates",
]
