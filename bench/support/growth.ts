/**
 * What a child of `scaling` is told and what it answers, one line for each count of values.
 *
 * Invariant: plain data, on one line of JSON each. Times are milliseconds of one operation, medians
 * of those measured at this count; memory is that of the process after loading, before reading.
 */

export interface GrowthTask {
  readonly path: string;
  /** How many values there are when it is measured, rising. */
  readonly counts: readonly number[];
  /** Milliseconds for each kind of operation at each count. */
  readonly milliseconds: number;
}

export interface GrowthLine {
  readonly count: number;
  readonly commit: number;
  /** One of 1,000 values, the same over and over. */
  readonly getHot: number;
  /** One of all that are there. */
  readonly getAny: number;
  readonly open: number;
  readonly residentBytes: number;
  readonly fileBytes: number;
}
