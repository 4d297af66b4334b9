// A table of examples. Text enters the page as text nodes only, never as markup.
const source = JSON.parse(document.getElementById("data").textContent);
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
const exportable = (text) => (/^\s*[=+\-@＝＋－＠\t\r]/.test(text) ? "'" + text : text);

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

const byType = (display, plain = (value) => value) => (value, type) => {
  if (type === "display") return display(value);
  if (type === "export") return exportable(plain(value));
  if (type === "filter" || type === "list") return escaped(plain(value));
  return plain(value);
};
const opener = () => element("button", {
  type: "button", class: "opener", "aria-expanded": "false", "aria-label": "Details",
});
const idColumn = (data) => ({
  data, title: "Id", width: "4.6rem", type: "string", className: "id",
  render: byType((value) => element("span", { title: value }, opener(), element("bdi", {}, value))),
});
const textColumn = (data, title) => ({ data, title, type: "string", render: byType(short) });
const listColumn = (data, title) => ({
  data, title, type: "string", className: "answers",
  render: byType(
    (values) => element("span", {}, ...values.map(short)),
    (values) => values.join(" / "),
  ),
});
const numberColumn = (data, title, digits, width) => ({
  data, title, width, type: "num", className: "num", searchable: false,
  render: (value, type) => {
    if (type === "display") return value === null ? "" : value.toFixed(digits);
    return value === null && type !== "sort" ? "" : value;
  },
});
const codeColumn = (data, title, width) => ({
  data, title, width, type: "string", className: "code",
  render: byType((value) => element("span", {}, value.replaceAll("_", " "))),
  columnControl: [{
    extend: "dropdown", icon: "search", text: `Filter by ${title.toLowerCase()}`,
    content: [{ extend: "searchList", orthogonal: "list", title: "" }],
  }],
});
// A column of the exported file alone; the search looks into it where asked to.
const exportColumn = (title, get, searchable = false) => ({
  title, type: "string", visible: false, searchable, orderable: false,
  data: (row, type) => {
    const value = get(row) ?? "";
    if (type === "export") return typeof value === "string" ? exportable(value) : value;
    return searchable && type === "filter" ? escaped(value) : "";
  },
});

// Makes the table. `describe` gives the terms and texts of a row's details, `groupOf` the group that
// the buttons above the table choose from, `groups` their order. Rows with an `idOf` have the address
// #row=ID. Returns a function that shows the rows that pass a test.
function makeTable({ columns, describe, groupOf, groups, idOf }) {
  const titles = columns.map((column) => column.title);
  // The heading cells are made here: DataTables would take titles for HTML.
  const headings = titles.map((title) => element("th", { scope: "col" }, title));
  document.getElementById("table").append(element("thead", {}, element("tr", {}, ...headings)));
  for (const column of columns) delete column.title;

  const table = new DataTable("#table", {
    data: source.rows,
    columns,
    autoWidth: false, // it would measure texts as HTML
    deferRender: true,
    // Narrow windows show a row as a card, in which each cell has its heading.
    createdRow: (row, data, index, cells) => cells.forEach((cell, place) => {
      cell.dataset.title = titles[place];
    }),
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
            extend: "csvHtml5", text: "Save as CSV", filename: "examples", bom: true, footer: false,
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

  const address = (row) => `#row=${encodeURIComponent(idOf(row))}`;
  function details(row, open) {
    const button = row.node().querySelector(".opener");
    if (open) {
      const terms = describe(row.data()).filter(([, text]) => text);
      if (idOf) terms.push(["Address", element("a", { href: address(row.data()) }, address(row.data()))]);
      row.child(element("dl", { class: "detail" }, ...terms.flatMap(([term, text]) => [
        element("dt", {}, term), element("dd", { dir: "auto" }, text),
      ]))).show();
    } else {
      row.child.hide();
    }
    button.setAttribute("aria-expanded", open);
    return button;
  }
  document.getElementById("table").addEventListener("click", (event) => {
    const button = event.target.closest(".opener");
    if (!button) return;
    const row = table.row(button.closest("tr"));
    details(row, !row.child.isShown());
  });

  const chosen = new Set();
  const bar = document.getElementById("groups");
  const counts = Map.groupBy(source.rows, groupOf);
  const order = [...groups.filter((name) => counts.has(name)),
    ...[...counts.keys()].filter((name) => !groups.includes(name))];
  for (const name of order) {
    const button = element("button", { type: "button", "aria-pressed": "false" },
      name, element("span", {}, counts.get(name).length.toLocaleString("en")));
    button.addEventListener("click", () => {
      if (!chosen.delete(name)) chosen.add(name);
      button.setAttribute("aria-pressed", chosen.has(name));
      const test = (text, row) => chosen.has(groupOf(row));
      table.search.fixed("group", chosen.size ? test : null).draw();
    });
    bar.append(button);
  }

  const picked = document.getElementById("picked");
  function clear(draw = true) {
    chosen.clear();
    for (const button of bar.children) button.setAttribute("aria-pressed", "false");
    picked.textContent = "";
    table.search.fixed("group", null).search.fixed("picked", null).search("");
    table.columns().columnControl.searchClear();
    if (draw) table.draw();
  }
  table.on("draw", () => {
    const { recordsDisplay, recordsTotal } = table.page.info();
    table.button("clear:name").enable(recordsDisplay < recordsTotal);
  });

  // Opens the row that the page's address names, wherever it stands.
  function goTo() {
    const [, encoded] = /^#row=(.*)$/s.exec(location.hash) ?? [];
    if (!idOf || encoded === undefined) return;
    let id = encoded;
    try { id = decodeURIComponent(encoded); } catch { /* an address that nobody made: as it stands */ }
    clear();
    const place = table.rows({ order: "applied" }).indexes().toArray()
      .findIndex((index) => idOf(source.rows[index]) === id);
    if (place < 0) {
      picked.textContent = `Row ${id} is not in this page; examples.jsonl has all rows.`;
      document.getElementById("examples").scrollIntoView();
      return;
    }
    table.page(Math.floor(place / table.page.len())).draw("page");
    const row = table.row(table.rows({ order: "applied" }).indexes()[place]);
    details(row, true).focus({ preventScroll: true });
    row.node().scrollIntoView({ block: "center" });
  }
  addEventListener("hashchange", goTo);
  // A link to the address that the page has already changes nothing, and leads there all the same.
  document.addEventListener("click", (event) => {
    if (event.target.closest("a[href^='#row=']")?.getAttribute("href") === location.hash) goTo();
  });
  goTo();

  // A table of slices: one of them, or all.
  const slice = document.getElementById("slice");
  slice?.addEventListener("change", () => {
    for (const body of document.querySelectorAll("#slice-table tbody")) {
      body.hidden = Boolean(slice.value) && body.dataset.sliceNumber !== slice.value;
    }
  });

  // Charts: a mark's description, which screen readers have, also as the pointer's tooltip.
  for (const mark of document.querySelectorAll("figure svg [aria-roledescription][aria-label]")) {
    const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
    title.textContent = mark.getAttribute("aria-label");
    mark.append(title);
  }
  document.documentElement.dataset.ready = "true";

  return (test, what) => {
    clear(false);
    picked.textContent = `Only: ${what}`;
    table.search.fixed("picked", (text, row) => test(row)).draw();
    document.getElementById("examples").scrollIntoView();
  };
}
