// Take over what only the server knows and what changes seldom, from a new copy of this very page: every hour, and soon
// again where something could not be had. Parts with `data-fresh` and an id are replaced as they are.

import { told as toldIn } from "./elements.js";

// The first time soon, then twice as long each time: what cannot be had for hours is not asked for by everybody.
const SOON_MS = 15_000;
const LATEST_MS = 600_000;
const HOUR_MS = 3_600_000;
// Not everybody at once, and not before the last reports of the hour have arrived.
const LEAST_AFTER_MS = 20_000;
const SPREAD_MS = 70_000;

/** @typedef {Pick<LiveTold, "days" | "zones">} Known */

/**
 * @param {Known} boot what the page knows: of each station its zone, and its day if it could be had
 * @param {(told: LiveTold) => void} use is given what the new page tells
 */
export function fresh(boot, use) {
  let wait = SOON_MS;

  const plan = (/** @type {boolean} */ known) => {
    const nextHour = HOUR_MS - (Date.now() % HOUR_MS) + LEAST_AFTER_MS + Math.random() * SPREAD_MS;
    setTimeout(look, known ? nextHour : wait * (1 + Math.random() / 4));
    wait = known ? SOON_MS : Math.min(2 * wait, LATEST_MS);
  };

  const look = async () => {
    let known = false;
    try {
      const page = await newCopy();
      /** @type {LiveTold} */
      const told = toldIn(page);
      replace(page);
      use(told);
      known = isComplete(told);
    } catch (error) {
      console.info("no newer page yet:", error instanceof Error ? error.message : error);
    }
    plan(known);
  };

  plan(isComplete(boot));
}

/** This page as the server writes it now. */
export async function newCopy() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

/**
 * Put the parts of `page` that are marked as such in the place of those that are here.
 * @param {Document} page
 */
export function replace(page) {
  for (const part of document.querySelectorAll("[data-fresh]")) {
    const other = page.getElementById(part.id);
    if (!other || part.contains(document.activeElement)) continue;
    if (part instanceof HTMLDetailsElement) other.toggleAttribute("open", part.open);
    part.replaceWith(document.adoptNode(other));
  }
}

/** @param {Known} known */
function isComplete({ days, zones }) {
  return Object.keys(days).length === Object.keys(zones).length;
}
