// What stands in the list: tiles of photos, headings of groups, lines of failures.

function makeName(photo) {
  const name = make("bdi", {}, show(photo.name));
  if (!photo.href) return make("span", { className: "name", title: show(photo.path) }, name);
  return make("a", {
    className: "name", href: photo.href, title: show(photo.path), target: "_blank", rel: "noopener noreferrer", tabIndex: -1,
  }, name);
}

function makeFrame(photo) {
  const frame = make("div", { className: "frame" });
  if (photo.thumb >= 0) {
    const image = make("img", { alt: "", decoding: "async", draggable: false });
    loadThumb(image, photo.thumb);
    frame.append(image);
  } else {
    frame.append("no preview");
  }
  if (groupSizes.get(groupOf(photo)) > 1) {
    const { best_of_group: best, rank_in_group: rank, group_kind: kind } = photo.extra;
    const said = best ? "best of group" : rank ? `no. ${rank}` : show(kind || ""); // what is kept whole has no ranks
    if (said) frame.append(make("span", { className: best ? "badge best" : "badge" }, said));
  }
  return frame;
}

function makeTick(photo) {
  const tick = make("input", { type: "checkbox", tabIndex: -1, ariaLabel: `Mark ${show(photo.name)}` });
  tick.addEventListener("change", () => { mark([photo], tick.checked); update(); });
  return tick;
}

function makeTile(photo) {
  const reasons = reasonsOf(photo);
  const native = nativeOf(photo);
  const score = make("span", { className: "score" }, photo.score.toFixed(1));
  const uncertainty = photo.uncertainty === null ? "" : make("span", { className: "quiet" }, `±${photo.uncertainty.toFixed(0)}`);
  const percentile = make("span", { className: "percentile" }, photo.percentile === null ? "" : `${ordinal(photo.percentile)} percentile`);
  return make("div", { className: "tile", role: "listitem", tabIndex: -1, ariaLabel: describe(photo) },
    makeFrame(photo),
    make("div", { className: "line" }, score, uncertainty, percentile, makeTick(photo)),
    makeName(photo),
    make("div", { className: "where", title: show(photo.folder) }, make("bdi", {}, photo.folder === "." ? "" : show(photo.folder))),
    native && make("div", { className: "reasons" }, native),
    reasons && make("div", { className: "reasons", title: show(reasons) }, show(reasons)));
}

function describe(photo) {
  const result = photo.score === null ? `${photo.status}, ${photo.detail}` : `score ${photo.score.toFixed(1)}`;
  return show([photo.name, result, reasonsOf(photo)].filter(Boolean).join(", "));
}

function makeFailure(photo) {
  return make("div", { className: "failure", role: "listitem", tabIndex: -1, ariaLabel: describe(photo) },
    makeTick(photo),
    make("span", { className: "status" }, photo.status),
    withPath(photo),
    make("span", { className: "reason", title: show(photo.detail) }, show(photo.detail)));
}

function withPath(photo) {
  const name = makeName(photo);
  name.firstChild.textContent = show(photo.path);
  return name;
}

function makeHeading(photo) {
  const all = scored.filter((other) => groupOf(other) === groupOf(photo));
  const scores = all.map((other) => other.score);
  const kind = photo.extra.group_kind ? `, ${show(photo.extra.group_kind)}` : "";
  const range = `${Math.min(...scores).toFixed(1)} to ${Math.max(...scores).toFixed(1)}`;
  return make("div", { className: "group", role: "listitem" }, make("div", {}, `Group ${show(groupOf(photo))}${kind}`),
    make("span", {}, `${plural(all.length, "photo")}, ${range}`));
}

// What changes with marks and the threshold.
function refresh(element, photo) {
  const marked = state.marked.has(photo.index);
  element.classList.toggle("marked", marked);
  element.classList.toggle("goes", goes(photo));
  element.querySelector("input").checked = marked;
  const current = photo === state.current;
  element.tabIndex = current ? 0 : -1;
  for (const control of element.querySelectorAll("a, input")) control.tabIndex = current ? 0 : -1;
}
