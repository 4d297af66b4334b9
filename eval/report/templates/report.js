// The table of examples. Text enters the page as text nodes only, never as markup.
const source = JSON.parse(document.getElementById("data").textContent);
const [ID, QUESTION, ANSWERS, PREDICTION, VERDICT, REASON, PROBABILITY, F1, SCORE, FLAG,
  CANDIDATE, EVIDENCE, FLAG_REASON, EXACT, SLICES, ALTERNATIVES] = Array(16).keys();
const SHOWN = 160; // characters of a cell before "show all"

const element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
};

// DataTables takes some texts for HTML: those to search in, where they hold an ampersand, and the
// entries of a column's list.
const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
// A spreadsheet would take such a cell for a formula. Text cells alone: numbers stay numbers.
const exportable = (text) => (/^\s*[=+\-@\t\r]/.test(text) ? "'" + text : text);

const short = (text) => {
  const shown = element("bdi");
  if (text.length <= SHOWN + 20) {
    shown.textContent = text;
    return shown;
  }
  shown.textContent = text.slice(0, SHOWN) + "…";
  const more = element("button", { type: "button", class: "link more" }, "show all");
  more.addEventListener("click", () => {
    shown.textContent = text;
    more.remove();
  });
  return element("span", {}, shown, more);
};

const byType = (display, plain) => (value, type) => {
  if (type === "display") return display(value);
  if (type === "export") return exportable(plain(value));
  if (type === "filter" || type === "list") return escaped(plain(value));
  return plain(value);
};
const same = (value) => value;
const textColumn = (index, title) => ({
  data: index, title, type: "string", render: byType(short, same),
});
const listColumn = (index, title) => ({
  data: index, title, type: "string", className: "answers",
  render: byType(
    (values) => element("span", {}, ...values.map((value) => short(value))),
    (values) => values.join(" / "),
  ),
});
const numberColumn = (index, title, digits, width) => ({
  data: index, title, width, type: "num", className: "num", searchable: false,
  render: (value, type) => {
    if (type === "display") return value === null ? "" : value.toFixed(digits);
    return value === null && type !== "sort" ? "" : value;
  },
});
const codeColumn = (index, title, width) => ({
  data: index, title, width, type: "string", className: "code",
  render: byType((value) => element("span", {}, value.replaceAll("_", " ")), same),
  columnControl: [{
    extend: "dropdown", icon: "search", text: `Filter by ${title.toLowerCase()}`,
    content: [{ extend: "searchList", orthogonal: "list", title: "" }],
  }],
});

const has = (index, absent) => source.rows.some((row) => row[index] !== absent && row[index] !== null);
const columns = [
  {
    data: ID, title: "Id", width: "4.6rem", type: "string",
    render: byType((value) => {
      const opener = element("button", { type: "button", class: "opener", "aria-expanded": "false",
        "aria-label": "Details" });
      return element("span", {}, opener, element("bdi", {}, value));
    }, same),
  },
  textColumn(QUESTION, "Question"),
  listColumn(ANSWERS, "Gold answers"),
  textColumn(PREDICTION, "Prediction"),
  {
    data: VERDICT, title: "Verdict", width: "8rem", type: "string",
    render: byType((value) => element("span", { class: "verdict " + value.replace("?", "") }, value), same),
  },
  codeColumn(REASON, "Reason", "9rem"),
  numberColumn(PROBABILITY, "Same answer", 2, "5.2rem"),
  numberColumn(F1, "F1", 2, "4rem"),
  has(SCORE) && numberColumn(SCORE, "Log-prob.", 2, "5rem"),
  has(CANDIDATE, 0) && numberColumn(CANDIDATE, "Review", 2, "5rem"),
].filter(Boolean);

const exported = [
  ["flag", (row) => row[FLAG]],
  ["evidence", (row) => row[EVIDENCE]],
  ...source.protocols.map((name, place) => [`em ${name}`, (row) => row[EXACT][place]]),
  ...source.slices.map((name, place) => [name, (row) => row[SLICES][place]]),
].map(([title, get]) => ({
  title, type: "string", visible: false, searchable: false, orderable: false,
  data: (row, type) => {
    if (type !== "export") return "";
    const value = get(row) ?? "";
    return typeof value === "string" ? exportable(value) : value;
  },
}));

// The heading cells are made here: DataTables would take titles for HTML.
const all = [...columns, ...exported];
const titles = all.map((column) => column.title);
document.getElementById("table").append(
  element("thead", {}, element("tr", {}, ...titles.map((title) => element("th", { scope: "col" }, title)))),
);
for (const column of all) delete column.title;

const table = new DataTable("#table", {
  data: source.rows,
  columns: all,
  autoWidth: false, // it would measure texts as HTML
  deferRender: true,
  order: [],
  pageLength: 25,
  lengthMenu: [10, 25, 50, 100, 250],
  searchDelay: 200,
  language: {
    search: "Search ", lengthMenu: "_MENU_ a page", searchPlaceholder: "question, answer, prediction",
    info: "_START_ to _END_ of _TOTAL_", infoFiltered: "(of _MAX_)", infoEmpty: "none",
    zeroRecords: "No example matches; clear the filters.",
  },
  layout: {
    topStart: {
      buttons: [
        {
          extend: "csvHtml5", text: "Save as CSV", filename: "examples", bom: true,
          exportOptions: {
            orthogonal: "export", columns: "*", modifier: { search: "applied", order: "applied" },
            format: { body: (value) => value, header: (title, index) => exportable(titles[index]) },
          },
        },
        { text: "Clear filters", name: "clear", action: () => clear(), enabled: false },
      ],
    },
    topEnd: "search", bottomStart: ["info", "pageLength"], bottomEnd: "paging",
  },
});

// Details of a row.
const describe = (row) => {
  const terms = [
    ["Question", row[QUESTION]],
    ["Gold answers", row[ANSWERS].join("\n")],
    ["Prediction", row[PREDICTION]],
    ["Other answers", row[ALTERNATIVES].join("\n")],
    ["Verdict", [row[VERDICT], row[REASON].replaceAll("_", " ")].filter(Boolean).join(": ")],
    ["Evidence", row[EVIDENCE]],
    ["Answerability", [row[FLAG].replaceAll("_", " "), row[FLAG_REASON]].filter(Boolean).join(": ")],
    ["Exact match", source.protocols.map((name, place) => `${name} ${row[EXACT][place] ?? "–"}`).join(" · ")],
    ["Slices", source.slices.map((name, place) => `${name}: ${row[SLICES][place] || "–"}`).join(" · ")],
  ].filter(([, value]) => value);
  return element("dl", { class: "detail" }, ...terms.flatMap(([term, value]) => [
    element("dt", {}, term), element("dd", { dir: "auto" }, value),
  ]));
};
document.querySelector("#table").addEventListener("click", (event) => {
  const opener = event.target.closest(".opener");
  if (!opener) return;
  const row = table.row(opener.closest("tr"));
  const open = !row.child.isShown();
  if (open) row.child(describe(row.data())).show();
  else row.child.hide();
  opener.setAttribute("aria-expanded", open);
});

// Filters: verdicts by the buttons above the table; rows picked elsewhere on the page.
const verdicts = new Set();
const counts = new Map();
for (const row of source.rows) counts.set(row[VERDICT], (counts.get(row[VERDICT]) ?? 0) + 1);
const group = document.getElementById("verdicts");
const known = ["correct", "phrasing", "incomplete?", "unanswerable", "wrong"];
const names = [...known.filter((name) => counts.has(name)), ...[...counts.keys()].filter((name) => !known.includes(name))];
for (const name of names) {
  const button = element("button", { type: "button", "aria-pressed": "false", "data-verdict": name },
    name, element("span", {}, counts.get(name).toLocaleString("en")));
  button.addEventListener("click", () => {
    if (!verdicts.delete(name)) verdicts.add(name);
    button.setAttribute("aria-pressed", verdicts.has(name));
    const test = (text, row) => verdicts.has(row[VERDICT]);
    table.search.fixed("verdict", verdicts.size ? test : null).draw();
  });
  group.append(button);
}

const picked = document.getElementById("picked");
const pick = (test, what) => {
  clear(false);
  picked.textContent = `Only: ${what}`;
  table.search.fixed("picked", (text, row) => test(row)).draw();
  document.getElementById("examples").scrollIntoView();
};
function clear(draw = true) {
  verdicts.clear();
  for (const button of group.children) button.setAttribute("aria-pressed", "false");
  picked.textContent = "";
  table.search.fixed("verdict", null).search.fixed("picked", null).search("");
  table.columns().columnControl.searchClear();
  if (draw) table.draw();
}
table.on("draw", () => {
  const { recordsDisplay, recordsTotal } = table.page.info();
  table.button("clear:name").enable(recordsDisplay < recordsTotal);
});
document.querySelector("main").addEventListener("click", (event) => {
  const { ids, what, flag, slice, value } = event.target.closest("button.link")?.dataset ?? {};
  if (ids) {
    const wanted = new Set(JSON.parse(ids));
    pick((row) => wanted.has(row[ID]), what);
  } else if (flag) {
    pick((row) => row[FLAG] === flag, flag.replaceAll("_", " "));
  } else if (slice) {
    const place = source.slices.indexOf(slice);
    pick((row) => row[SLICES][place] === value, `${slice}: ${value}`);
  }
});
// Charts: a mark's description, which screen readers have, also as the pointer's tooltip.
for (const mark of document.querySelectorAll("figure svg [aria-roledescription][aria-label]")) {
  const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
  title.textContent = mark.getAttribute("aria-label");
  mark.append(title);
}
document.documentElement.dataset.ready = "true";
