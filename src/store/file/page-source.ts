/**
 * Where those that read structures get the pages of the file from, and the part of the commit log
 * that makes damaged ones good.
 *
 * Invariant: shapes only. The file as it is open keeps them (`file-reader.ts`, `log-history.ts`),
 * tests put memory in their place.
 */

import type { LogRecord } from '../../format/log-record.ts';

/** Where pages of the file come from. */
export interface PageSource {
  readonly salt: Uint8Array;
  readonly history: LogHistory;
  /**
   * Beside a writer: it may have replaced what is read, and a page with a stamp above this batch,
   * the base that the reader opened with, is a later state of the same marks.
   */
  readonly newerThan?: number | undefined;
  /** One page of the file. Throws `VARVE_CORRUPT` past its end, `VARVE_IO`. */
  readPage(page: number): Uint8Array;
}

/** The commit log as far as damaged structures are made good with it. */
export interface LogHistory {
  /** The records after `batch` up to the base at opening; undefined where they are not all kept. */
  after(batch: number): Iterable<LogRecord> | undefined;
  /** Something was made good. */
  healed(words: string): void;
}

/** Before a file header has been read there is no log. */
export const noHistory: LogHistory = {
  after: () => undefined,
  healed: () => undefined,
};
