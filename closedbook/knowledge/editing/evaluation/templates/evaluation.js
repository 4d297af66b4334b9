// The edits of an evaluation: a row per edit and way of editing.
const [ID, VARIANT, ANSWER] = Array(3).keys();
const { rows, groups } = source;

makeTable({
  columns: [
    idColumn(ID),
    codeColumn(VARIANT, "Way", "8rem"),
    textColumn(ANSWER, "Answer to the prompt"),
    ...groups.map((name, place) =>
      numberColumn((row) => row[3 + place] ?? 0, name, 2, "5.5rem")),
  ],
  groups: [...new Set(rows.map((row) => row[VARIANT]))],
  groupOf: (row) => row[VARIANT],
  describe: (row) => [
    ["Id", row[ID]],
    ["Way", row[VARIANT]],
    ["Answer to the prompt", row[ANSWER]],
    ...groups.map((name, place) => [name, row[3 + place] === null ? "not asked" : `${row[3 + place]}`]),
  ],
});
