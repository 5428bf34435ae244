// The places of a page that its scripts fill. Server and scripts come together, so a missing one is a fault.

/**
 * The element with this id.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @param {new () => T} [kind] what it is, if that matters: HTMLSelectElement
 * @param {Document} [page] another than this one
 * @returns {T}
 */
export function byId(id, kind, page = document) {
  const found = page.getElementById(id);
  if (!(found instanceof (kind ?? HTMLElement))) throw new Error(`this page has no such place: ${id}`);
  return /** @type {T} */ (found);
}

/**
 * What the server told the scripts of this page.
 * @template {Told} T
 * @param {Document} [page]
 * @returns {T}
 */
export function told(page = document) {
  return JSON.parse(byId("boot", HTMLElement, page).textContent);
}

/**
 * Write `text` where another stands; screen readers are not told what they know.
 * @param {Element | null} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}
