
"use strict";
// Makes tables sortable and filterable. Without it they are read as they are.
for (const table of document.querySelectorAll("table[data-interactive]")) {
  const body = table.tBodies[0];
  const caption = table.caption.textContent;
  if (body.rows.length < 2) continue;
  table.classList.add("live");

  const value = (row, column) => {
    const cell = row.cells[column];
    return (cell.dataset.sort ?? cell.textContent).trim();
  };
  const compare = (one, other, numeric) =>
    numeric ? Number(one) - Number(other) : one.localeCompare(other, undefined, { numeric: true });

  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    const numeric = header.classList.contains("number");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = header.textContent.trim();
    button.addEventListener("click", () => {
      const now = header.getAttribute("aria-sort");
      const next = now ? (now === "ascending" ? "descending" : "ascending") : numeric ? "descending" : "ascending";
      headers.forEach((each) => each.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", next);
      const sign = next === "ascending" ? 1 : -1;
      const sorted = [...body.rows].sort((a, b) => {
        const [one, other] = [value(a, column), value(b, column)];
        if (one === "" || other === "") return (one === "") - (other === ""); // blanks stay last
        return sign * compare(one, other, numeric);
      });
      body.append(...sorted);
    });
    header.replaceChildren(button);
  });

  const filter = document.createElement("div");
  filter.className = "filter";
  const label = document.createElement("label");
  label.textContent = "Filter ";
  const input = document.createElement("input");
  input.type = "search";
  input.setAttribute("aria-label", `Filter: ${caption}`);
  label.append(input);
  const status = document.createElement("span");
  status.setAttribute("role", "status");
  filter.append(label, status);
  table.before(filter);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of body.rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += row.hidden ? 0 : 1;
    }
    status.textContent = words.length ? `${shown} of ${body.rows.length} rows` : "";
  });
}
