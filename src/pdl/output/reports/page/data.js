"use strict";
// What the page has to show, taken out of the elements that hold it, and how it is said in words.

const $ = (id) => document.getElementById(id);

/** All data in elements of a class; those of lists are joined. */
function taken(name) {
  const all = [];
  for (const element of document.querySelectorAll(`script.${name}`)) {
    for (const each of JSON.parse(element.textContent)) all.push(each);
    element.remove(); // its text is in memory twice else
  }
  return all;
}

const RUN = JSON.parse(document.querySelector("script.run").textContent);
const ROWS = taken("rows");
const COLUMN = Object.fromEntries(RUN.columns.map((name, place) => [name, place]));
const FAIL = RUN.outcomes.indexOf("fail");
const STOPPED = "cancelled"; // the kind of what a stop of the run left, which is no failure of its own

/** A field of a row; what is empty at its end was left out. */
function field(row, name) {
  const value = row[COLUMN[name]];
  return value === undefined ? null : value;
}

const finalUrl = (row) => field(row, "final_url") ?? (field(row, "status") ? field(row, "url") : null);

/** Name and port of the server that was asked last; empty where the line is no URL. */
function hostOf(row) {
  const url = field(row, "final_url") ?? field(row, "url") ?? "";
  const found = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/(?:[^/?#@]*@)?([^/?#]*)/.exec(url);
  return found ? found[1].toLowerCase() : "";
}

const kindOf = (row) => (row[COLUMN.outcome] === FAIL ? field(row, "kind") ?? "internal" : "");

// --- words ---

const COUNT = new Intl.NumberFormat("en");

function sizeText(bytes) {
  if (bytes === null) return "";
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let place = 0;
  while (bytes >= 1024 && place < units.length - 1) { bytes /= 1024; place += 1; }
  return `${place && bytes < 100 ? bytes.toFixed(1) : Math.round(bytes)} ${units[place]}`;
}

function durationText(seconds) {
  if (seconds < 0.0005) return seconds > 0 ? "<1 ms" : "0 s";
  if (seconds < 1) return `${Math.max(1, Math.round(seconds * 1000))} ms`;
  if (seconds < 100) return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  const whole = Math.round(seconds), minutes = Math.floor(whole / 60) % 60, hours = Math.floor(whole / 3600);
  return hours ? `${hours} h ${minutes} min` : `${minutes} min ${whole % 60} s`;
}

const plural = (count, word) => `${COUNT.format(count)} ${word}${count === 1 ? "" : "s"}`;

const placeOf = (row) => {
  const source = RUN.sources[row[COLUMN.source]], line = row[COLUMN.line];
  return line ? `${source === "-" ? "standard input" : source}, line ${line}` : "";
};

/** The beginning of a text, where all of it has no room. */
const cut = (text, most = 300) => (text.length > most ? `${text.slice(0, most)}…` : text);

// --- elements: text is put in as text, so nothing of it is markup ---

function element(tag, options = {}, ...inside) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...inside.filter((each) => each !== null && each !== undefined));
  return made;
}

/** Text of others: what it does to the order of characters ends with it. */
const said = (text, tag = "span") => element(tag, { class: "text", dir: "auto" }, text);

/** A link to what was asked for, if it is of a kind that a browser may follow. */
function webLink(url) {
  if (!/^https?:\/\//i.test(url)) return said(url);
  return element("a", { class: "text", href: url, rel: "noreferrer noopener", dir: "ltr" }, url);
}

/** A link to the file beside the page. Each part of its path is encoded. */
function fileLink(path) {
  const parts = path.split("/").map(encodeURIComponent).join("/");
  return element("a", { class: "text", href: RUN.home + parts, dir: "auto" }, path);
}
