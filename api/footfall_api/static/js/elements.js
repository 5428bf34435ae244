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
