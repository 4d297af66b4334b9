"""Answers out of a T5: greedy, beam search, sampling; scores of given answers."""

from closedbook.inference.decode import decode
from closedbook.inference.greedy import greedy
from closedbook.inference.predictor import Prediction, Predictor, TextVocabulary
from closedbook.inference.sampling import sample
from closedbook.inference.score import score, score_candidates
from closedbook.inference.search import beam_search
from closedbook.inference.settings import DecodeSettings
from closedbook.inference.steps import Decoded

__all__ = [
    "DecodeSettings",
    "Decoded",
    "Prediction",
    "Predictor",
    "TextVocabulary",
    "beam_search",
    "decode",
    "greedy",
    "sample",
    "score",
    "score_candidates",
]
