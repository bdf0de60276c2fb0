// The lines: which are shown, in which order; as many elements as fit; and all that is known of one.

const HOSTS_SHOWN = 200;
const TALLEST = 8e6; // pixels; browsers know no height beyond twice or four times as many

const Lines = {
  shown: ROWS.map((_, place) => place), // places in ROWS
  active: 0, // place in `shown` of the line that the keyboard is at
  open: -1, // place of the line that the dialog shows
  back: false, // the focus goes back to that line
  height: 52,
};

// --- which ---

function wanted() {
  const text = $("search").value.trim();
  const pattern = text ? new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "i") : null;
  const outcome = $("outcome").value, kind = $("kind").value, host = $("host").value;
  const looked = [COLUMN.path, COLUMN.url, COLUMN.message, COLUMN.final_url, COLUMN.kind];
  return (row) => {
    if (outcome && RUN.outcomes[row[COLUMN.outcome]] !== outcome) return false;
    if (kind && kindOf(row) !== kind) return false;
    if (host && hostOf(row) !== host) return false;
    return !pattern || looked.some((place) => row[place] && pattern.test(row[place]));
  };
}

const ORDERS = {
  list: (a, b) => a[COLUMN.source] - b[COLUMN.source] || a[COLUMN.line] - b[COLUMN.line],
  slow: (a, b) => field(b, "seconds") - field(a, "seconds"),
  large: (a, b) => (field(b, "size") ?? -1) - (field(a, "size") ?? -1),
  tries: (a, b) => field(b, "attempts") - field(a, "attempts"),
};

function applyFilter() {
  const fits = wanted(), order = ORDERS[$("order").value];
  const found = [];
  for (let place = 0; place < ROWS.length; place += 1) if (fits(ROWS[place])) found.push(place);
  if (order) found.sort((a, b) => order(ROWS[a], ROWS[b]) || a - b);
  Lines.shown = found;
  Lines.active = 0;
  $("scroller").scrollTop = 0;
  const all = found.length === ROWS.length;
  $("count").textContent = all ? plural(ROWS.length, "line")
    : `${COUNT.format(found.length)} of ${plural(ROWS.length, "line")}`;
  $("grid").setAttribute("aria-rowcount", found.length + 1);
  drawRows();
}

/** Show the lines of a kind or host alone. */
function showOnly(choices) {
  $("filter").reset();
  for (const [id, value] of Object.entries(choices)) {
    const select = $(id);
    if (id !== "search" && ![...select.options].some((each) => each.value === value)) {
      select.append(element("option", { value }, cut(value, 60)));
    }
    select.value = value;
  }
  applyFilter();
  $("lines").scrollIntoView();
  $("search").focus({ preventScroll: true });
}

function fillChoices() {
  const outcomes = new Map(), kinds = new Map(), hosts = new Map();
  const count = (map, key) => key && map.set(key, (map.get(key) ?? 0) + 1);
  for (const row of ROWS) {
    count(outcomes, RUN.outcomes[row[COLUMN.outcome]]);
    count(kinds, kindOf(row));
    count(hosts, hostOf(row));
  }
  const fill = (id, map) => {
    const entries = [...map].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, HOSTS_SHOWN);
    $(id).append(element("option", { value: "" }, "all"), ...entries.map(([value, number]) =>
      element("option", { value }, `${cut(value, 60)} (${COUNT.format(number)})`)));
    $(id).disabled = entries.length === 0;
  };
  fill("outcome", outcomes); fill("kind", kinds); fill("host", hosts);
}

// --- as many elements as fit ---

/** How far the list is, in lines; a list that is too tall for a browser is scrolled in its ratio. */
function firstLine() {
  const box = $("scroller"), total = Lines.shown.length * Lines.height;
  if (total <= TALLEST) return box.scrollTop / Lines.height;
  const ratio = box.scrollTop / (TALLEST - box.clientHeight);
  return (ratio * (total - box.clientHeight)) / Lines.height;
}

function scrollToLine(line) {
  const box = $("scroller"), total = Lines.shown.length * Lines.height;
  const top = line * Lines.height;
  box.scrollTop = total <= TALLEST ? top : (top / (total - box.clientHeight)) * (TALLEST - box.clientHeight);
}

function drawRows() {
  const box = $("scroller"), rows = $("rows"), focused = rows.contains(document.activeElement);
  Lines.height = matchMedia("(max-width: 40rem)").matches ? 72 : 52;
  $("height").style.height = `${Math.min(TALLEST, Lines.shown.length * Lines.height)}px`;
  const at = firstLine(), first = Math.max(0, Math.floor(at) - 4);
  const last = Math.min(Lines.shown.length, Math.ceil(at + box.clientHeight / Lines.height) + 4);
  rows.replaceChildren(...Array.from({ length: Math.max(0, last - first) }, (_, k) => lineElement(first + k)));
  rows.style.transform = `translateY(${box.scrollTop - (at - first) * Lines.height}px)`;
  if (!Lines.shown.length) rows.append(element("p", { class: "hint none" }, ROWS.length ? "No line is like that." : "There are no lines."));
  if (!focused) return;
  const line = rows.querySelector("[tabindex='0']");
  (line ?? box).focus({ preventScroll: true });
}

/** A path or URL in two parts: where there is no room for both, its end is what is told. */
function ends(text) {
  const at = text.lastIndexOf("/", text.length - 2) + 1, last = text.slice(at);
  if (at < 2 || / /.test(text)) return [element("span", {}, cut(text))];
  return [element("span", { class: "home" }, cut(text.slice(0, at))), element("span", {}, cut(last))];
}

function lineElement(place) {
  const row = ROWS[Lines.shown[place]];
  const outcome = RUN.outcomes[row[COLUMN.outcome]], word = kindOf(row) || outcome;
  const path = field(row, "path"), message = field(row, "message") ?? "", url = field(row, "url") ?? "";
  const below = outcome === "fail" || message ? message || url : url;
  const name = path ?? url;
  const made = element("div", {
    class: "line", role: "row", "aria-rowindex": place + 2, "data-place": place,
    tabindex: place === Lines.active ? 0 : -1,
  });
  const cell = (options, ...inside) => element("span", { role: "gridcell", ...options }, ...inside);
  made.append(
    cell({}, element("span", { class: `badge ${outcome} ${word === STOPPED ? word : ""}`, title: word }, word)),
    cell({}, element("b", { dir: "auto" }, ...ends(name)), element("small", { dir: "auto" }, ...ends(below === name ? placeOf(row) : below))),
    cell({ class: "number" }, sizeText(field(row, "size"))),
    cell({ class: "number" }, field(row, "attempts") ? durationText(field(row, "seconds")) : ""),
    cell({ class: "number" }, String(field(row, "attempts") || "")),
  );
  return made;
}

function goTo(place, { focus = true } = {}) {
  if (!Lines.shown.length) return;
  Lines.active = Math.max(0, Math.min(Lines.shown.length - 1, place));
  const box = $("scroller"), at = firstLine(), fits = box.clientHeight / Lines.height;
  if (Lines.active < at) scrollToLine(Lines.active);
  else if (Lines.active + 1 > at + fits) scrollToLine(Lines.active + 1 - fits);
  drawRows();
  if (focus) document.querySelector("#rows [tabindex='0']")?.focus({ preventScroll: true });
}

function gridKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const page = Math.max(1, Math.floor($("scroller").clientHeight / Lines.height) - 1);
  const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page };
  if (event.key in steps) goTo(Lines.active + steps[event.key]);
  else if (event.key === "Home") goTo(0);
  else if (event.key === "End") goTo(Lines.shown.length - 1);
  else if (event.key === "Enter" || event.key === " ") openLine(Lines.active);
  else return;
  event.preventDefault();
}

// --- all that is known of one ---

function openLine(place) {
  if (place < 0 || place >= Lines.shown.length) return;
  Lines.active = Lines.open = place;
  showDetail(ROWS[Lines.shown[place]], Lines.shown[place]);
  $("previous").disabled = place === 0;
  $("next").disabled = place === Lines.shown.length - 1;
}

/** Open the line of a place in ROWS, though the filter may hide it. */
function openRow(place) {
  const shown = Lines.shown.indexOf(place);
  if (shown >= 0) { openLine(shown); return; }
  Lines.open = -1;
  showDetail(ROWS[place], place);
  $("previous").disabled = $("next").disabled = true;
}

function showDetail(row, place) {
  $("detail-title").textContent = field(row, "path") ?? field(row, "url") ?? "";
  const list = element("dl"), outcome = RUN.outcomes[row[COLUMN.outcome]];
  const add = (name, value) => {
    if (value === null || value === "") return;
    list.append(element("dt", {}, name), element("dd", {}, typeof value === "string" ? said(value) : value));
  };
  const lasting = field(row, "transient") ? "transient" : "permanent";
  add("Outcome", kindOf(row) ? `${outcome}: ${kindOf(row)} (${lasting})` : outcome);
  add("Message", field(row, "message"));
  add("What may help", (kindOf(row) && RUN.hints[kindOf(row)]) || null);
  const path = field(row, "path");
  add("File", path && (outcome === "fail" ? path : fileLink(path)));
  add("URL", webLink(field(row, "url") ?? ""));
  add("Came from", field(row, "final_url") && webLink(field(row, "final_url")));
  add("Listed in", placeOf(row));
  add("Status", field(row, "status") && String(field(row, "status")));
  add("Size", field(row, "size") === null ? null : `${sizeText(field(row, "size"))} (${plural(field(row, "size"), "byte")})`);
  add("Received", field(row, "bytes") ? sizeText(field(row, "bytes")) : null);
  add("Went on from", field(row, "resumed_from") ? plural(field(row, "resumed_from"), "byte") : null);
  add("Took", field(row, "attempts") ? `${durationText(field(row, "seconds"))}, ${plural(field(row, "attempts"), "attempt")}` : null);
  add("Type", field(row, "content_type"));
  add("Digest", field(row, "checksum"));
  add("Digests", field(row, "digests"));
  $("detail-body").replaceChildren(list, attemptsTable(place) ?? "");
  const dialog = $("detail");
  if (!dialog.open) {
    Lines.back = $("grid").contains(document.activeElement);
    dialog.showModal();
  }
  dialog.scrollTop = 0;
}

/** The attempts at a line: when, in which lane, and what came of each. */
function attemptsTable(place) {
  const spans = spansOf(place);
  if (!spans.length) return null;
  const heads = [["Begun after", 1], ["Took", 1], ["First byte", 1], ["Lane", 1], ["Received", 1], ["Outcome", 0]];
  return tableOf("Attempts", heads, spans.map((span) => [
    durationText(span.begin / 1000), durationText(span.took / 1000),
    span.first === null ? "" : durationText(span.first / 1000),
    String(span.lane + 1), sizeText(span.received), span.helps ? `${span.word || "success"} (helped)` : span.word || "success",
  ]));
}

/** A table with a caption; of each head: its words, and whether its column has numbers. */
function tableOf(caption, heads, rows) {
  const kind = (place) => (heads[place][1] ? "number" : "text");
  const cells = (row) => row.map((value, place) => element("td", { class: kind(place) }, value));
  return element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Table: ${caption}` }, element("table", {},
    element("caption", { class: "unseen" }, caption),
    element("thead", {}, element("tr", {}, ...heads.map(([words], place) =>
      element("th", { scope: "col", class: kind(place) }, words)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...cells(row))))));
}

function wireLines() {
  let due = 0;
  const soon = () => { clearTimeout(due); due = setTimeout(applyFilter, 120); };
  $("search").addEventListener("input", soon);
  for (const id of ["outcome", "kind", "host", "order"]) $(id).addEventListener("change", applyFilter);
  $("filter").addEventListener("submit", (event) => { event.preventDefault(); goTo(0); });
  $("filter").addEventListener("reset", () => setTimeout(applyFilter));
  let asked = false;
  $("scroller").addEventListener("scroll", () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; drawRows(); });
  });
  $("grid").addEventListener("keydown", gridKey);
  $("rows").addEventListener("click", (event) => {
    const line = event.target.closest(".line");
    if (!line) return;
    goTo(Number(line.dataset.place), {});
    openLine(Lines.active);
  });
  $("close").addEventListener("click", () => $("detail").close());
  $("previous").addEventListener("click", () => openLine(Lines.open - 1));
  $("next").addEventListener("click", () => openLine(Lines.open + 1));
  // the element that had the focus may be gone by then, for lines are drawn anew
  $("detail").addEventListener("close", () => { if (Lines.open >= 0) goTo(Lines.open, { focus: Lines.back }); });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) || $("detail").open) return;
    event.preventDefault();
    $("search").focus();
  });
}
