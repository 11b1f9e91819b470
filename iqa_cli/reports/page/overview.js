// Summary, histogram, threshold and folders.

const BIN = 2, BINS = 50; // points of a bar, and bars
const scores = scored.map((photo) => photo.score).sort((a, b) => a - b);
const SVG = "http://www.w3.org/2000/svg";
const bars = [];

function sumUp() {
  const facts = [["Photos", number(photos.length)], ["Scored", number(scored.length)]];
  if (failures.length) facts.push(["Failed", number(failures.length), "bad"]);
  if (groups.length) facts.push(["Groups", number(groups.length)]);
  if (scores.length) {
    facts.push(["Median score", quantile(scores, 0.5).toFixed(1)]);
    facts.push(["Middle half", `${quantile(scores, 0.25).toFixed(1)} to ${quantile(scores, 0.75).toFixed(1)}`]);
    facts.push(["Lowest, highest", `${scores[0].toFixed(1)}, ${scores.at(-1).toFixed(1)}`]);
  }
  if (photos.length) facts.push(["Model", show([...new Set(photos.map((photo) => photo.model))].join(", "))]);
  for (const [name, value, kind] of facts) {
    $("summary").append(make("div", { className: kind || "" }, make("dt", {}, name), make("dd", {}, value)));
  }
  document.title = `iqa: ${plural(photos.length, "photo")}`;
  $("title").textContent = plural(photos.length, "photo");
  $("made").textContent = `scored by iqa ${data.version}, ${data.made}`;
  $("remarks").append(...data.remarks.map((remark) => make("li", {}, show(remark))));
  $("remarks").hidden = !data.remarks.length;
}

function drawHistogram() {
  const counts = Array(BINS).fill(0);
  for (const score of scores) counts[Math.min(Math.floor(score / BIN), BINS - 1)]++;
  const most = Math.max(...counts, 1);
  const svg = document.createElementNS(SVG, "svg");
  for (const [name, value] of Object.entries({ viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true" })) {
    svg.setAttribute(name, value);
  }
  counts.forEach((count, at) => {
    const bar = addShape(svg, "rect", { x: at * BIN + 0.15, width: BIN - 0.3, y: 100 - (97 * count) / most, height: (97 * count) / most });
    const title = document.createElementNS(SVG, "title");
    title.textContent = `${at * BIN} to ${(at + 1) * BIN}: ${plural(count, "photo")}`;
    bar.append(title);
    bars.push(bar);
  });
  addShape(svg, "line", { x1: 0, x2: 100, y1: 99.5, y2: 99.5 });
  $("histogram").append(svg);
  $("histogram").ariaLabel = scores.length
    ? `Histogram of ${plural(scores.length, "score")} from ${scores[0].toFixed(1)} to ${scores.at(-1).toFixed(1)}, median ${quantile(scores, 0.5).toFixed(1)}`
    : "No scores";
}

function addShape(svg, tag, attributes) {
  const shape = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) shape.setAttribute(name, value);
  svg.append(shape);
  return shape;
}

function showThreshold() {
  let low = 0, high = scores.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (scores[middle] < state.threshold) low = middle + 1;
    else high = middle;
  }
  const staying = scores.length - low;
  const share = scores.length ? ` (${((100 * staying) / scores.length).toFixed(1)} %)` : "";
  $("staying").value = `${number(staying)} of ${number(scores.length)} stay${share}, ${number(low)} below`;
  bars.forEach((bar, at) => bar.classList.toggle("goes", (at + 1) * BIN <= state.threshold));
  $("threshold").value = state.threshold;
  if (document.activeElement !== $("threshold-number")) $("threshold-number").value = state.threshold;
}

// ---- folders ----

const FIRST = 200; // rows of the table before it is asked for all
const COLUMNS = [["folder", "Folder"], ["count", "Photos"], ["failed", "Failed"], ["median", "Median"], ["lowest", "Lowest"], ["below", "Below"]];
let folderOrder = { column: "folder", sign: 1 };
let allFolders = false;
const folderRows = listFolders();

function listFolders() {
  const found = new Map();
  for (const photo of photos) {
    if (!found.has(photo.folder)) found.set(photo.folder, []);
    found.get(photo.folder).push(photo);
  }
  return [...found].map(([folder, inside]) => {
    const own = inside.filter((photo) => photo.score !== null).map((photo) => photo.score).sort((a, b) => a - b);
    const median = own.length ? quantile(own, 0.5) : null;
    return { folder, own, count: inside.length, failed: inside.length - own.length, median, lowest: own[0] ?? null, below: 0 };
  });
}

function drawFolders() {
  for (const row of folderRows) row.below = row.own.filter((score) => score < state.threshold).length;
  const { column, sign } = folderOrder;
  const compare = (a, b) => (column === "folder" ? byPath(a.folder, b.folder) : (a[column] ?? 101) - (b[column] ?? 101) || byPath(a.folder, b.folder));
  const sorted = [...folderRows].sort((a, b) => sign * compare(a, b)).slice(0, allFolders ? Infinity : FIRST);
  $("folders-head").replaceChildren(make("tr", {}, ...COLUMNS.map(([name, title]) => {
    const cell = make("th", { scope: "col" }, make("button", { type: "button", onclick: () => sortFolders(name) }, title));
    if (name === column) cell.ariaSort = sign > 0 ? "ascending" : "descending";
    return cell;
  })));
  $("folders-body").replaceChildren(...sorted.map((row) => {
    const button = make("button", { type: "button", title: "Show this folder", onclick: () => chooseFolder(row.folder) }, make("bdi", {}, show(row.folder)));
    const figures = [number(row.count), row.failed ? number(row.failed) : "", fixed(row.median), fixed(row.lowest), row.below ? number(row.below) : ""];
    return make("tr", { className: row.folder === state.folder ? "chosen" : "" }, make("td", {}, button), ...figures.map((figure) => make("td", {}, figure)));
  }));
  $("folders-all").hidden = allFolders || folderRows.length <= FIRST;
}

function fixed(value) {
  return value === null ? "" : value.toFixed(1);
}

function sortFolders(column) {
  folderOrder = { column, sign: folderOrder.column === column ? -folderOrder.sign : 1 };
  drawFolders();
  $("folders-head").querySelectorAll("button")[COLUMNS.findIndex(([name]) => name === column)].focus();
}

function chooseFolder(folder) {
  state.folder = state.folder === folder ? "" : folder;
  $("folder").value = state.folder;
  changed();
}

function listFolderChoices() {
  const names = new Set();
  for (const row of folderRows) {
    const parts = row.folder.split("/");
    for (let depth = 1; depth <= parts.length; depth++) names.add(parts.slice(0, depth).join("/") || "/");
  }
  $("folder").append(make("option", { value: "" }, "all"));
  for (const name of [...names].sort(byPath)) {
    if (name !== "/" || folderRows.some((row) => row.folder === "/")) $("folder").append(make("option", { value: name }, show(name)));
  }
}
