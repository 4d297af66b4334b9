// Fields of a sheet, and the file that holds what was written into them.
const { columns, rows } = source;
const fields = [...document.querySelectorAll("input[data-row]")];
let unsaved = false;

const quoted = (value) => `"${exportable(String(value ?? "")).replaceAll('"', '""')}"`;

function sheet() {
  const filled = rows.map((row) => [...row]);
  for (const field of fields) {
    filled[field.dataset.row][columns.indexOf(field.dataset.kind)] = field.value.trim();
  }
  return [columns, ...filled].map((row) => row.map(quoted).join(",")).join("\n") + "\n";
}

document.addEventListener("input", () => { unsaved = true; });
document.getElementById("save").addEventListener("click", () => {
  const link = element("a", {
    href: URL.createObjectURL(new Blob([sheet()], { type: "text/csv" })),
    download: "sheet.csv",
  });
  link.click();
  URL.revokeObjectURL(link.href);
  unsaved = false;
});
window.addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });
document.documentElement.dataset.ready = "true";
