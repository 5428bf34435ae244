// What the server tells the scripts of a page, and the board of a station on the live stream. Types only: nothing of
// this is sent to a browser. They are known in every script without an import.

/** A sentence with its {words}, or one sentence for one and one for many. */
type Sentence = string | { one?: string; other: string };

/** The data block of every page (`Here.boot` in frame.py); a page adds what its own scripts need. */
interface Told {
  /** The language of the page: de, en, … */
  language: string;
  /** The same with its region, as Intl takes it: de-DE. */
  locale: string;
  words: Record<string, Sentence>;
  /** The address of the pages' files, without a slash at its end. */
  static: string;
  /** The path under which the application is mounted, without a slash at its end. */
  base: string;
}

/** What was told, with the sentences ready to be said: `{ ...told, words: new Words(told) }`. */
type Ready<T extends Told> = Omit<T, "words"> & { words: import("../../api/footfall_api/static/js/words.js").Words };

type Boot = Ready<Told>;

/** What scripts need that follow the stream (`live_rules` in now.py). */
interface LiveTold extends Told {
  /** The address of the live stream. */
  live: string;
  /** The names of the stations' time zones, by station. */
  zones: Record<string, string>;
  rules: Rules;
  /** Today by station, where the API has said what is usual. */
  days: Partial<Record<string, Day>>;
}

/** `boot` in now.py. */
interface NowTold extends LiveTold {
  /** The station whose time zone the page shows. */
  first: string;
  tiles: TilesTold | null;
}

type NowBoot = Ready<NowTold>;

/** What kiosk.py tells. */
interface KioskTold extends LiveTold {
  /** How often the page asks for a new copy of itself while no stream reaches it. */
  reloadS: number;
}

type KioskBoot = Ready<KioskTold>;

/** What station.py tells. */
interface StationTold extends Told {
  /** The address of the live stream of this station. */
  live: string;
  /** Its id. */
  station: string;
  /** The name of its time zone. */
  zone: string;
  /** Ids of the parts of the page that depend on what is chosen. */
  parts: string[];
}

/** What operations.py tells. */
interface OperationsTold extends Told {
  /** How often the page renews itself. */
  everyS: number;
}

/** Today at one station (`day_json` in now.py). */
interface Day {
  /** What is usual in the last hour of yesterday. */
  before: number | null;
  /** All hours of the local day, those to come among them. */
  hours: Hour[];
}

/** Start and end in milliseconds since 1970, the count if all of the hour was measured, and what is usual. */
type Hour = [start: number, end: number, count: number | null, usual: number | null];

interface TilesTold {
  /** Of the tiles, or of a style if `isStyle`. */
  url: string;
  isStyle: boolean;
  library: string;
  style: string;
  places: Spot[][];
}

/** Id, longitude, latitude, and the counting line if it is known. */
type Spot = [id: string, longitude: number, latitude: number, line: [number, number][] | null];

/** Limits that page and scripts share (now_view.py). */
interface Rules {
  silentAfterS: number;
  onTheirWayS: number;
  complete: number;
  recentMinutes: number;
  historicAfterS: number;
  sparkHalf: number;
  leastUsual: number;
  courseHeight: number;
  hourWidth: number;
}

/** Passages by direction; null: not measured. */
type Counts = Record<string, number | null>;

/** A time of a station on the stream: its passages, and how well it was measured. Times are ISO 8601. */
interface StreamReading {
  start: string;
  end: string;
  counts: Counts;
  count: number | null;
  coverage: number | null;
  state: string;
  reason: string | null;
}

/** A station on the stream (docs/api.md, live). */
interface StreamStation {
  id: string;
  name: string;
  timezone: string;
  labels: Record<string, string>;
  directions: string[];
  updated: string | null;
  today: StreamReading;
  last_day: StreamReading | null;
  minutes: {
    start: string;
    step_s: number;
    counts: Record<string, (number | null)[]>;
    count: (number | null)[];
    coverage: (number | null)[];
    state: string[];
    reason: (string | null)[];
  };
}

/** The same with times as milliseconds since 1970. */
type Reading = Omit<StreamReading, "start" | "end"> & { start: number; end: number };

type Station = Omit<StreamStation, "updated" | "today" | "last_day" | "minutes"> & {
  updated: number | null;
  today: Reading;
  last_day: Reading | null;
  minutes: Reading[];
};
