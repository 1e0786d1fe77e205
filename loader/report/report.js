
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
  if (body.rows.length > 5) table.before(filter);
  const rest = document.createElement("button");
  if (body.rows.length > 5 && matchMedia("(max-width: 40rem)").matches) {
    table.classList.add("short");
    rest.type = "button";
    rest.className = "rest";
    rest.textContent = `Show all ${body.rows.length}`;
    rest.setAttribute("aria-label", `Show all ${body.rows.length}: ${caption}`);
    table.after(rest);
  }
  const showAll = () => {
    table.classList.remove("short");
    rest.remove();
  };
  rest.addEventListener("click", showAll);
  input.addEventListener("input", () => {
    showAll();
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

// Ages go on while the page is open, and times are shown as this machine's clock has them, too.
const span = (seconds) => {
  const [minutes, hours, days] = [Math.floor(seconds / 60) % 60, Math.floor(seconds / 3600) % 24, Math.floor(seconds / 86400)];
  if (seconds < 60) return `${Math.max(Math.floor(seconds), 0)} s`;
  const parts = days ? [`${days} d`, hours && `${hours} h`] : [hours && `${hours} h`, minutes && `${minutes} min`];
  return parts.filter(Boolean).join(" ");
};
const ages = () => {
  for (const each of document.querySelectorAll("[data-since]")) {
    each.textContent = span((Date.now() - Date.parse(each.dataset.since)) / 1000);
  }
};
ages();
setInterval(ages, 15000);

const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
for (const time of document.querySelectorAll("time[datetime]")) {
  const instant = new Date(time.dateTime);
  time.title = `${whole.format(instant)} on this machine`;
  if (instant.getTimezoneOffset() === 0) continue;
  const local = document.createElement("small");
  local.className = "local";
  const there = time.classList.contains("both");
  local.textContent = there ? ` (${clock.format(instant)} here)` : `, ${clock.format(instant)} here`;
  if (there) time.after(local);
  else time.closest("td")?.querySelector("small")?.append(local);
}
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (new Date().getTimezoneOffset() !== 0) document.querySelector(".zone").textContent = `; "here" is ${zone}`;
