"use strict";

/* Whatever is of no use without this script. */
for (const element of document.querySelectorAll("[data-needs-script]")) element.hidden = false;

/* Tables are sorted by the column whose header is pressed; what has no figure stays below. */
const words = new Intl.Collator("en", { numeric: true });

function compare(a, b) {
  const x = a.dataset.key, y = b.dataset.key;
  if (x !== undefined && y !== undefined) return x - y;
  return words.compare(a.textContent, b.textContent);
}

function sort(table, column, ascending) {
  const body = table.tBodies[0];
  const empty = (row) => row.cells[column].textContent === "–";
  const rows = [...body.rows].sort((a, b) =>
    empty(a) - empty(b) || (ascending ? 1 : -1) * compare(a.cells[column], b.cells[column]));
  body.append(...rows);
}

for (const table of document.querySelectorAll("table[data-sortable]")) {
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    button.addEventListener("click", () => {
      const ascending = header.getAttribute("aria-sort") !== "ascending";
      for (const each of headers) each.removeAttribute("aria-sort");
      header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      sort(table, column, ascending);
    });
    header.append(button);
  });
}

for (const button of document.querySelectorAll("[data-copies]")) {
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copies);
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = "Copied";
    } catch { /* The browser does not let us: then it is selected, to be copied by hand. */
      getSelection().selectAllChildren(source);
    }
  });
}
