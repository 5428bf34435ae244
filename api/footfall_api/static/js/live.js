// The live stream: every board and change, and whether the line is up. It comes back by itself, however it was lost.

// Something changes at least once a minute, if only because a minute begins. So long a silence means a dead line.
const STALLED_AFTER_MS = 100_000;
const LONGEST_WAIT_MS = 30_000;

/**
 * @param {string} address
 * @param {{
 *   onStations: (at: number, stations: StreamStation[], whole: boolean) => void,
 *   onLost: () => void,
 * }} told `at`: milliseconds since 1970; `whole`: these are all stations, not only those that changed
 */
export function follow(address, { onStations, onLost }) {
  /** @type {EventSource | null} */
  let source = null;
  let wait = 1000;
  let retry = 0;
  let watch = 0;

  const receive = (/** @type {boolean} */ whole) => (/** @type {MessageEvent<string>} */ event) => {
    wait = 1000;
    heard();
    const { at, stations } = JSON.parse(event.data);
    onStations(Date.parse(at), stations, whole);
  };

  const heard = () => {
    clearTimeout(watch);
    watch = setTimeout(reopen, STALLED_AFTER_MS);
  };

  // The browser tries again by itself after a broken line, but gives up after an answer that is an error.
  const failed = () => {
    onLost();
    if (source?.readyState === EventSource.CLOSED) later();
  };

  const later = () => {
    clearTimeout(retry);
    retry = setTimeout(open, wait * (0.8 + 0.4 * Math.random()));
    wait = Math.min(wait * 2, LONGEST_WAIT_MS);
  };

  const reopen = () => {
    onLost();
    open();
  };

  const open = () => {
    source?.close();
    source = new EventSource(address);
    source.addEventListener("board", receive(true));
    source.addEventListener("change", receive(false));
    source.addEventListener("error", failed);
    heard();
  };

  // A page that was put away while the line was down looks again as soon as it is back in front.
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && source?.readyState !== EventSource.OPEN) open();
  });
  window.addEventListener("online", () => source?.readyState !== EventSource.OPEN && open());
  open();
}
