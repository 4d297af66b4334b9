"""Raw examples to text-to-text examples, in TensorFlow operations, as the paper's tasks have them.

Every example keeps, beside "inputs" and "targets", what evaluation needs: "answers", and "id"
where the data has one. Source: Roberts et al. 2020, `t5_cbqa/preprocessors.py`.
"""

import functools
from typing import Any

import seqio
import tensorflow as tf


@seqio.map_over_dataset
def language_model(example: dict[str, Any]) -> dict[str, tf.Tensor]:
    """`{"text"}` to targets, without inputs."""
    return {"targets": example["text"]}


def question_and_answers(dataset: tf.data.Dataset, prefix: str) -> tf.data.Dataset:
    """`{"question", "answer" or "answers"}` to inputs, targets and all answers.

    The target is the first answer. Where the answer is a dictionary, as TriviaQA's, its `value` is
    the target and its `aliases` are the answers.

    >>> next(question_and_answers(rows, "nq question: ").as_numpy_iterator())  # doctest: +SKIP
    {'inputs': b'nq question: who ...', 'targets': b'Ashley', 'answers': [b'Ashley', ...]}
    """

    @seqio.map_over_dataset
    def convert(example: dict[str, Any]) -> dict[str, tf.Tensor]:
        given = example["answer"] if "answer" in example else example["answers"]
        if isinstance(given, dict):
            target, answers = given["value"], given["aliases"]
        else:
            target, answers = given[0], given
        converted = {
            "inputs": tf.strings.join([prefix, example["question"]]),
            "targets": target,
            "answers": answers,
        }
        for key in ("id", "question_id"):
            if key in example:
                converted["id"] = example[key]
        return converted

    return convert(dataset)


@functools.partial(seqio.map_over_dataset, num_seeds=1)
def random_answer(example: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
    """Puts a random one of the answers in the place of the target."""
    count = tf.size(example["answers"])
    chosen = tf.random.stateless_uniform([], seed, minval=0, maxval=count, dtype=tf.int32)
    return {**example, "targets": example["answers"][chosen]}


def all_short_answers(dataset: tf.data.Dataset, prefix: str) -> tf.data.Dataset:
    """Natural Questions with its annotations to the multi-answer form, without the document.

    The target lists yes and no answers, then all short answers, each after "answer: ". Questions
    with neither are dropped. The annotators' answers are kept under upstream's names, so that
    data cached by upstream's task serves too: "short_answers/values", "short_answers/row_starts"
    (one per annotator) and "yes_no_answers" (-1 none, 0 no, 1 yes).
    """

    @seqio.map_over_dataset
    def convert(example: dict[str, Any]) -> dict[str, tf.Tensor]:
        annotations = example["annotations"]
        short, yes_no = annotations["short_answers"]["text"], annotations["yes_no_answer"]
        words = tf.gather(tf.constant(["no", "yes"]), tf.boolean_mask(yes_no, yes_no >= 0))
        answers = tf.concat([words, short.flat_values], axis=0)
        converted = {
            "inputs": tf.strings.join([prefix, example["question"]["text"]]),
            "targets": tf.strings.reduce_join(
                tf.strings.join(["answer: ", answers]), separator=" "
            ),
            "short_answers/values": short.flat_values,
            "short_answers/row_starts": short.row_starts(),
            "yes_no_answers": yes_no,
        }
        if "id" in example:
            converted["id"] = example["id"]
        return converted

    return convert(dataset).filter(lambda example: tf.strings.length(example["targets"]) > 0)
