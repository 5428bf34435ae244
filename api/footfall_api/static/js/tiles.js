// The map with a background, where the operator has configured tiles: MapLibre GL in place of the drawing.
// The drawing stays wherever that cannot be: no WebGL, no library, or no tile that arrives.

/** @typedef {typeof import("maplibre-gl")} Library */
/** @typedef {{ left: number, top: number, right: number, bottom: number }} Box in pixels of the map */
/** @typedef {{ x: number, y: number }} Point */

// Where a label may stand as seen from its dot: first beside it, then above and below, then at the corners.
/** @type {[across: number, down: number][]} */
const SIDES = [[1, 0], [-1, 0], [0, -1], [0, 1], [1, -1], [-1, -1], [1, 1], [-1, 1]];
const APART = { beside: 12, corner: 7 };
const SVG = "http://www.w3.org/2000/svg";
const LINE_COLOUR = "#1d2427";
const LINES = "footfall-lines";

/**
 * @param {NowBoot} boot with `tiles`
 * @param {() => void} refresh called when marks have come that show no numbers yet
 */
export async function showTiles(boot, refresh) {
  const { tiles, words } = boot;
  if (!tiles) return;
  /** @type {Library} */
  const library = await import(tiles.library);
  await addStyle(tiles.style);
  /** @type {NodeListOf<HTMLElement>} */
  const figures = document.querySelectorAll(".map[data-place]");
  for (const figure of figures) {
    showPlace(library, figure, tiles.places[Number(figure.dataset.place)], tiles, words, refresh);
  }
}

/** @param {string} address */
function addStyle(address) {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = address;
  const loaded = new Promise((resolve, reject) => {
    link.onload = resolve;
    link.onerror = () => reject(new Error("the map library's style sheet did not load"));
  });
  document.head.append(link);
  return loaded;
}

/**
 * @param {Library} library
 * @param {HTMLElement} figure
 * @param {Spot[]} spots
 * @param {TilesTold} tiles
 * @param {import("./words.js").Words} words
 * @param {() => void} refresh
 */
function showPlace(library, figure, spots, tiles, words, refresh) {
  const ground = figure.querySelector(".map-ground");
  if (!ground) return;
  const container = document.createElement("div");
  container.className = "tiles";
  ground.append(container);
  /** @type {import("maplibre-gl").Map} */
  let map;
  try {
    map = new library.Map({
      container,
      style: tiles.isStyle ? tiles.url : style(tiles.url),
      bounds: bounds(library, spots),
      fitBoundsOptions: { padding: padding(ground), maxZoom: 17 },
      maxZoom: 19,
      attributionControl: false, // it stands below the map, where it covers nothing
      cooperativeGestures: true, // one finger and the wheel go on scrolling the page
      dragRotate: false,
      pitchWithRotate: false,
      locale: {
        "Map.Title": ground.querySelector("svg")?.getAttribute("aria-label") ?? "",
        "NavigationControl.ZoomIn": words.t("live.tiles_closer"),
        "NavigationControl.ZoomOut": words.t("live.tiles_farther"),
        "CooperativeGesturesHandler.WindowsHelpText": words.t("live.tiles_wheel", { key: words.t("live.tiles_ctrl") }),
        "CooperativeGesturesHandler.MacHelpText": words.t("live.tiles_wheel", { key: "⌘" }),
        "CooperativeGesturesHandler.MobileHelpText": words.t("live.tiles_fingers"),
      },
    });
  } catch (error) {
    console.info("no map background here, the drawing stays:", error instanceof Error ? error.message : error);
    container.remove();
    return;
  }
  map.touchZoomRotate.disableRotation();
  map.keyboard.disableRotation();
  map.addControl(new library.NavigationControl({ showCompass: false }));
  map.addControl(new library.ScaleControl());

  let arrived = false;
  map.on("error", (event) => console.info("map background:", event.error?.message));
  map.on("load", () => addLines(map, spots));
  map.on("sourcedata", (event) => {
    if (arrived || event.sourceId === LINES || event.tile?.state !== "loaded") return;
    arrived = true;
    const marks = spots.flatMap((spot) => addMark(library, map, ground, spot) ?? []);
    ground.classList.add("has-tiles");
    figure.querySelector(".map-credit")?.removeAttribute("hidden");
    map.resize();
    refresh();
    const arrange = () => placeLabels(map, marks);
    map.on("moveend", arrange);
    map.on("resize", arrange);
    map.fitBounds(bounds(library, spots), { padding: padding(ground), maxZoom: 17, animate: false });
    arrange();
  });
}

/**
 * Room for labels around the outermost stations.
 * @param {Element} ground
 */
function padding(ground) {
  return Math.min(70, ground.clientWidth / 8);
}

/**
 * @param {string} url
 * @returns {import("maplibre-gl").StyleSpecification}
 */
function style(url) {
  return {
    version: 8,
    sources: { tiles: { type: "raster", tiles: [url], tileSize: 256, maxzoom: 19 } },
    layers: [
      { id: "tiles", type: "raster", source: "tiles", paint: { "raster-saturation": -0.5, "raster-fade-duration": 0 } },
    ],
  };
}

/**
 * The counting lines, above all that the background has.
 * @param {import("maplibre-gl").Map} map
 * @param {Spot[]} spots
 */
function addLines(map, spots) {
  const lines = spots.flatMap(([, , , line]) => (line ? [line] : []));
  map.addSource(LINES, { type: "geojson", data: { type: "MultiLineString", coordinates: lines } });
  map.addLayer({
    id: LINES,
    type: "line",
    source: LINES,
    layout: { "line-cap": "round" },
    paint: { "line-color": LINE_COLOUR, "line-width": 4 },
  });
}

/** @param {Library} library @param {Spot[]} spots */
function bounds(library, spots) {
  const box = new library.LngLatBounds();
  for (const [, longitude, latitude] of spots) box.extend([longitude, latitude]);
  return box;
}

/**
 * The same mark as in the drawing: a link with ring, dot, name and today's total.
 * @param {Library} library
 * @param {import("maplibre-gl").Map} map
 * @param {Element} ground
 * @param {Spot} spot
 */
function addMark(library, map, ground, [id, longitude, latitude]) {
  /** @type {SVGElement | null} */
  const drawn = ground.querySelector(`.mark[data-station="${id}"]`);
  if (!drawn) return null;
  const element = document.createElement("a");
  element.className = "tile-mark";
  element.href = drawn.getAttribute("href") ?? "";
  element.dataset.station = id;
  element.setAttribute("aria-label", drawn.getAttribute("aria-label") ?? "");
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("aria-hidden", "true");
  for (const name of ["ring", "dot"]) {
    const circle = drawn.querySelector(`.${name}`)?.cloneNode(true);
    if (!(circle instanceof SVGElement)) continue;
    circle.removeAttribute("cx");
    circle.removeAttribute("cy");
    svg.append(circle);
  }
  const label = document.createElement("span");
  label.className = "tile-label";
  label.append(drawn.dataset.name ?? "", " ");
  const total = document.createElement("b");
  total.dataset.total = "";
  total.textContent = drawn.querySelector("[data-total]")?.textContent ?? "";
  label.append(total);
  element.append(svg, label);
  new library.Marker({ element, anchor: "center" }).setLngLat([longitude, latitude]).addTo(map);
  /** @type {[number, number]} */
  const position = [longitude, latitude];
  return { element, label, position };
}

/**
 * Each label goes to the first side of its dot where it is on the map and covers no other label and no dot; those with
 * the least choice go first. What finds no side waits for more room, and shows all the same when its mark has the focus.
 * @param {import("maplibre-gl").Map} map
 * @param {{ label: HTMLElement, position: [number, number] }[]} marks
 */
function placeLabels(map, marks) {
  const { clientWidth, clientHeight } = map.getContainer();
  const dots = marks.map(({ position }) => map.project(position));
  const onMap = (/** @type {Box} */ { left, top, right, bottom }) =>
    left >= 2 && top >= 2 && right <= clientWidth - 2 && bottom <= clientHeight - 2;
  const choices = marks.map(({ label }, index) => {
    const size = { width: label.offsetWidth, height: label.offsetHeight };
    const places = SIDES.map((side) => box(dots[index], size, side));
    const clear = places.filter((place) => onMap(place) && !dots.some((dot, i) => i !== index && covers(place, dot)));
    return { label, dot: dots[index], usual: places[0], clear };
  });
  /** @type {Box[]} */
  const taken = [];
  for (const { label, dot, usual, clear } of choices.sort((a, b) => a.clear.length - b.clear.length)) {
    const free = clear.find((place) => !taken.some((other) => overlap(place, other)));
    const place = free ?? usual;
    label.style.left = `${place.left - dot.x}px`;
    label.style.top = `${place.top - dot.y}px`;
    label.classList.toggle("is-hidden", !free);
    if (free) taken.push(free);
  }
}

/**
 * @param {Point} dot
 * @param {{ width: number, height: number }} size
 * @param {[across: number, down: number]} side
 * @returns {Box}
 */
function box({ x, y }, { width, height }, [across, down]) {
  const apart = across && down ? APART.corner : APART.beside;
  const left = x + across * apart - (width * (1 - across)) / 2;
  const top = y + down * apart - (height * (1 - down)) / 2;
  return { left, top, right: left + width, bottom: top + height };
}

/** @param {Box} a @param {Box} b */
function overlap(a, b) {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

/** @param {Box} place @param {Point} dot */
function covers(place, { x, y }) {
  return x > place.left - 7 && x < place.right + 7 && y > place.top - 7 && y < place.bottom + 7;
}
