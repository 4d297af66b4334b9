// One file's examples.
const [ID, QUESTION, ANSWERS, PREDICTION, VERDICT, REASON, PROBABILITY, F1, SCORE, FLAG,
  CANDIDATE, EVIDENCE, FLAG_REASON, EXACT, SLICES, ALTERNATIVES, LABEL] = Array(17).keys();
const { rows, protocols, slices, reasons } = source;
const has = (index, absent) => rows.some((row) => row[index] !== absent && row[index] !== null);
const words = (code) => code.replaceAll("_", " ");

// What people may say of a wrong answer, and how a labels file has it.
const KINDS = {
  "really wrong": "true negative", "same in other words": "phrasing",
  "right, missing from the gold": "incomplete", "unanswerable": "unanswerable",
};
const KIND_OF = {
  "wrong": "true negative", "incomplete?": "true negative",
  "phrasing": "phrasing", "unanswerable": "unanswerable",
};
// The kind that a row is counted as: people's word, else the judge's, unless people's is of a sample.
const kindOf = (row) => row[VERDICT] === "correct" ? null
  : row[LABEL] || (source.sample ? null : KIND_OF[row[VERDICT]]);

// Some ids cannot be shown as they stand.
const ids = new Map(Object.entries(source.ids));
const key = (row) => ids.get(row[ID]) ?? row[ID];
const before = new Map(Object.entries(source.labels));
const said = new Map(); // id -> label, where it was chosen here
const corrections = document.getElementById("corrections");

// Lines of labels.jsonl: what was said before and what was chosen here. Corrections of single
// verdicts say which they replace, and of what prediction; labels of a sample do not.
function labelLines() {
  const altered = new Set(source.altered);
  const known = new Map(rows.map((row) => [key(row), row]));
  const replaced = (id) => ({
    corrects: known.get(id)?.[VERDICT] ?? "",
    prediction: altered.has(id) ? undefined : known.get(id)?.[PREDICTION],
  });
  return [...new Map([...before, ...said])]
    .filter(([, label]) => label)
    .map(([id, label]) => JSON.stringify(
      source.sample ? { id, label } : { id, label, ...replaced(id) },
    ) + "\n");
}

function choose(id, label) {
  if (label === (before.get(id) ?? "")) said.delete(id);
  else said.set(id, label);
  corrections.hidden = said.size === 0;
  const count = said.size.toLocaleString("en");
  corrections.querySelector("[role=status]").textContent =
    `${count} ${said.size === 1 ? "verdict" : "verdicts"} corrected.`;
}

function corrector(row) {
  if (row[VERDICT] === "correct") return null;
  // A sample stands for all wrong answers, so that none that somebody picked may join it.
  if (source.sample && !before.has(key(row))) return "not in the sample of labels";
  const select = element("select", { "aria-label": "Your verdict" },
    element("option", { value: "" }, `as it is: ${row[VERDICT]}`),
    ...Object.entries(KINDS).map(([name, label]) => element("option", { value: label }, name)));
  select.value = said.get(key(row)) ?? before.get(key(row)) ?? "";
  select.addEventListener("change", () => choose(key(row), select.value));
  return select;
}

corrections.querySelector("button").addEventListener("click", () => {
  const address = URL.createObjectURL(new Blob(labelLines(), { type: "application/jsonl" }));
  element("a", { href: address, download: "labels.jsonl" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
});

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
  idOf: (row) => row[ID],
  describe: (row) => [
    ["Id", row[ID]],
    ["Question", row[QUESTION]],
    ["Gold answers", row[ANSWERS].join("\n")],
    ["Prediction", row[PREDICTION]],
    ["Other answers", row[ALTERNATIVES].join("\n")],
    ["Verdict", [row[VERDICT], reasons[row[REASON]] ?? words(row[REASON])].filter(Boolean).join(": ")],
    ["People say", row[LABEL]],
    ["Your verdict", corrector(row)],
    ["Evidence", row[EVIDENCE]],
    ["Answerability", [words(row[FLAG]), row[FLAG_REASON]].filter(Boolean).join(": ")],
    ["Exact match", protocols.map((name, place) => `${name} ${row[EXACT][place] ?? "–"}`).join(" · ")],
    ["Slices", slices.map((name, place) => `${name}: ${row[SLICES][place] || "–"}`).join(" · ")],
  ],
});

// Numbers elsewhere on the page lead to their rows.
document.querySelector("main").addEventListener("click", (event) => {
  const { ids, what, flag, slice, value, kind, review } =
    event.target.closest("button.link")?.dataset ?? {};
  if (ids) {
    const wanted = new Set(JSON.parse(ids));
    pick((row) => wanted.has(row[ID]), what);
  } else if (flag) {
    pick((row) => row[FLAG] === flag, words(flag));
  } else if (kind) {
    pick((row) => kindOf(row) === kind, what);
  } else if (review) {
    pick((row) => row[CANDIDATE] > 0, what);
  } else if (slice) {
    const place = slices.indexOf(slice);
    pick((row) => row[SLICES][place] === value, `${slice}: ${value}`);
  }
});
