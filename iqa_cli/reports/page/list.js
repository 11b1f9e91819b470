// The list: only what can be seen of it is in the page.

const TILE = { width: 190, gap: 12, height: 232, reasons: 22 };
const FAILURE = 44, FAILURE_NARROW = 68, HEADING = 44, MARGIN = 600; // px
const list = $("list");
const elements = new Map(); // photo, or its heading, by key -> element
let rows = []; // {top, height, items: [{key, photo, make, x, width, height}]}, from the top down
let columns = 1;
const extraLines = [reasonsOf, nativeOf].filter((told) => scored.some(told)).length; // of a tile

function layOut() {
  const width = list.clientWidth;
  rows = [];
  if (state.view === "failures") layOutFailures(width);
  else layOutTiles(width);
  const last = rows.at(-1);
  list.style.height = `${last ? last.top + last.height : 0}px`;
}

function layOutFailures(width) {
  const height = width < 600 ? FAILURE_NARROW : FAILURE;
  columns = 1;
  rows = state.shown.map((photo, at) => (
    { top: at * height, height, items: [{ key: photo.index, photo, make: makeFailure, x: 0, width, height: height - 6 }] }));
}

function layOutTiles(width) {
  columns = Math.max(1, Math.floor((width + TILE.gap) / (TILE.width + TILE.gap)));
  const wide = (width - TILE.gap * (columns - 1)) / columns;
  const high = TILE.height + extraLines * TILE.reasons;
  let top = 0, row = null, group = null;
  for (const photo of state.shown) {
    if (state.view === "groups" && groupOf(photo) !== group) {
      group = groupOf(photo);
      const heading = { key: `group ${photo.index}`, photo, make: makeHeading, x: 0, width, height: HEADING };
      rows.push({ top, height: HEADING, items: [heading] });
      top += HEADING;
      row = null;
    }
    if (row === null || row.items.length === columns) {
      row = { top, height: high + TILE.gap, items: [] };
      rows.push(row);
      top += row.height;
    }
    row.items.push({
      key: photo.index, photo, make: makeTile, x: row.items.length * (wide + TILE.gap), width: wide, height: high,
    });
  }
}

// The first row whose end lies below a height.
function findRow(height) {
  let low = 0, high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle].top + rows[middle].height <= height) low = middle + 1;
    else high = middle;
  }
  return low;
}

function draw(all = 0) {
  if (list.classList.contains("printed") && !all) return; // all of it is there until the page has been printed
  const top = -list.getBoundingClientRect().top;
  const first = all ? 0 : findRow(top - MARGIN);
  const wanted = new Map();
  for (let at = first; at < rows.length && (all ? wanted.size < all : rows[at].top < top + innerHeight + MARGIN); at++) {
    for (const item of rows[at].items) wanted.set(item.key, [item, rows[at]]);
  }
  const focused = list.contains(document.activeElement) ? state.current : null; // what has the focus stays
  if (focused !== null && !wanted.has(focused.index)) {
    const row = rows.find((other) => other.items.some((item) => item.photo === focused && item.key === focused.index));
    if (row) wanted.set(focused.index, [row.items.find((item) => item.photo === focused), row]);
  }
  for (const [key, element] of elements) {
    if (!wanted.has(key)) {
      element.remove();
      elements.delete(key);
    }
  }
  let next = list.firstElementChild;
  for (const [key, [item, row]] of wanted) {
    let element = elements.get(key);
    if (!element) {
      element = item.make(item.photo);
      elements.set(key, element);
      element.photo = item.make === makeHeading ? null : item.photo;
    }
    if (element === next) next = next.nextElementSibling;
    else list.insertBefore(element, next);
    element.style.transform = `translate(${item.x}px, ${row.top}px)`;
    element.style.width = `${item.width}px`;
    element.style.height = `${item.height}px`;
    if (element.photo) refresh(element, item.photo);
  }
}

// ---- the current photo ----

function findPlace(photo) {
  return rows.findIndex((row) => row.items.some((item) => item.key === photo.index));
}

function makeCurrent(photo, { focus = true } = {}) {
  state.current = photo;
  const place = photo === null ? -1 : findPlace(photo);
  if (place >= 0 && focus) {
    reveal(rows[place]);
    draw();
    elements.get(photo.index).focus({ preventScroll: true });
  }
  draw();
}

function reveal(row) {
  const sticky = getComputedStyle($("bar")).position === "sticky" ? $("bar").offsetHeight : 0;
  const top = list.getBoundingClientRect().top + row.top;
  if (top < sticky + 8) scrollBy(0, top - sticky - 8);
  else if (top + row.height > innerHeight) scrollBy(0, top + row.height - innerHeight + 8);
}

// The photo that lies so many photos further, or rows for a step of rows.
function findNext(step, byRow) {
  const shown = state.shown;
  const at = shown.indexOf(state.current);
  if (at < 0) return shown[0] ?? null;
  if (!byRow || columns === 1) return shown[Math.min(Math.max(at + step, 0), shown.length - 1)];
  const tiles = rows.filter((row) => row.items[0].make !== makeHeading);
  const row = tiles.findIndex((other) => other.items.some((item) => item.photo === state.current));
  const column = tiles[row].items.findIndex((item) => item.photo === state.current);
  const target = tiles[Math.min(Math.max(row + step, 0), tiles.length - 1)];
  return target.items[Math.min(column, target.items.length - 1)].photo;
}
