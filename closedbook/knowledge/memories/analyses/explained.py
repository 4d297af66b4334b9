"""What each table and figure of a report says, in plain English, and what the paper found."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Explained:
    """A part of the report.

    Attributes:
        title: Of the part.
        says: What is measured, in two sentences.
        paper: What Geva et al. 2021 found in a language model of 16 layers with 65,536 memories.
        figures: Names of figures that show it.
    """

    title: str
    says: str
    paper: str
    figures: tuple[str, ...]


TABLES = {
    "token_removal": Explained(
        title="Removing a token",
        says="A token is taken out of a text that triggers a memory, and the memory's coefficient "
        "is read again. The change in per cent tells which token the memory had answered to.",
        paper="Figure 3: removing the last token changes a coefficient most, removing the first "
        "least, and the last token matters less in upper layers.",
        figures=("token_removal",),
    ),
    "value_agreement": Explained(
        title="Values and next tokens",
        says="A memory's value is read as a distribution over the vocabulary, and its top token is "
        "compared with the token that follows the memory's strongest trigger. The dotted line is "
        "the agreement to expect if the layer's next tokens were dealt out anew.",
        paper="Figure 4: about 0 in layers 1 to 10, up to 3.5% above; random tokens would agree in "
        "0.0004%.",
        figures=("value_agreement",),
    ),
    "next_token_rank": Explained(
        title="The rank of the next token",
        says="All tokens are put in the order in which a memory's value promotes them, and the one "
        "that follows its strongest trigger is looked up there. Bars go from the lower to the "
        "upper quartile of a layer's memories, and the tick is the median.",
        paper="Figure 5: the next token ranks higher in upper layers.",
        figures=("next_token_rank",),
    ),
    "agreement_by_probability": Explained(
        title="Sure values agree more often",
        says="Memories are sorted by the highest probability of their value's distribution, into "
        "groups of equal size. Values that put much weight on one token might be those that agree.",
        paper="Figure 6: agreement grows with the highest probability.",
        figures=("agreement_by_probability",),
    ),
    "highest_probability": Explained(
        title="Where the surest values are",
        says="The hundred memories whose values have the highest probability are counted by layer. "
        "In equal layers each would have the same share of them.",
        paper="Of the hundred values with the highest probability 97 are in layers 11 to 16, and "
        "46 agree with their trigger's next token.",
        figures=("highest_probability",),
    ),
    "active_memories": Explained(
        title="How many memories are active",
        says="At random positions of the corpus the memories of a layer are counted that add "
        "something to the layer's output. Units other than ReLU have no clear zero, so that a "
        "memory counts there if its coefficient times the length of its value is above a share of "
        "the layer's largest.",
        paper="Figure 7: 10% to 50% of a layer's memories have a coefficient above 0.",
        figures=("active_memories",),
    ),
    "composition": Explained(
        title="A layer says what no memory says",
        says="The token that a layer's output promotes first is looked for among the tokens that "
        "its memories promote first. Where it is not among them, the layer has composed it.",
        paper="Figure 8: in at least 68% of the examples of every layer no memory's top token is "
        "the layer's.",
        figures=("composition",),
    ),
    "residual_refinement": Explained(
        title="Layers refine the prediction",
        says="Before each feed-forward unit the residual stream is read as a prediction and "
        "compared with the model's final one. The second curve is the probability that it gives "
        "to that final prediction.",
        paper="Figures 9 and 10: a third of the predictions is settled in the lowest layers, from "
        "layer 10 on it grows fast, and so does the probability.",
        figures=("refinement_match", "refinement_probability"),
    ),
    "prediction_cases": Explained(
        title="Who decides",
        says="In each layer the prediction after the unit is that of the residual stream, of both "
        "the stream and the unit, of the unit alone, or of neither. The last case is a compromise "
        "that neither wanted alone.",
        paper="Figure 11: mostly the residual's; the unit's own prediction is hardly ever taken, "
        "and where it changes something it is by composition.",
        figures=("cases_raw", "cases_scaled"),
    ),
    "encoder_lens": Explained(
        title="What an encoder's layers hold",
        says="The decoder attends to the encoder's state after each layer in place of its output, "
        "and its prediction is compared with the usual one. It is the encoder's analogue of the "
        "two curves above, since an encoder predicts nothing itself (DecoderLens).",
        paper="Not in the paper, whose model has no encoder.",
        figures=("lens_match", "lens_probability"),
    ),
    "patterns": Explained(
        title="What a memory's triggers have in common",
        says="Of the 25 strongest triggers of each memory, those are counted that share the "
        "commonest last token, last two or three tokens, pair of neighbouring tokens, or relation "
        "of the fact. Dotted lines are the same count after the layer's triggers were dealt out "
        "anew.",
        paper="Figure 2 rests on people's labels: shallow patterns in layers 1 to 9, semantic ones "
        "above; `closedbook memories sheet` makes the sheet for that.",
        figures=("patterns",),
    ),
}
