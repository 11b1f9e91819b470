// One photo, large.

const LABELS = {
  group: "Group", group_kind: "Kind of group", rank_in_group: "Rank in group", best_of_group: "Best of group", reasons: "Reasons",
  native_detail: "Detail", effective_mp: "Real megapixels",
};

function openDetail(photo) {
  if (!photo) return;
  makeCurrent(photo);
  fillDetail(photo);
  if (!$("detail").open) $("detail").showModal();
}

function fillDetail(photo) {
  $("detail-name").replaceChildren(make("bdi", {}, show(photo.path)));
  $("detail-mark").checked = state.marked.has(photo.index);
  $("detail-open").hidden = !photo.href;
  if (photo.href) $("detail-open").href = photo.href;
  else $("detail-open").removeAttribute("href"); // that of the photo before, which a key would open
  showPicture(photo);
  const facts = photo.score === null ? [["Status", photo.status], ["Reason", photo.detail]]
    : [["Score", photo.score.toFixed(2) + (photo.uncertainty === null ? "" : ` ± ${photo.uncertainty.toFixed(1)}`)]];
  if (photo.score !== null && photo.percentile !== null) facts.push(["Percentile", photo.percentile.toFixed(1)]);
  if (photo.width) facts.push(["Size", `${photo.width} × ${photo.height} px, ${(photo.pixels / 1e6).toFixed(1)} MP`]);
  for (const [name, value] of Object.entries(photo.extra || {})) {
    facts.push([LABELS[name] || name.replaceAll("_", " "), value === true ? "yes" : value === false ? "no" : Array.isArray(value) ? value.join(", ") : value]);
  }
  facts.push(["Model", photo.model]);
  $("detail-facts").replaceChildren(...facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, show(value))]));
}

// The photo itself where the page is a file beside it and the browser knows the format; else its thumbnail.
function showPicture(photo) {
  const frame = $("detail-frame");
  frame.className = "";
  frame.replaceChildren();
  if (photo.thumb < 0) return;
  const small = make("img", { alt: "", draggable: false });
  loadThumb(small, photo.thumb);
  frame.append(small);
  if (!photo.href || location.protocol !== "file:") return;
  const whole = make("img", { alt: "", draggable: false, title: "Click for full size" });
  whole.addEventListener("load", () => { if (small.isConnected) small.replaceWith(whole); });
  whole.src = photo.href;
}

function stepDetail(step) {
  const photo = findNext(step, false);
  if (photo) {
    makeCurrent(photo, { focus: false });
    reveal(rows[findPlace(photo)]);
    fillDetail(photo);
  }
}

$("detail-previous").addEventListener("click", () => stepDetail(-1));
$("detail-next").addEventListener("click", () => stepDetail(1));
$("detail-close").addEventListener("click", () => $("detail").close());
$("detail-frame").addEventListener("click", () => $("detail-frame").classList.toggle("whole"));
$("detail-mark").addEventListener("change", () => { mark([state.current], $("detail-mark").checked); update(); });
$("detail").addEventListener("close", () => {
  $("detail-frame").replaceChildren();
  if (state.current) makeCurrent(state.current);
});
