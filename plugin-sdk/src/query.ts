/** Every bound is optional. Times are RFC 3339; `from` is inclusive, `to` exclusive. */
export interface EventQuery {
  readonly id?: string;
  readonly event_name?: string;
  readonly user_id?: string;
  readonly from?: string;
  readonly to?: string;
  /** 1 to 1000. */
  readonly limit: number;
  /** `next_cursor` of the page before. */
  readonly cursor?: string;
}

export interface Page<Item> {
  readonly items: readonly Item[];
  /** Null on the last page. */
  readonly next_cursor: string | null;
}

export interface SeriesQuery {
  readonly event_name?: string;
  readonly from?: string;
  readonly to?: string;
  readonly limit: number;
}

/** How many distinct events of a name happened in the bucket that begins at `time_bucket` (RFC 3339, UTC). */
export interface SeriesPoint {
  readonly event_name: string;
  readonly time_bucket: string;
  readonly count: number;
}
