// The answers of an edit: its own questions, and other facts whose answer changed.
const [ID, KIND, QUESTION, RIGHT, BEFORE, AFTER, WAS, IS] = Array(8).keys();
const { rows } = source;
const kinds = [...new Set(rows.map((row) => row[KIND]))];

makeTable({
  columns: [
    idColumn(ID),
    codeColumn(KIND, "Kind", "9rem"),
    { ...textColumn(QUESTION, "Question"), width: "24rem" },
    textColumn(RIGHT, "Right"),
    textColumn(BEFORE, "Before"),
    {
      data: (row) => row, title: "After", type: "string",
      render: byType(
        (row) => element("span", {
          class: `verdict ${row[IS] ? "correct" : "wrong"}`,
          title: row[IS] ? "right" : "wrong",
        }, short(row[AFTER])),
        (row) => row[AFTER],
      ),
    },
    exportColumn("right_before", (row) => row[WAS]),
    exportColumn("right_after", (row) => row[IS]),
  ],
  groups: kinds,
  groupOf: (row) => row[KIND],
  describe: (row) => [
    ["Id", row[ID]],
    ["Question", row[QUESTION]],
    ["Right", row[RIGHT]],
    ["Before", `${row[BEFORE]}${row[WAS] ? "  (right)" : ""}`],
    ["After", `${row[AFTER]}${row[IS] ? "  (right)" : ""}`],
  ],
});
