// What happened when: the rate, the hosts in trouble, and a row of bars for each lane.

const GOOD = 0, STILL = 1, HELP = 2, AGAIN = 3, BAD = 4;
const CLASSES = [
  ["good", "received"], ["still", "nothing to fetch, or stopped"], ["help", "helped with a large file"],
  ["again", "failed, tried again"], ["bad", "failed"],
];
const GUTTER = 40; // pixels for the numbers of lanes
const HOSTS_DRAWN = 8;
const AREA_MOST = 16e6; // pixels of a canvas

const Time = { from: 0, to: 1, end: 1, chosen: -1, colours: {}, laneHeight: 20, lanes: [], used: new Set() };

// --- the attempts, as columns: there may be very many ---

const Spans = (() => {
  const list = taken("spans"), count = list.length, places = new Map();
  const key = (source, line) => source * 2 ** 31 + line;
  ROWS.forEach((row, place) => places.set(key(row[COLUMN.source], row[COLUMN.line]), place));
  const made = {
    count, words: new Map(),
    begin: new Float64Array(count), took: new Float32Array(count), first: new Float32Array(count),
    received: new Float64Array(count), lane: new Uint16Array(count), row: new Int32Array(count), class: new Uint8Array(count),
  };
  const still = new Set(["unchanged", "skipped"].map((word) => RUN.outcomes.indexOf(word)));
  const numbers = [...new Set(list.map((each) => each[2]))].sort((a, b) => a - b);
  const dense = new Map(numbers.map((number, place) => [number, place]));
  const last = new Map();
  list.forEach(([source, line, lane, begin, took, first, received, word, helps], place) => {
    const row = places.get(key(source, line)) ?? -1;
    made.begin[place] = begin; made.took[place] = took; made.first[place] = first ?? NaN;
    made.received[place] = received; made.lane[place] = dense.get(lane); made.row[place] = row;
    if (word) made.words.set(place, word);
    made.class[place] = word === STOPPED ? STILL : helps ? HELP : word ? AGAIN : row >= 0 && still.has(ROWS[row][COLUMN.outcome]) ? STILL : GOOD;
    if (!helps && row >= 0) last.set(row, place);
    Time.end = Math.max(Time.end, begin + took);
  });
  for (const [row, place] of last) { // what ended its line was not tried again
    if (made.class[place] === AGAIN && ROWS[row][COLUMN.outcome] === FAIL) made.class[place] = BAD;
  }
  Time.lanes = numbers.map(() => []);
  for (let place = 0; place < count; place += 1) {
    Time.lanes[made.lane[place]].push(place);
    Time.used.add(made.class[place]);
  }
  for (const lane of Time.lanes) lane.sort((a, b) => made.begin[a] - made.begin[b]);
  Time.end = Math.max(Time.end, RUN.seconds * 1000);
  Time.to = Time.end;
  return made;
})();

function spanAt(place) {
  const { begin, took, first, received, lane, words } = Spans;
  return {
    begin: begin[place], took: took[place], first: Number.isNaN(first[place]) ? null : first[place],
    received: received[place], lane: lane[place], word: words.get(place) ?? "", helps: Spans.class[place] === HELP,
  };
}

function spansOf(row) {
  const found = [];
  for (let place = 0; place < Spans.count; place += 1) if (Spans.row[place] === row) found.push(spanAt(place));
  return found.sort((a, b) => a.begin - b.begin);
}

// --- drawing ---

/** A canvas as sharp as the screen, empty; null while it has no width. */
function blank(canvas, height) {
  const width = canvas.clientWidth;
  if (!width) return null;
  const ratio = Math.min(devicePixelRatio || 1, Math.sqrt(AREA_MOST / (width * height)));
  canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio);
  canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.font = "12px system-ui, sans-serif";
  pen.textBaseline = "middle";
  return { pen, width, height };
}

const xOf = (time, width) => GUTTER + ((time - Time.from) / (Time.to - Time.from)) * (width - GUTTER);
const timeOf = (x, width) => Time.from + ((x - GUTTER) / (width - GUTTER)) * (Time.to - Time.from);

/** Times that are good to read, some seven of them. */
function marks(width) {
  const rough = (Time.to - Time.from) / Math.max(2, Math.min(8, width / 130));
  const power = 10 ** Math.floor(Math.log10(rough));
  const nice = [1, 2, 5, 10].map((each) => each * power), clock = [15e3, 30e3, 60e3, 120e3, 300e3, 600e3, 900e3, 1800e3, 3600e3, 7200e3, 14400e3, 28800e3, 86400e3];
  const step = rough < 10e3 ? nice.find((each) => each >= rough) : clock.find((each) => each >= rough) ?? rough;
  const found = [];
  for (let time = Math.ceil(Time.from / step) * step; time <= Time.to; time += step) found.push(time);
  return { found, step };
}

function markText(time, step) {
  if (step < 1000) return `${(time / 1000).toFixed(Math.max(0, Math.ceil(-Math.log10(step / 1000))))} s`;
  if (Time.end < 120e3) return `${Math.round(time / 1000)} s`;
  const seconds = Math.round(time / 1000), two = (number) => String(number).padStart(2, "0");
  return `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

function grid({ pen, width, height }, labels = false) {
  const { found, step } = marks(width);
  pen.fillStyle = Time.colours.edge;
  for (const time of found) pen.fillRect(Math.round(xOf(time, width)), 0, 1, height);
  if (!labels) return;
  pen.fillStyle = Time.colours.soft;
  let free = 0;
  for (const time of found) {
    const text = markText(time, step), wide = pen.measureText(text).width;
    const x = Math.min(Math.max(xOf(time, width) - wide / 2, 2), width - wide - 2);
    if (x < free) continue;
    pen.fillText(text, x, height - 9);
    free = x + wide + 10;
  }
}

/** Bytes received until a time, by the points of the curve. */
function receivedUntil(time) {
  const points = RUN.samples;
  if (!points.length) return 0;
  let low = 0, high = points.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle][0] * 1000 < time) low = middle + 1; else high = middle;
  }
  const [at, bytes] = points[low], [before, fewer] = low ? points[low - 1] : [0, 0];
  if (at * 1000 <= time || at === before) return bytes;
  return fewer + (bytes - fewer) * Math.max(0, (time / 1000 - before) / (at - before));
}

function drawRate() {
  const sheet = blank($("rate"), 110);
  if (!sheet) return;
  const { pen, width } = sheet, floor = 90;
  grid(sheet, true);
  const count = Math.max(10, Math.floor((width - GUTTER) / 4)), step = (Time.to - Time.from) / count;
  const rates = Array.from({ length: count }, (_, k) => {
    const begin = Time.from + k * step;
    return ((receivedUntil(begin + step) - receivedUntil(begin)) / step) * 1000;
  });
  const most = Math.max(...rates);
  if (most > 0) {
    pen.fillStyle = Time.colours.area;
    rates.forEach((rate, k) => {
      const tall = (rate / most) * (floor - 22);
      pen.fillRect(xOf(Time.from + k * step, width), floor - tall, (width - GUTTER) / count + 0.5, tall);
    });
  }
  pen.fillStyle = Time.colours.edge;
  pen.fillRect(GUTTER, floor, width, 1);
  pen.fillStyle = Time.colours.text;
  pen.fillText(most > 0 ? `up to ${sizeText(most)}/s` : "nothing was received", GUTTER + 4, 10);
}

/** When each host was not asked, or for less: bands by host, those with most to tell first. */
const TROUBLES = (() => {
  const hosts = new Map();
  for (const [at, host, what, why, seconds] of RUN.events) {
    const begin = at * 1000;
    if (!hosts.has(host)) hosts.set(host, []);
    const bands = hosts.get(host), open = bands[bands.length - 1];
    if (open && (what !== "cut" || open.what === "cut") && begin < open.to) open.to = begin;
    if (what === "rest") bands.push({ what, why, from: begin, to: begin + (seconds ?? 0) * 1000 });
    if (what === "cut" || what === "given-up") bands.push({ what, why, from: begin, to: Infinity });
  }
  return [...hosts].filter(([, bands]) => bands.length).sort((a, b) => b[1].length - a[1].length);
})();

function troubleText(bands) {
  const has = (what) => bands.filter((each) => each.what === what).length, last = bands[bands.length - 1];
  const words = [
    has("rest") && plural(has("rest"), "rest"), has("cut") && "asked for less at once", has("given-up") && "given up",
  ];
  return `${words.filter(Boolean).join(", ")}${last.why ? ` (${last.why})` : ""}`;
}

function drawTroubles() {
  const shown = TROUBLES.slice(0, HOSTS_DRAWN), tall = 30;
  $("trouble-box").hidden = !shown.length;
  const more = TROUBLES.length - shown.length;
  const sheet = shown.length && blank($("trouble"), tall * shown.length + (more ? 20 : 4));
  if (!sheet) return;
  const { pen, width } = sheet, { colours } = Time;
  grid(sheet);
  const look = { rest: [colours.again, 8], cut: [colours.still, 3], "given-up": [colours.bad, 8] };
  shown.forEach(([host, bands], row) => {
    const y = row * tall;
    for (const { what, from, to } of bands) {
      const begin = Math.max(GUTTER, xOf(from, width)), stop = Math.min(width, xOf(Math.min(to, Time.end), width));
      if (stop < GUTTER || begin > width) continue;
      pen.fillStyle = look[what][0];
      pen.fillRect(begin, y + 18 + (8 - look[what][1]) / 2, Math.max(1, stop - begin), look[what][1]);
    }
    pen.fillStyle = colours.text;
    pen.fillText(cut(`${host}: ${troubleText(bands)}`, 120), 6, y + 10);
  });
  pen.fillStyle = colours.soft;
  if (more) pen.fillText(`and ${plural(more, "more host")}: see Hosts`, 6, tall * shown.length + 10);
}

const tops = (lane) => lane * Time.laneHeight + 2;

/** The first of a lane's attempts that ends after a time. */
function firstAfter(lane, time) {
  const list = Time.lanes[lane];
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1, place = list[middle];
    if (Spans.begin[place] + Spans.took[place] < time) low = middle + 1; else high = middle;
  }
  return Math.max(0, low - 1); // two may overlap a little
}

function drawLanes() {
  const count = Time.lanes.length;
  Time.laneHeight = Math.max(6, Math.min(22, Math.floor(400 / Math.max(1, count))));
  const sheet = blank($("lanes"), Math.max(40, count * Time.laneHeight + 4));
  if (!sheet) return;
  const { pen, width } = sheet, { colours } = Time, tall = Time.laneHeight - 2;
  grid(sheet);
  if (!count) { pen.fillStyle = colours.soft; pen.fillText("No lane had anything to do.", GUTTER, 20); }
  for (let lane = 0; lane < count; lane += 1) {
    const y = tops(lane);
    for (const late of [false, true]) { // what failed is drawn over what did not
      const seen = [-1, -1, -1, -1, -1];
      for (let k = firstAfter(lane, Time.from); k < Time.lanes[lane].length; k += 1) {
        const place = Time.lanes[lane][k], sort = Spans.class[place];
        if (Spans.begin[place] > Time.to) break;
        if (sort >= AGAIN !== late) continue;
        const x = Math.max(GUTTER, xOf(Spans.begin[place], width));
        const wide = Math.min(width, xOf(Spans.begin[place] + Spans.took[place], width)) - x;
        if (wide < 0) continue;
        if (wide < 1) { // many stand in one pixel
          if (seen[sort] === Math.floor(x)) continue;
          seen[sort] = Math.floor(x);
        }
        bar(pen, sort, x, y, Math.max(1, wide), tall, place);
      }
    }
  }
  const every = Math.max(1, Math.ceil(14 / Time.laneHeight));
  pen.fillStyle = colours.panel;
  pen.fillRect(0, 0, GUTTER - 1, sheet.height);
  pen.fillStyle = colours.soft;
  pen.textAlign = "right";
  for (let lane = 0; lane < count; lane += every) pen.fillText(String(lane + 1), GUTTER - 8, tops(lane) + tall / 2);
  pen.textAlign = "left";
  if (Time.chosen >= 0) outline(pen, width, tall);
}

/** A bar: lighter while nothing had come; what failed is taller than the rest, and not just red. */
function bar(pen, sort, x, y, wide, tall, place) {
  const { colours } = Time, low = sort < AGAIN && tall > 6 ? Math.round(tall * 0.25) : 0;
  pen.fillStyle = colours[CLASSES[sort][0]];
  pen.fillRect(x, y + low / 2, wide > 3 ? wide - 0.5 : wide, tall - low);
  const share = Spans.first[place] / Spans.took[place];
  if (sort !== GOOD || wide < 3 || !(share > 0)) return;
  pen.fillStyle = colours.wait;
  pen.fillRect(x, y + low / 2, Math.min(wide - 1, waits(place, x, wide, share)), tall - low);
}

/** How many pixels of a bar show the time before the first byte; its begin may be out of sight. */
function waits(place, x, wide, share) {
  const width = $("lanes").clientWidth;
  return Math.max(0, xOf(Spans.begin[place] + Spans.took[place] * Math.min(1, share), width) - x);
}

function outline(pen, width, tall) {
  const place = Time.chosen, x = Math.max(GUTTER, xOf(Spans.begin[place], width));
  const wide = Math.max(3, Math.min(width, xOf(Spans.begin[place] + Spans.took[place], width)) - x);
  pen.strokeStyle = Time.colours.focus;
  pen.lineWidth = 2;
  pen.strokeRect(x - 1, tops(Spans.lane[place]) - 1, wide + 2, tall + 2);
}

let drawing = false;
function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => { drawing = false; drawRate(); drawTroubles(); drawLanes(); });
}

function takeColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["panel", "edge", "text", "soft", "focus", "area", "wait", ...CLASSES.map(([each]) => each)]) {
    Time.colours[name] = style.getPropertyValue(`--${name}`).trim();
  }
  draw();
}

// --- going about in it ---

function view(from, to) {
  const least = Math.min(1, Time.end), wide = Math.max(least, Math.min(to - from, Time.end));
  Time.from = Math.max(0, Math.min(from, Time.end - wide));
  Time.to = Time.from + wide;
  $("whole").disabled = $("farther").disabled = wide >= Time.end;
  $("earlier").disabled = Time.from <= 0;
  $("later").disabled = Time.to >= Time.end - 1e-6;
  draw();
}

function zoom(factor, around = (Time.from + Time.to) / 2) {
  view(around - (around - Time.from) * factor, around + (Time.to - around) * factor);
}

const shift = (share) => view(Time.from + share * (Time.to - Time.from), Time.to + share * (Time.to - Time.from));

function spanText(place) {
  const span = spanAt(place), row = Spans.row[place] < 0 ? null : ROWS[Spans.row[place]];
  const name = row ? field(row, "path") ?? field(row, "url") : "a line without a row";
  const how = span.word ? `${CLASSES[Spans.class[place]][1]} (${span.word})` : CLASSES[Spans.class[place]][1];
  return `Lane ${span.lane + 1}, from ${durationText(span.begin / 1000)} for ${durationText(span.took / 1000)}: ${cut(name, 120)}, ${sizeText(span.received)}, ${how}`;
}

function choose(place) {
  Time.chosen = place;
  $("span").textContent = place < 0 ? "" : spanText(place);
  if (place >= 0) {
    const begin = Spans.begin[place], end = begin + Spans.took[place], wide = Time.to - Time.from;
    if (begin > Time.to || end < Time.from) view(begin - wide / 2, begin + wide / 2);
    const box = $("lanes-box"), y = tops(Spans.lane[place]);
    if (y < box.scrollTop) box.scrollTop = y - 4;
    if (y + Time.laneHeight > box.scrollTop + box.clientHeight) box.scrollTop = y + Time.laneHeight - box.clientHeight + 4;
  }
  draw();
}

/** The attempt of a lane that is at a time, or the next to it. */
function nearest(lane, time) {
  const list = Time.lanes[lane] ?? [];
  if (!list.length) return -1;
  let best = -1, least = Infinity;
  const first = Math.max(0, firstAfter(lane, time) - 1);
  for (const place of list.slice(first, first + 4)) {
    const begin = Spans.begin[place], away = Math.max(begin - time, time - begin - Spans.took[place], 0);
    if (away < least) { least = away; best = place; }
  }
  return best;
}

function step(lanes, attempts) {
  if (!Spans.count) return;
  if (Time.chosen < 0) { choose(nearest(0, Time.from)); return; }
  const lane = Spans.lane[Time.chosen], list = Time.lanes[lane];
  if (attempts) {
    choose(list[Math.max(0, Math.min(list.length - 1, list.indexOf(Time.chosen) + attempts))]);
  } else {
    const other = Math.max(0, Math.min(Time.lanes.length - 1, lane + lanes));
    if (other !== lane) choose(nearest(other, Spans.begin[Time.chosen] + Spans.took[Time.chosen] / 2));
  }
}

function hit(event) {
  const box = $("lanes").getBoundingClientRect(), x = event.clientX - box.left, width = box.width;
  const lane = Math.floor((event.clientY - box.top - 2) / Time.laneHeight);
  if (x < GUTTER || lane < 0 || lane >= Time.lanes.length) return -1;
  const place = nearest(lane, timeOf(x, width));
  if (place < 0) return -1;
  const begin = xOf(Spans.begin[place], width), end = xOf(Spans.begin[place] + Spans.took[place], width);
  return x < begin - 4 || x > end + 4 ? -1 : place;
}

function openChosen() {
  if (Time.chosen >= 0 && Spans.row[Time.chosen] >= 0) openRow(Spans.row[Time.chosen]);
}

function wireTimeline() {
  const lanes = $("lanes");
  $("earlier").addEventListener("click", () => shift(-0.5));
  $("later").addEventListener("click", () => shift(0.5));
  $("closer").addEventListener("click", () => zoom(0.5));
  $("farther").addEventListener("click", () => zoom(2));
  $("whole").addEventListener("click", () => view(0, Time.end));
  const keys = {
    ArrowLeft: () => step(0, -1), ArrowRight: () => step(0, 1), ArrowUp: () => step(-1, 0), ArrowDown: () => step(1, 0),
    "+": () => zoom(0.5, centre()), "=": () => zoom(0.5, centre()), "-": () => zoom(2, centre()), 0: () => view(0, Time.end),
    Enter: openChosen, " ": openChosen,
  };
  const centre = () => (Time.chosen < 0 ? undefined : Spans.begin[Time.chosen] + Spans.took[Time.chosen] / 2);
  lanes.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || !(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  });
  let held = null, moved = false;
  lanes.addEventListener("pointerdown", (event) => {
    held = { x: event.clientX, from: Time.from, to: Time.to };
    moved = false;
    lanes.setPointerCapture(event.pointerId);
  });
  lanes.addEventListener("pointermove", (event) => {
    if (!held) {
      const place = hit(event);
      if (place >= 0) { $("span").textContent = spanText(place); lanes.style.cursor = "pointer"; } else lanes.style.cursor = "grab";
      return;
    }
    const away = event.clientX - held.x;
    moved = moved || Math.abs(away) > 4;
    if (moved) {
      const by = (-away / (lanes.clientWidth - GUTTER)) * (held.to - held.from);
      view(held.from + by, held.to + by);
    }
  });
  lanes.addEventListener("pointerup", (event) => {
    held = null;
    if (moved) return;
    choose(hit(event));
    openChosen();
  });
  lanes.addEventListener("pointercancel", () => { held = null; });
  for (const id of ["lanes", "rate", "trouble"]) {
    $(id).addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      zoom(event.deltaY < 0 ? 0.7 : 1.4, timeOf(event.clientX - lanes.getBoundingClientRect().left, lanes.clientWidth));
    }, { passive: false });
  }
  $("lanes-table").addEventListener("toggle", () => {
    if ($("lanes-table").open && !$("lanes-table").querySelector("table")) $("lanes-table").append(lanesTable());
  });
}

function lanesTable() {
  const heads = [["Lane", 1], ["Attempts", 1], ["Failed", 1], ["Received", 1], ["Busy", 1]];
  return tableOf("Lanes", heads, Time.lanes.map((list, lane) => {
    const sum = (values) => list.reduce((all, place) => all + values(place), 0);
    const busy = sum((place) => Spans.took[place]) / Time.end;
    return [
      String(lane + 1), COUNT.format(list.length), COUNT.format(sum((place) => Spans.class[place] >= AGAIN)),
      sizeText(sum((place) => Spans.received[place])), `${Math.round(Math.min(1, busy) * 100)} %`,
    ];
  }));
}

function fillTimeline() {
  $("legend").append(...[...Time.used].sort().map((sort) => {
    const [name, words] = CLASSES[sort];
    return element("li", {}, element("i", { class: `c-${name}${sort < AGAIN ? " low" : ""}` }), words);
  }));
  if (Time.used.has(GOOD)) $("legend").append(element("li", {}, element("i", { class: "c-wait low" }), "until the first byte"));
  if (TROUBLES.length) {
    const kinds = new Set(TROUBLES.flatMap(([, bands]) => bands.map((each) => each.what)));
    if (kinds.has("rest")) $("legend").append(element("li", {}, element("i", { class: "c-again low" }), "host rests"));
    if (kinds.has("cut")) $("legend").append(element("li", {}, element("i", { class: "c-still low" }), "host is asked for less"));
    if (kinds.has("given-up")) $("legend").append(element("li", {}, element("i", { class: "c-bad low" }), "host is given up"));
  }
  $("lanes-count").textContent = `(${Time.lanes.length})`;
  $("rate-told").textContent = `${sizeText(RUN.summary.bytes)} in ${durationText(RUN.summary.seconds)}`;
  view(0, Time.end);
}
