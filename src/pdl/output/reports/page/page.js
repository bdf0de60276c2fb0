// The page as a whole: numbers, failures by kind, hosts, and light or dark.

const GROUPS_SHOWN = 200, REASONS_SHOWN = 10;

function fillNumbers() {
  const { summary } = RUN, count = (name) => COUNT.format(summary[name]);
  const rate = summary.seconds > 0 && summary.bytes ? `${sizeText(summary.bytes / summary.seconds)}/s` : "";
  const told = [
    ["succeeded", count("succeeded"), "success"], ["failed", count("failed"), summary.failed ? "fail" : ""],
    ["skipped", summary.skipped && count("skipped")], ["unchanged", summary.unchanged && count("unchanged")],
    [summary.unread ? "left, or more" : "left", (summary.left || summary.unread) && count("left")],
    ["received", sizeText(summary.bytes)], ["time", durationText(summary.seconds)], ["on average", rate],
  ];
  $("numbers").append(...told.filter(([, value]) => value).map(([name, value, kind]) =>
    element("div", { class: kind ?? "" }, element("dt", {}, name), element("dd", {}, value))));
  $("ending").textContent = RUN.ending || (summary.failed ? "ended with failures" : "ended well");
  const when = new Date(RUN.started);
  $("when").replaceChildren(element("time", { datetime: RUN.started }, when.toLocaleString()), `: ${RUN.line}`);
  document.title = `${summary.failed ? `${count("failed")} failed` : "all well"}, pdl report`;
  $("made").textContent = `Made by pdl ${RUN.version}. The page has all of its data, and asks for nothing.`;
}

// --- failures ---

const ranked = (map) => [...map].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
const counted = (map, key) => map.set(key, (map.get(key) ?? 0) + 1);

function fillFailures() {
  const groups = new Map();
  for (const row of ROWS) {
    const kind = kindOf(row);
    if (!kind) continue;
    if (!groups.has(kind)) groups.set(kind, { count: 0, transient: 0, hosts: new Map(), reasons: new Map() });
    const group = groups.get(kind);
    group.count += 1;
    group.transient += field(row, "transient") ? 1 : 0;
    counted(group.hosts, hostOf(row));
    counted(group.reasons, field(row, "message") ?? "");
  }
  const left = groups.get(STOPPED);
  groups.delete(STOPPED);
  const sorted = [...groups].sort((a, b) => b[1].count - a[1].count);
  const box = $("failures");
  if (!sorted.length) box.append(element("p", {}, "No line failed."));
  const most = Math.max(...[...sorted, [STOPPED, left]].map(([, group]) => group?.count ?? 0));
  for (const [kind, group] of sorted.slice(0, GROUPS_SHOWN)) box.append(groupElement(kind, group, most));
  if (left) box.append(groupElement(STOPPED, left, most));
  if (sorted.length === 1) box.querySelector("details").open = true;
}

function groupElement(kind, group, most) {
  const lasting = kind === STOPPED ? "left when the run stopped; the same command goes on" : group.transient === group.count ? "transient" : group.transient ? "some of them transient" : "permanent";
  const hint = RUN.hints[kind] ? `; ${RUN.hints[kind]}` : "";
  const share = element("span", { class: "share" });
  share.style.width = `${(100 * group.count) / most}%`;
  const made = element("details", { "data-kind": kind },
    element("summary", {}, element("b", { class: "text" }, cut(kind, 80)), `: ${plural(group.count, "line")}, ${lasting}${hint}`, share));
  made.addEventListener("toggle", () => {
    if (!made.open || made.querySelector("ul")) return;
    const reasons = ranked(group.reasons), hosts = ranked(group.hosts).filter(([host]) => host);
    const more = reasons.length - REASONS_SHOWN;
    made.append(
      element("p", {}, element("button", { type: "button", onclick: () => showOnly({ kind }) },
        group.count === 1 ? "Show this line" : `Show these ${COUNT.format(group.count)} lines`)),
      element("ul", {},
        ...reasons.slice(0, REASONS_SHOWN).map(([reason, count]) => element("li", {}, said(cut(reason || "no reason given", 1000)), count > 1 ? ` (${COUNT.format(count)})` : "")),
        more > 0 ? element("li", {}, `and ${plural(more, "other reason")}`) : null),
    );
    if (hosts.length) {
      made.append(element("p", {}, hosts.length === 1 ? "At one host: " : "Hosts: ", ...hosts.slice(0, 5).flatMap(([host, count], place) =>
        [place ? ", " : "", said(cut(host, 80)), ` (${COUNT.format(count)})`]), hosts.length > 5 ? ` and ${hosts.length - 5} more` : ""));
    }
  });
  return made;
}

// --- hosts ---

const HOST_HEADS = [
  ["host", "Host"], ["requests", "Requests"], ["pressure", "Pressure"], ["rests", "Rests"],
  ["first_byte_p50", "First byte, median"], ["first_byte_p95", "95th percentile"],
  ["bytes", "Received"], ["bytes_per_second", "Rate"], ["given_up", "Given up"],
];
const HOSTS_AT_FIRST = 12;
const Hosts = { by: RUN.hosts.some((host) => host.pressure) ? "pressure" : "requests", down: true, all: false };

function hostCells(host) {
  const seconds = (value) => (value === null ? "" : durationText(value));
  const name = host.host
    ? element("button", { type: "button", onclick: () => showOnly({ host: host.host.toLowerCase() }), title: "Show its lines" }, said(cut(host.host, 100)))
    : "all others together";
  return [
    name, COUNT.format(host.requests), COUNT.format(host.pressure), COUNT.format(host.rests),
    seconds(host.first_byte_p50), seconds(host.first_byte_p95), sizeText(host.bytes),
    host.bytes_per_second ? `${sizeText(host.bytes_per_second)}/s` : "",
    host.given_up_at ? said(`${plural(host.given_up, "line")}: ${host.reason}`) : "",
  ];
}

function drawHosts() {
  const box = $("hosts"), { by, down, all } = Hosts;
  if (!RUN.hosts.length) { box.replaceChildren(element("p", {}, "No host was asked.")); return; }
  const value = (host) => host[by] ?? -1;
  const sorted = [...RUN.hosts].sort((a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0) * (down ? -1 : 1));
  const shown = all ? sorted : sorted.slice(0, HOSTS_AT_FIRST);
  const numeric = (place) => (place > 0 && place < HOST_HEADS.length - 1 ? "number" : "");
  const table = element("table", {},
    element("caption", { class: "unseen" }, "Hosts that were asked"),
    element("thead", {}, element("tr", {}, ...HOST_HEADS.map(([name, words], place) => element("th", {
      scope: "col", class: numeric(place), "aria-sort": by === name ? (down ? "descending" : "ascending") : null,
    }, element("button", { type: "button", "data-by": name, onclick: () => sortHosts(name) }, words))))),
    element("tbody", {}, ...shown.map((host) => element("tr", {}, ...hostCells(host).map((cell, place) =>
      element("td", { class: numeric(place) }, cell))))));
  const more = sorted.length - shown.length;
  box.replaceChildren(element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table of hosts" }, table),
    more > 0 ? element("button", { type: "button", onclick: () => { Hosts.all = true; drawHosts(); } }, `Show ${COUNT.format(more)} more`) : "");
}

function sortHosts(name) {
  Hosts.down = Hosts.by === name ? !Hosts.down : name !== "host";
  Hosts.by = name;
  drawHosts();
  document.querySelector(`#hosts [data-by="${name}"]`).focus();
}

// --- light and dark ---

function setTheme(dark, { keep = false } = {}) {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  $("theme").setAttribute("aria-pressed", String(dark));
  if (keep) try { localStorage.setItem("pdl-theme", dark ? "dark" : "light"); } catch { /* a page of a file may have no store */ }
  takeColours();
}

function wireTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  let kept = null;
  try { kept = localStorage.getItem("pdl-theme"); } catch { /* as above */ }
  setTheme(kept ? kept === "dark" : system.matches);
  system.addEventListener("change", () => { if (!kept) setTheme(system.matches); });
  $("theme").addEventListener("click", () => {
    kept = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    setTheme(kept === "dark", { keep: true });
  });
}

for (const id of ["main", "theme", "skip"]) $(id).hidden = false; // without a script they are of no use
fillNumbers();
fillFailures();
fillTimeline();
drawHosts();
fillChoices();
wireLines();
wireTimeline();
wireTheme();
applyFilter();
new ResizeObserver(() => { draw(); drawRows(); }).observe($("main"));
