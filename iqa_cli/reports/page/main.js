// What happens when something is typed, clicked or moved.

const KEYS = [
  ["arrows, j, k", "go to another photo; j the next, k the one before"], ["Home, End", "the first, the last"],
  ["space", "mark or unmark the photo"], ["Enter", "show it large; again: open the file"],
  ["c", "copy the marked paths; without any, that of the photo"], ["/", "filter"], ["t", "dark or light"],
  ["Esc", "close, or leave the filter"], ["?", "these keys"],
];

// After a change of marks or of the threshold alone.
function update() {
  $("unmark").disabled = !state.marked.size;
  $("copy").textContent = state.marked.size ? `Copy ${plural(state.marked.size, "path")}` : "Copy paths";
  const kind = state.view === "failures" ? "failure" : "photo";
  const all = state.view === "failures" ? failures.length : scored.length;
  const some = state.shown.length === all ? plural(all, kind) : `${number(state.shown.length)} of ${plural(all, kind)}`;
  $("count").textContent = some + (state.marked.size ? `, ${number(state.marked.size)} marked` : "");
  draw();
}

// After a change of what is shown, or how.
function changed() {
  state.shown = choose();
  if (!state.shown.includes(state.current)) state.current = state.shown[0] ?? null;
  for (const button of $("views").children) button.ariaPressed = String(button.dataset.view === state.view);
  $("sort").disabled = state.view === "failures";
  $("list").ariaLabel = state.view === "failures" ? "Failures" : "Photos";
  $("empty").hidden = state.shown.length > 0;
  $("mark-all").disabled = !state.shown.length;
  showThreshold();
  drawFolders();
  for (const element of elements.values()) element.remove();
  elements.clear();
  layOut();
  const sticky = $("bar").offsetTop;
  if (scrollY > sticky) scrollTo(0, sticky);
  update();
}

const planned = new Set();
function soon(action) {
  if (planned.has(action)) return;
  planned.add(action);
  requestAnimationFrame(() => { planned.delete(action); action(); });
}

function redraw() {
  draw();
}

function layOutAnew() {
  layOut();
  draw();
}

function setThreshold(text) {
  const value = Number(text);
  if (text === "" || !(value >= 0 && value <= 100)) return;
  state.threshold = value;
  showThreshold();
  if (state.show === "stay" || state.show === "go") soon(changed);
  else { drawFolders(); soon(update); }
}

// ---- theme ----

function isDark() {
  return (document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
}

function setTheme(theme) {
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
  $("theme").textContent = isDark() ? "Light" : "Dark";
}

function switchTheme() {
  setTheme(isDark() ? "light" : "dark");
  keep("iqa-theme", document.documentElement.dataset.theme);
}

// ---- keys ----

const STEPS = {
  ArrowLeft: [-1, false], ArrowRight: [1, false], ArrowUp: [-1, true], ArrowDown: [1, true], j: [1, false], k: [-1, false],
  Home: [-Infinity, false], End: [Infinity, false],
};

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target;
  if ($("help").open || $("paths").open) return;
  const typing = target.matches("input:not([type=checkbox]), select, textarea");
  if (typing) {
    if (event.key === "Escape" && target === $("filter")) makeCurrent(state.current);
    return;
  }
  const onControl = target.closest("button, a, summary, .table");
  if ($("detail").open ? pressInDetail(event, onControl) : pressInList(event, onControl)) event.preventDefault();
}

function pressAnywhere(key) {
  if (key === "c") copyPaths();
  else if (key === "t") switchTheme();
  else return false;
  return true;
}

function pressInDetail({ key }, onControl) {
  if (key === " " && !onControl && state.current) toggle(state.current);
  else if (key === "Enter" && !onControl) $("detail-open").click();
  else if (STEPS[key]) stepDetail(STEPS[key][0]);
  else return pressAnywhere(key);
  return true;
}

function pressInList({ key, target }, onControl) {
  if (STEPS[key]) {
    if (onControl && !list.contains(target)) return false; // in a table or a bar, these scroll or move
    makeCurrent(list.contains(target) || state.current === null ? findNext(...STEPS[key]) : state.current);
  } else if (key === " " && !onControl && list.contains(target)) toggle(state.current);
  else if (key === "Enter" && !onControl && list.contains(target)) openDetail(state.current);
  else if (key === "/") $("filter").focus();
  else if (key === "?") $("help").showModal();
  else return pressAnywhere(key);
  return true;
}

function toggle(photo) {
  mark([photo], !state.marked.has(photo.index));
  if ($("detail").open) $("detail-mark").checked = state.marked.has(photo.index);
  update();
}

// ---- events ----

document.addEventListener("keydown", press);
list.addEventListener("focusin", (event) => {
  const tile = event.target.closest(".tile, .failure");
  if (tile && tile.photo !== state.current) { state.current = tile.photo; draw(); }
});
list.addEventListener("click", (event) => {
  const tile = event.target.closest(".tile, .failure");
  if (!tile || event.target.closest("a, input")) return;
  if (event.target.closest(".frame")) openDetail(tile.photo);
  else makeCurrent(tile.photo);
});
for (const button of $("views").children) {
  button.addEventListener("click", () => { state.view = button.dataset.view; changed(); });
}
$("filter").addEventListener("input", () => { state.text = $("filter").value.trim().toLowerCase(); soon(changed); });
for (const [id, field] of [["folder", "folder"], ["show", "show"], ["sort", "order"]]) {
  $(id).addEventListener("change", () => { state[field] = $(id).value; changed(); });
}
$("threshold").addEventListener("input", () => setThreshold($("threshold").value));
$("threshold-number").addEventListener("input", () => setThreshold($("threshold-number").value));
$("mark-all").addEventListener("click", () => { mark(state.shown, true); update(); });
$("unmark").addEventListener("click", () => { mark([...state.marked].map((index) => photos[index]), false); changed(); });
$("copy").addEventListener("click", copyPaths);
$("folders-all").addEventListener("click", () => { allFolders = true; drawFolders(); });
$("theme").addEventListener("click", switchTheme);
$("help-open").addEventListener("click", () => $("help").showModal());
$("help-close").addEventListener("click", () => $("help").close());
$("paths-close").addEventListener("click", () => $("paths").close());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme());
addEventListener("scroll", () => soon(redraw), { passive: true });
new ResizeObserver(() => soon(layOutAnew)).observe($("top"));

const PRINTED = 500; // tiles of a printed page: paper is not scrolled
addEventListener("beforeprint", () => { draw(PRINTED); list.classList.add("printed"); });
addEventListener("afterprint", () => { list.classList.remove("printed"); draw(); });

// ---- start ----

$("keys").append(...KEYS.flatMap(([key, does]) => [make("dt", {}, key), make("dd", {}, does)]));
$("views").children[1].hidden = !groups.length;
$("views").children[2].hidden = !failures.length;
$("views").children[2].textContent = `Failures (${number(failures.length)})`;
$("views").children[1].textContent = `Groups (${number(groups.length)})`;
if (!scored.length) state.view = "failures";
setTheme(recall("iqa-theme"));
sumUp();
drawHistogram();
listFolderChoices();
changed();
