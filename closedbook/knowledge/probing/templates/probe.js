// The facts of a probe.
const [ID, PROMPT, OBJECTS, RANK, CANDIDATES, LOG_PROB, RELATION, PART, TOP, WRITTEN, EXACT,
  WORDINGS, DENIED] = Array(13).keys();
const { rows, parts } = source;
const probability = (logProb) => {
  const value = Math.exp(logProb);
  return value >= 0.001 ? value.toFixed(3) : value.toExponential(1);
};
const worded = ([prompt, answer, rank]) => `${answer}  (right: rank ${rank})  ${prompt}`;
const first = (row) => row[TOP][0][0];
const outcome = (row) => {
  const right = row[RANK] === 1 ? "right" : "wrong";
  return parts.length > 1 ? `${row[PART]}, ${right}` : right;
};

const pick = makeTable({
  columns: [
    idColumn(ID),
    { ...textColumn(PROMPT, "Prompt"), width: "24rem" },
    listColumn(OBJECTS, "Right"),
    {
      data: (row) => row, title: "Best candidate", type: "string",
      render: byType(
        (row) => element("span", {
          class: `verdict ${row[TOP][0][2] ? "correct" : "wrong"}`,
          title: row[TOP][0][2] ? "right" : "wrong",
        }, short(first(row))),
        first,
      ),
    },
    numberColumn((row) => Math.exp(row[TOP][0][1]), "Probability", 3, "5.6rem"),
    numberColumn(RANK, "Rank", 0, "4rem"),
    codeColumn(RELATION, "Relation", "9rem"),
    ...(parts.length > 1 ? [codeColumn(PART, "Part", "6rem")] : []),
    ...(rows.some((row) => row[WRITTEN] !== null) ? [textColumn((row) => row[WRITTEN] ?? "", "Free answer")] : []),
    exportColumn("candidates", (row) => row[CANDIDATES]),
    exportColumn("log_prob", (row) => row[LOG_PROB]),
    exportColumn("top", (row) => row[TOP].map(([text]) => text).join(" / "), true),
  ],
  groups: (parts.length > 1 ? parts : [""]).flatMap((part) =>
    ["right", "wrong"].map((word) => (part ? `${part}, ${word}` : word))),
  groupOf: outcome,
  describe: (row) => [
    ["Id", row[ID]],
    ["Prompt", row[PROMPT]],
    ["Right", row[OBJECTS].join("\n")],
    ["Rank", `${row[RANK]} of ${row[CANDIDATES]}, probability ${probability(row[LOG_PROB])}`],
    ["Best candidates", row[TOP].map(([text, logProb, right]) =>
      `${probability(logProb)}  ${text}${right ? "  (right)" : ""}`).join("\n")],
    ["Free answer", row[WRITTEN] === null ? "" : `${row[WRITTEN] || "–"}${row[EXACT] ? "  (exact match)" : ""}`],
    ["In all wordings", row[WORDINGS].map(worded).join("\n")],
    ["When denied", row[DENIED] === null ? "" : worded(row[DENIED])],
  ],
});

document.querySelector("main").addEventListener("click", (event) => {
  const { relation } = event.target.closest("button.link")?.dataset ?? {};
  if (relation !== undefined) pick((row) => row[RELATION] === relation, relation);
});
