// The memories of an explanation.
const [NAME, TOKEN, POSITION, COEFFICIENT, VALUE, LAYER] = Array(6).keys();
const { rows } = source;

makeTable({
  columns: [
    idColumn(NAME),
    textColumn(TOKEN, "At"),
    numberColumn(POSITION, "Position", 0, "6rem"),
    numberColumn(COEFFICIENT, "Coefficient", 3, "7rem"),
    numberColumn(VALUE, "Adds", 4, "6rem"),
    codeColumn(LAYER, "Layer", "9rem"),
  ],
  groups: [...new Set(rows.map((row) => row[LAYER]))].sort(),
  groupOf: (row) => row[LAYER],
  describe: (row) => [
    ["Memory", row[NAME]],
    ["At", `${row[TOKEN]} (position ${row[POSITION]})`],
    ["Adds", `${row[VALUE]}, coefficient ${row[COEFFICIENT]}`],
  ],
});
