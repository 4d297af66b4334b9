// Several systems' examples.
const [ID, QUESTION, ANSWERS, PREDICTIONS, CORRECT, ACCEPTED, SLICES] = Array(7).keys();
const { rows, systems, slices } = source;
const WIDE = 4; // systems up to which each has a column
const right = (row) => row[CORRECT].filter(Boolean).length;
const mark = (row, place) => (row[CORRECT][place] ? "right"
  : row[ACCEPTED][place] ? "the same in other words" : "wrong");

const pick = makeTable({
  columns: [
    idColumn(ID),
    textColumn(QUESTION, "Question"),
    listColumn(ANSWERS, "Gold answers"),
    ...(systems.length > WIDE ? [] : systems.map((name, place) => ({
      data: (row) => row, title: name, type: "string",
      render: byType(
        (row) => element("span", {
          class: `verdict ${row[CORRECT][place] ? "correct" : row[ACCEPTED][place] ? "phrasing" : "wrong"}`,
          title: mark(row, place),
        }, short(row[PREDICTIONS][place])),
        (row) => row[PREDICTIONS][place],
      ),
    }))),
    numberColumn(right, "Right", 0, "4.5rem"),
    ...(systems.length > WIDE
      ? systems.map((name, place) => exportColumn(name, (row) => row[PREDICTIONS][place], true)) : []),
    ...slices.map((name, place) => exportColumn(name, (row) => row[SLICES][place])),
    ...systems.map((name, place) => exportColumn(`em ${name}`, (row) => Number(row[CORRECT][place]))),
  ],
  groups: ["all right", "some right", "none right"],
  groupOf: (row) => {
    const count = right(row);
    return count === 0 ? "none right" : count === systems.length ? "all right" : "some right";
  },
  idOf: (row) => row[ID],
  describe: (row) => [
    ["Id", row[ID]],
    ["Question", row[QUESTION]],
    ["Gold answers", row[ANSWERS].join("\n")],
    ...systems.map((name, place) => [`${name}, ${mark(row, place)}`, row[PREDICTIONS][place] || "–"]),
    ["Slices", slices.map((name, place) => `${name}: ${row[SLICES][place] || "–"}`).join(" · ")],
  ],
});

document.querySelector("main").addEventListener("click", (event) => {
  const { won, lost, what, count, slice, value } = event.target.closest("button.link")?.dataset ?? {};
  if (won) pick((row) => row[CORRECT][won] && !row[CORRECT][lost], what);
  else if (count) pick((row) => right(row) === Number(count), what);
  else if (slice) {
    const place = slices.indexOf(slice);
    pick((row) => row[SLICES][place] === value, `${slice}: ${value}`);
  }
});
