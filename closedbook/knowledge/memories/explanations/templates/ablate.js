// Facts and by how much their answers fall.
const [ID, RELATION, LOG_PROB, TOP, RANDOM, MATCHED] = Array(6).keys();

makeTable({
  columns: [
    idColumn(ID),
    codeColumn(RELATION, "Relation", "9rem"),
    numberColumn(LOG_PROB, "Log-probability", 3, "8rem"),
    numberColumn(TOP, "Strongest", 4, "6rem"),
    numberColumn(RANDOM, "Random", 4, "6rem"),
    numberColumn(MATCHED, "Same places", 4, "7rem"),
  ],
  groups: ["falls by more than without random ones", "does not"],
  groupOf: (row) => (row[TOP] > row[RANDOM] ? "falls by more than without random ones" : "does not"),
  describe: (row) => [
    ["Fact", row[ID]],
    ["Relation", row[RELATION]],
    ["Falls", `${row[TOP]} without the strongest, ${row[RANDOM]} without random ones, ` +
      `${row[MATCHED]} without those of the same places`],
  ],
});
