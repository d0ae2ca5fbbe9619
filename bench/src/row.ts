/** One measurement of one side. */
export interface Sample {
  readonly perSecond: number;
  /** What else is worth a footnote, by name: each is reported as the median of its rounds. */
  readonly details?: Readonly<Record<string, number>>;
}

/** Both sides, open and warm. Each call measures one side once. */
interface Sides {
  ours(): Promise<Sample>;
  bare(): Promise<Sample>;
}

export interface Row {
  readonly name: string;
  readonly title: string;
  /** Of what there are so many per second. */
  readonly unit: string;
  /** The least ratio that is good enough; null for a row that only informs. */
  readonly target: number | null;
  readonly sides: Sides;
}

/** A row that cannot be measured here. It is reported, loudly: a missing figure must not look like a good one. */
export interface Skipped {
  readonly name: string;
  readonly title: string;
  readonly skipped: string;
}

/** Rows that share what they need: opened together, measured one after the other. */
export interface Suite {
  /** The names of its rows, known before anything is opened. */
  readonly rows: readonly string[];
  /** `wanted` are those of `rows` that are to be measured. */
  open(room: Room, wanted: readonly string[]): Promise<readonly (Row | Skipped)[]>;
}

/** What a suite works with, and what it leaves behind. */
export interface Room {
  /** An empty folder, gone afterwards. */
  readonly folder: string;
  readonly profile: string | null;
  /** To be called when the suite is over, last one first. */
  onClose(close: () => Promise<unknown>): void;
}
