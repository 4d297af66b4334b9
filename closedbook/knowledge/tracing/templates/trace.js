// The facts of a trace.
const [ID, PROMPT, SUBJECT, ANSWER, CLEAN, CORRUPTED, RELATION, BEST] = Array(8).keys();
const points = (value) => (100 * value).toFixed(1);

makeTable({
  columns: [
    idColumn(ID),
    { ...textColumn(PROMPT, "Prompt"), width: "24rem" },
    textColumn(SUBJECT, "Subject"),
    textColumn(ANSWER, "Answer"),
    numberColumn((row) => 100 * row[CLEAN], "P, %", 1, "4.6rem"),
    numberColumn((row) => 100 * row[CORRUPTED], "P disturbed, %", 1, "6rem"),
    numberColumn((row) => 100 * (row[CLEAN] - row[CORRUPTED]), "Total effect", 1, "5.6rem"),
    codeColumn(RELATION, "Relation", "9rem"),
    exportColumn("largest effects", (row) => row[BEST].join(" / "), true),
  ],
  groups: [],
  groupOf: (row) => (row[CLEAN] - row[CORRUPTED] > 0.5 * row[CLEAN] ? "noise takes most" : "noise takes little"),
  describe: (row) => [
    ["Id", row[ID]],
    ["Prompt", row[PROMPT]],
    ["Subject", row[SUBJECT]],
    ["Answer", row[ANSWER]],
    ["Probability", `${points(row[CLEAN])}%, with the subject disturbed ${points(row[CORRUPTED])}%`],
    ["Largest effects", row[BEST].join("\n")],
  ],
});
