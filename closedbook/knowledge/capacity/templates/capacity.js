// The facts of a measurement of bits.
const [ID, PROMPT, OBJECT, RELATION, PART, CANDIDATES, WORTH, BEST, MEAN, WEIGHT] = Array(10).keys();
const { parts } = source;
const outcome = (row) => {
  const held = row[BEST] > 0.5 * row[WORTH] ? "most of it held" : "less";
  return parts.length > 1 ? `${row[PART]}, ${held}` : held;
};

const pick = makeTable({
  columns: [
    idColumn(ID),
    { ...textColumn(PROMPT, "Prompt"), width: "18rem" },
    { ...textColumn(OBJECT, "Right"), width: "9rem" },
    numberColumn(CANDIDATES, "Of", 0, "3.6rem"),
    numberColumn(WORTH, "Worth, bits", 2, "4.2rem"),
    numberColumn(BEST, "Bits given", 2, "4.2rem"),
    numberColumn(MEAN, "Mean of phrasings", 2, "5.4rem"),
    codeColumn(RELATION, "Relation", "8rem"),
    ...(parts.length > 1 ? [codeColumn(PART, "Part", "5.4rem")] : []),
    exportColumn("weight of the prior", (row) => row[WEIGHT]),
  ],
  groups: (parts.length > 1 ? parts : [""]).flatMap((part) =>
    ["most of it held", "less"].map((word) => (part ? `${part}, ${word}` : word))),
  groupOf: outcome,
  describe: (row) => [
    ["Id", row[ID]],
    ["Prompt", row[PROMPT]],
    ["Right", row[OBJECT]],
    ["Worth", `${row[WORTH].toFixed(2)} bits, among ${row[CANDIDATES]} candidates`],
    ["Given", `${row[BEST].toFixed(2)} bits in this phrasing, ${row[MEAN].toFixed(2)} in the mean`],
    ["Weight of the prior", `${row[WEIGHT]}`],
  ],
});

document.querySelector("main").addEventListener("click", (event) => {
  const { relation } = event.target.closest("button.link")?.dataset ?? {};
  if (relation !== undefined) pick((row) => row[RELATION] === relation, relation);
});
