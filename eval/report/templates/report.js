// One file's examples.
const [ID, QUESTION, ANSWERS, PREDICTION, VERDICT, REASON, PROBABILITY, F1, SCORE, FLAG,
  CANDIDATE, EVIDENCE, FLAG_REASON, EXACT, SLICES, ALTERNATIVES] = Array(16).keys();
const { rows, protocols, slices, reasons } = source;
const has = (index, absent) => rows.some((row) => row[index] !== absent && row[index] !== null);
const words = (code) => code.replaceAll("_", " ");

const pick = makeTable({
  columns: [
    idColumn(ID),
    textColumn(QUESTION, "Question"),
    listColumn(ANSWERS, "Gold answers"),
    textColumn(PREDICTION, "Prediction"),
    {
      data: VERDICT, title: "Verdict", width: "8rem", type: "string", className: "nowrap",
      render: byType((value) => element("span", { class: `verdict ${value.replace("?", "")}` }, value)),
    },
    codeColumn(REASON, "Reason", "9rem"),
    numberColumn(PROBABILITY, "Same answer", 2, "5.2rem"),
    numberColumn(F1, "F1", 2, "4rem"),
    has(SCORE) && numberColumn(SCORE, "Log-prob.", 2, "5rem"),
    has(CANDIDATE, 0) && numberColumn((row) => row[CANDIDATE] || null, "Review", 2, "5rem"),
    exportColumn("flag", (row) => row[FLAG]),
    exportColumn("evidence", (row) => row[EVIDENCE]),
    ...protocols.map((name, place) => exportColumn(`em ${name}`, (row) => row[EXACT][place])),
    ...slices.map((name, place) => exportColumn(name, (row) => row[SLICES][place])),
  ].filter(Boolean),
  groups: ["correct", "phrasing", "incomplete?", "unanswerable", "wrong"],
  groupOf: (row) => row[VERDICT],
  describe: (row) => [
    ["Id", row[ID]],
    ["Question", row[QUESTION]],
    ["Gold answers", row[ANSWERS].join("\n")],
    ["Prediction", row[PREDICTION]],
    ["Other answers", row[ALTERNATIVES].join("\n")],
    ["Verdict", [row[VERDICT], reasons[row[REASON]] ?? words(row[REASON])].filter(Boolean).join(": ")],
    ["Evidence", row[EVIDENCE]],
    ["Answerability", [words(row[FLAG]), row[FLAG_REASON]].filter(Boolean).join(": ")],
    ["Exact match", protocols.map((name, place) => `${name} ${row[EXACT][place] ?? "–"}`).join(" · ")],
    ["Slices", slices.map((name, place) => `${name}: ${row[SLICES][place] || "–"}`).join(" · ")],
  ],
});

// Numbers elsewhere on the page lead to their rows.
document.querySelector("main").addEventListener("click", (event) => {
  const { ids, what, flag, slice, value } = event.target.closest("button.link")?.dataset ?? {};
  if (ids) {
    const wanted = new Set(JSON.parse(ids));
    pick((row) => wanted.has(row[ID]), what);
  } else if (flag) {
    pick((row) => row[FLAG] === flag, words(flag));
  } else if (slice) {
    const place = slices.indexOf(slice);
    pick((row) => row[SLICES][place] === value, `${slice}: ${value}`);
  }
});
