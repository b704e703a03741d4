"use strict";
// Columns that sort, by keyboard too; scrolled parts that take the focus only where they scroll; print with all open.
(() => {
  const said = document.getElementById("said");

  // What a cell is sorted by: its value, or else its text; a cell without either comes last, whichever the direction.
  const keyOf = (cell) => {
    if (cell.dataset.value !== undefined) return [0, Number(cell.dataset.value), ""];
    const text = cell.textContent.trim();
    return text === "" || text === "–" ? [2, 0, ""] : [1, 0, text];
  };

  // A sum of the others: its first cell is empty.
  const isTotal = (row) => row.cells[0].textContent.trim() === "";

  const compared = (a, b, sign) =>
    a[0] - b[0] || sign * (a[1] - b[1]) || sign * a[2].localeCompare(b[2], "en", { numeric: true });

  const sort = (table, heading, column) => {
    const sign = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    const body = table.tBodies[0];
    const keyed = Array.from(body.rows, (row) => [isTotal(row) ? 1 : 0, keyOf(row.cells[column]), row]);
    keyed.sort((a, b) => a[0] - b[0] || compared(a[1], b[1], sign));
    body.append(...keyed.map((each) => each[2]));
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    const direction = sign === 1 ? "ascending" : "descending";
    heading.setAttribute("aria-sort", direction);
    said.textContent = `Sorted by ${heading.innerText.replace(/\s+/g, " ").trim()}, ${direction}`;
  };

  for (const table of document.querySelectorAll("table:not(.matrix, .unsorted)")) {
    if (table.tBodies[0].rows.length < 2) continue;
    Array.from(table.tHead.rows[0].cells).forEach((heading, column) => {
      if (heading.textContent.trim() === "") return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => sort(table, heading, column));
    });
  }

  const watcher = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const box = target.classList.contains("scroll") ? target : target.parentElement;
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  });
  for (const box of document.querySelectorAll(".scroll")) {
    watcher.observe(box);
    watcher.observe(box.firstElementChild);
  }

  let opened = [];
  addEventListener("beforeprint", () => {
    opened = Array.from(document.querySelectorAll("details:not([open])"));
    for (const each of opened) each.open = true;
  });
  addEventListener("afterprint", () => {
    for (const each of opened) each.open = false;
  });
})();
