// The memories of a report.
const [NAME, SIGN, TRIGGERS, LAST, RAW, SCALED, PROBABILITY, NEXT, RANK, AGREES] = Array(10).keys();
const { rows } = source;
const stacks = [...new Set(rows.map((row) => row[NAME].split(".")[0]))];

makeTable({
  columns: [
    { ...idColumn(NAME), width: "9rem" },
    codeColumn(SIGN, "Sign", "5rem"),
    numberColumn((row) => row[TRIGGERS], "Triggers", 0, "4.5rem"),
    numberColumn((row) => row[LAST], "Same last token", 2, "5rem"),
    textColumn((row) => row[SCALED] ?? "", "Promotes (scaled)"),
    textColumn((row) => row[RAW] ?? "", "Promotes (raw)"),
    numberColumn((row) => row[PROBABILITY], "Probability", 5, "5.6rem"),
    textColumn((row) => row[NEXT] ?? "", "Next token"),
    numberColumn((row) => row[RANK], "Its rank", 0, "5rem"),
  ],
  groups: stacks.flatMap((stack) => [`${stack}, agrees`, `${stack}, does not`]),
  groupOf: (row) => `${row[NAME].split(".")[0]}, ${row[AGREES] ? "agrees" : "does not"}`,
  describe: (row) => [
    ["Memory", `${row[NAME]} (${row[SIGN]})`],
    ["Promotes", `${row[SCALED] ?? "–"} (scaled), ${row[RAW] ?? "–"} (raw)`],
    ["Its top trigger goes on with", row[NEXT] ?? "–"],
  ],
});
