// Labelled memories and their patterns.
const [NAME, SHALLOW, SEMANTIC] = Array(3).keys();

makeTable({
  columns: [idColumn(NAME), listColumn(SHALLOW, "Shallow"), listColumn(SEMANTIC, "Semantic")],
  groups: ["with a pattern", "without"],
  groupOf: (row) => (row[SHALLOW].length + row[SEMANTIC].length ? "with a pattern" : "without"),
  describe: (row) => [
    ["Memory", row[NAME]],
    ["Shallow", row[SHALLOW].join("\n") || "–"],
    ["Semantic", row[SEMANTIC].join("\n") || "–"],
  ],
});
