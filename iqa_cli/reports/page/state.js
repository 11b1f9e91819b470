// What is shown: filters, order, threshold and marks.

const state = {
  view: "photos", text: "", folder: "", show: "all", order: "score", threshold: 0,
  marked: new Set(), current: null, shown: [],
};
const ORDERS = {
  score: (a, b) => a.score - b.score || a.place - b.place,
  "-score": (a, b) => b.score - a.score || a.place - b.place,
  path: (a, b) => a.place - b.place,
  size: (a, b) => a.pixels - b.pixels || a.place - b.place,
  "-size": (a, b) => b.pixels - a.pixels || a.place - b.place,
};

function recall(key) {
  try { return localStorage.getItem(key); } catch { return null; } // where a browser keeps nothing for files
}

function keep(key, value) {
  try { localStorage.setItem(key, value); } catch { /* then it is forgotten */ }
}

function goes(photo) {
  return photo.score !== null && photo.score < state.threshold;
}

function isBelow(photo, folder) {
  return !folder || photo.folder === folder || photo.folder.startsWith(folder === "/" ? folder : `${folder}/`);
}

function isShown(photo) {
  if (state.show === "stay" && goes(photo)) return false;
  if (state.show === "go" && !goes(photo)) return false;
  if (state.show === "marked" && !state.marked.has(photo.index)) return false;
  return isBelow(photo, state.folder) && (!state.text || photo.sought.includes(state.text));
}

function groupOf(photo) {
  return photo.extra === undefined ? null : photo.extra.group ?? null;
}

const groupSizes = new Map();
for (const photo of scored) {
  if (groupOf(photo) !== null) groupSizes.set(groupOf(photo), (groupSizes.get(groupOf(photo)) || 0) + 1);
}
const groups = [...groupSizes.keys()].filter((group) => groupSizes.get(group) > 1);

// What the view shows, in order: for groups, all of a group together, its best first.
function choose() {
  if (state.view === "failures") return failures.filter(isShown).sort(ORDERS.path);
  const found = scored.filter(isShown);
  if (state.view === "photos") return found.sort(ORDERS[state.order]);
  const ranks = new Map();
  const grouped = found.filter((photo) => groupSizes.get(groupOf(photo)) > 1);
  for (const photo of [...grouped].sort(ORDERS[state.order])) {
    if (!ranks.has(groupOf(photo))) ranks.set(groupOf(photo), ranks.size);
  }
  const rank = (photo) => photo.extra.rank_in_group ?? 0;
  return grouped.sort((a, b) => ranks.get(groupOf(a)) - ranks.get(groupOf(b)) || rank(a) - rank(b) || ORDERS["-score"](a, b));
}

// ---- marks ----

const MARKS = `iqa-marks-${data.id}`;
try {
  for (const index of JSON.parse(recall(MARKS) || "[]")) if (photos[index]) state.marked.add(index);
} catch { /* what another page kept */ }

function mark(chosen, wanted) {
  for (const photo of chosen) {
    if (wanted) state.marked.add(photo.index);
    else state.marked.delete(photo.index);
  }
  keep(MARKS, JSON.stringify([...state.marked]));
}
