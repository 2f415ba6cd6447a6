// Makes the tables of a page or a notebook sortable by a click on a column's head; without it they are plain tables.
// Cells are read as text and rows are moved: nothing of them becomes HTML. In JupyterLab it runs where outputs are trusted.
(() => {
  "use strict";
  if (window.dataengineTables === true) return; // displayed before
  window.dataengineTables = true;
  // taken from the prototype: an element named "createElement" would otherwise stand in its place
  const create = Document.prototype.createElement.bind(document);
  const selectAll = Document.prototype.querySelectorAll.bind(document);
  const NUMBER = /[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?/i; // the first one: of "62.0 % [50.1, 72.3]" it is 62.0

  function valueOf(row, column, isNumber) {
    const text = row.cells[column].textContent.trim();
    if (!isNumber) return text;
    const found = NUMBER.exec(text);
    return found ? Number(found[0].replaceAll(",", "")) : null; // null: a dash, which is last in both orders
  }

  function sortedRows(rows, column, isNumber, direction) {
    const keyed = rows.map((row) => [valueOf(row, column, isNumber), row]);
    keyed.sort(([one], [other]) => {
      if (one === null || other === null) return (one === null) - (other === null);
      return direction * (isNumber ? one - other : one.localeCompare(other, "en", { numeric: true }));
    });
    return keyed.map(([, row]) => row);
  }

  function prepare(table) {
    table.dataset.sortable = "yes";
    const head = table.tHead && table.tHead.rows[0];
    const body = table.tBodies[0];
    if (!head || !body || body.rows.length < 2) return;
    const rows = [...body.rows]; // in the order of the report
    if (rows.some((row) => row.cells.length !== head.cells.length)) return;
    [...head.cells].forEach((cell, column) => {
      // a column of images has nothing to sort by
      if (!cell.textContent.trim() || !rows.some((row) => row.cells[column].textContent.trim())) return;
      const isNumber = cell.classList.contains("number");
      // numbers begin with the highest; a third click is the order of the report
      const turns = isNumber ? ["descending", "ascending", ""] : ["ascending", "descending", ""];
      const button = create("button");
      button.type = "button";
      button.className = "sort";
      button.title = "sort by this column";
      button.append(...cell.childNodes);
      cell.append(button);
      button.addEventListener("click", () => {
        const next = turns[(turns.indexOf(cell.getAttribute("aria-sort") || "") + 1) % turns.length];
        for (const other of head.cells) other.removeAttribute("aria-sort");
        if (next) cell.setAttribute("aria-sort", next);
        body.append(...(next ? sortedRows(rows, column, isNumber, next === "ascending" ? 1 : -1) : rows));
      });
    });
  }

  const prepareAll = () => selectAll(".dataengine table.sortable:not([data-sortable])").forEach(prepare);
  prepareAll();
  // a notebook displays its tables later
  let waiting = false;
  new MutationObserver(() => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      prepareAll();
    });
  }).observe(document.body, { childList: true, subtree: true });
})();
