/**
 * The source of the file's pages for code that reads structures, and the part of the commit log
 * that heals damaged ones.
 *
 * Shapes only. `file-reader.ts` and `log-history.ts` implement them; tests use memory instead.
 */

import type { LogRecord } from '../../format/log-record.ts';

/** A source of pages. */
export interface PageSource {
  readonly salt: Uint8Array;
  readonly history: LogHistory;
  /**
   * Only beside a writer, which may replace pages during reads. It is the base that the reader
   * opened with: a page with a higher stamp is a later state of the same marks.
   */
  readonly newerThan?: number | undefined;
  /** One page of the file. Throws `VARVE_CORRUPT` past its end, `VARVE_IO`. */
  readPage(page: number): Uint8Array;
}

/** The commit log, for healing damaged structures. */
export interface LogHistory {
  /** The records after this batch are retained. */
  readonly checkpoint: number;
  /** The settled base at opening. */
  readonly base: number;
  /** Stamp of the root: no structure that it leads to has a higher one. */
  readonly settled: number;
  /** The log after that base has been replayed: counters and marks are of one batch. */
  readonly replayed: boolean;
  /**
   * The records after `batch` up to `base`, or up to `reached` if that is later. Requires: `batch`
   * is not before `checkpoint`; `reached` is published.
   */
  after(batch: number, reached?: number): Iterable<LogRecord>;
  /** Reports a healed structure. */
  healed(words: string): void;
}

/** Before a file header has been read there is no log. */
export const noHistory: LogHistory = {
  checkpoint: Number.POSITIVE_INFINITY,
  base: 0,
  settled: 0,
  replayed: true,
  after: () => [],
  healed: () => undefined,
};
