// The records of the page, and what is said of them in words.

const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const photos = data.records;
const scored = photos.filter((photo) => photo.score !== null);
const failures = photos.filter((photo) => photo.score === null);
const byPath = new Intl.Collator("en", { numeric: true, sensitivity: "variant" }).compare;

// Characters that are not seen, or that change how others are seen, as \u{202e}.
function show(text) {
  return String(text).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);
}

function number(value) {
  return value.toLocaleString("en");
}

function plural(count, one, many) {
  return `${number(count)} ${count === 1 ? one : many || `${one}s`}`;
}

function ordinal(value) {
  const whole = Math.round(value);
  const ending = [11, 12, 13].includes(whole % 100) ? "th" : { 1: "st", 2: "nd", 3: "rd" }[whole % 10] || "th";
  return `${whole}${ending}`;
}

// The value below which that share of ascending values lies; between two of them on the line from one to the other.
function quantile(values, share) {
  const place = (values.length - 1) * share;
  const low = values[Math.floor(place)];
  return low + (values[Math.ceil(place)] - low) * (place % 1);
}

function reasonsOf(photo) {
  const reasons = photo.extra && photo.extra.reasons;
  return Array.isArray(reasons) ? reasons.join(", ") : reasons || "";
}

function nativeOf(photo) { // how much of its resolution is real, where that was measured
  const { native_detail: detail, effective_mp: real } = photo.extra || {};
  return detail === undefined ? "" : `detail ${detail.toFixed(0)}, ${real.toFixed(1)} of ${(photo.width * photo.height / 1e6).toFixed(1)} MP`;
}

photos.forEach((photo, index) => {
  const cut = photo.path.lastIndexOf("/");
  photo.index = index;
  photo.folder = cut < 0 ? "." : photo.path.slice(0, cut) || "/";
  photo.name = photo.path.slice(cut + 1);
  photo.sought = `${photo.path}\n${photo.detail}\n${reasonsOf(photo)}`.toLowerCase();
  photo.pixels = (photo.width || 0) * (photo.height || 0);
  photo.thumb = -1;
});
data.thumbs.forEach((index, place) => { photos[index].thumb = place; });
[...photos].sort((a, b) => byPath(a.path, b.path) || a.index - b.index).forEach((photo, place) => { photo.place = place; });

// An element with properties, and with children: elements or text, never markup.
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children.filter((child) => child !== ""));
  return element;
}

// ---- thumbnails: lines of base64 in script elements that come after this script ----

const lines = new Map();
const waiting = new Set();

function findThumb(place) {
  const chunk = Math.floor(place / data.chunk);
  if (!lines.has(chunk)) {
    const element = $(`thumbs-${chunk}`);
    if (!element || (document.readyState === "loading" && !element.nextElementSibling)) return "";
    lines.set(chunk, element.textContent.split("\n"));
    if (lines.size > 24) lines.delete(lines.keys().next().value);
  }
  return lines.get(chunk)[place % data.chunk] || "";
}

function loadThumb(image, place) {
  const found = findThumb(place);
  if (found) image.src = `data:image/jpeg;base64,${found}`;
  else if (document.readyState === "loading") waiting.add([image, place]);
}

function loadWaiting() {
  const entries = [...waiting];
  waiting.clear();
  for (const [image, place] of entries) if (image.isConnected) loadThumb(image, place); // which waits again where it must
}

const watcher = new MutationObserver(loadWaiting);
watcher.observe(document.body, { childList: true });
document.addEventListener("DOMContentLoaded", () => { watcher.disconnect(); loadWaiting(); });
