"""SeqIO's metric values that are more than numbers, as TensorBoard's summaries.

SeqIO's own logger writes them, into a folder that is read back: texts, histograms, pictures and
sounds are encoded as under SeqIO. This module needs SeqIO and TensorFlow.
"""

import pathlib
import tempfile
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import seqio


def summaries(values: Mapping[str, "seqio.metrics.MetricValue"]) -> list[bytes]:
    """Serialised `tensorboard.Summary.Value`s, in the values' order, tagged "eval/<name>".

    Args:
        values: By the metrics' names.
    """
    if not values:
        return []
    import seqio
    import tensorflow as tf
    from tensorboard.compat.proto import event_pb2

    with tempfile.TemporaryDirectory() as folder:
        # The file is whole once its writer is gone.
        seqio.TensorBoardLogger(folder)(
            task_name="task", step=0, metrics=values, dataset=None, inferences=None, targets=None
        )
        found = []
        for path in sorted(pathlib.Path(folder, "task").iterdir()):
            for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
                event = event_pb2.Event.FromString(record)
                found += [value.SerializeToString() for value in event.summary.value]
        return found
