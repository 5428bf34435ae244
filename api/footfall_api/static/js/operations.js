// The operator's page renews itself: it fetches itself and puts the new content in the place of the old. Focus and how
// far tables were scrolled stay; what is new is said to screen readers, what merely grew older is not.

import { setText, told } from "./elements.js";
import { Words } from "./words.js";

/** @type {OperationsTold} */
const boot = told();
const words = new Words(boot);
const SLOW_MS = 20_000;

let lost = false;

/** @param {Document} page */
function contentOf(page) {
  return page.getElementById("operations");
}

/** @param {string} id @param {string} sentence */
function say(id, sentence) {
  setText(document.getElementById(id), sentence);
}

/**
 * What is wrong, by key.
 * @param {Element} content
 * @returns {Map<string, string>}
 */
function troublesIn(content) {
  const found = /** @type {NodeListOf<HTMLElement>} */ (content.querySelectorAll(".trouble"));
  return new Map(
    [...found].map((trouble) => [
      trouble.dataset.key ?? "",
      trouble.querySelector(".trouble-text")?.textContent?.trim() ?? "",
    ]),
  );
}

/**
 * Says the new headline and the new troubles, if there are any or some are gone.
 * @param {Element} before
 * @param {Element} after
 */
function announce(before, after) {
  const [old, now] = [troublesIn(before), troublesIn(after)];
  const added = [...now].filter(([key]) => !old.has(key)).map(([, text]) => text);
  const gone = [...old.keys()].some((key) => !now.has(key));
  if (!added.length && !gone) return;
  const headline = after.querySelector("#verdict")?.textContent ?? "";
  say("said", [`${headline}.`, ...added].join(" "));
}

/**
 * @param {Element} before
 * @param {Element} after
 */
function replace(before, after) {
  const focused = before.contains(document.activeElement) ? document.activeElement?.id : "";
  const scrolled = [...before.querySelectorAll(".wide")].map((table) => ({ id: table.id, left: table.scrollLeft }));
  before.replaceWith(after);
  for (const { id, left } of scrolled) {
    const table = document.getElementById(id);
    if (table) table.scrollLeft = left;
  }
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

async function renew() {
  const before = contentOf(document);
  if (!before || document.hidden) return;
  try {
    const response = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(SLOW_MS) });
    if (!response.ok) throw new Error(`${response.status}`);
    const after = contentOf(new DOMParser().parseFromString(await response.text(), "text/html"));
    if (!after) throw new Error("no content");
    announce(before, after);
    replace(before, document.adoptNode(after));
    if (lost) say("connection", words.t("ops_live.back"));
    else say("connection", "");
    lost = false;
  } catch {
    if (!lost) say("connection", words.t("ops_live.lost", { time: before.dataset.clock ?? "" }));
    lost = true;
  }
}

setInterval(renew, boot.everyS * 1000);
document.addEventListener("visibilitychange", renew);
