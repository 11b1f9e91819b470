// Paths for the clipboard.

// A path as one word of a shell; bytes that are no UTF-8, and control characters, as $'\xff'.
function quote(photo) {
  const here = photo.path.startsWith("-") ? "./" : ""; // else it would be taken for an option
  if (photo.path_base64) return `$'${here}${atob(photo.path_base64).replace(/[^ -~]|['\\]/g, escapeByte)}'`;
  const path = here + photo.path;
  if (/\p{Cc}/u.test(path)) return `$'${path.replace(/\p{Cc}|['\\]/gu, escapeCharacter)}'`;
  return /^[\p{L}\p{N}_@%+=:,./-]+$/u.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}

function escapeByte(byte) {
  return byte === "'" || byte === "\\" ? `\\${byte}` : `\\x${byte.charCodeAt(0).toString(16).padStart(2, "0")}`;
}

function escapeCharacter(c) {
  return [...new TextEncoder().encode(c)].map((byte) => escapeByte(String.fromCharCode(byte))).join("");
}

// Whether a path can stand on a line of its own.
function isLine(photo) {
  return !photo.path_base64 && !/[\n\r]/.test(photo.path);
}

async function copyPaths() {
  const marked = [...state.marked].map((index) => photos[index]).sort(ORDERS.path);
  const chosen = marked.length || state.current === null ? marked : [state.current];
  if (!chosen.length) return say("Nothing is marked: press the space bar on a photo, or tick its box.");
  const shell = $("form").value === "shell";
  const whole = shell ? chosen : chosen.filter(isLine);
  const text = shell ? whole.map(quote).join(" ") : whole.map((photo) => `${photo.path}\n`).join("");
  if (text && !(await copyText(text))) offerText(text);
  else if (text) say(`Copied ${plural(whole.length, "path")}.${leftOut(chosen, whole)}`);
  else say(leftOut(chosen, whole).trim());
}

function leftOut(chosen, whole) {
  const rest = chosen.length - whole.length;
  return rest ? ` ${plural(rest, "path")} cannot stand on a line: copy as shell words.` : "";
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch { // pages that are files may have no clipboard of this kind
    const area = make("textarea", { value: text, className: "off" });
    const focused = document.activeElement;
    (document.querySelector("dialog[open]") || document.body).append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (focused) focused.focus({ preventScroll: true });
    return done;
  }
}

function offerText(text) {
  $("paths-text").value = text;
  $("paths").showModal();
  $("paths-text").select();
}

let forget = 0;
function say(text) {
  $("toast").textContent = text;
  $("toast").classList.add("seen");
  clearTimeout(forget);
  forget = setTimeout(() => $("toast").classList.remove("seen"), 4000);
}
