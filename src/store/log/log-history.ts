/**
 * The retained commit log, for healing damaged structures. Reads only.
 *
 * A structure that was never loaded holds every batch up to the base at opening and nothing later:
 * a later change would have loaded it. A mark page that was loaded and evicted holds every batch up
 * to its stamp; later ones have not changed it, or it would be loaded. `file/twins.ts` makes the
 * same content of the previous generation and the log up to the later of the two.
 */

import type { LogRecord } from '../../format/log-record.ts';
import { assert } from '../../util/assert.ts';
import type { FileReader } from '../file/file-reader.ts';
import type { LogHistory } from '../file/page-source.ts';
import type { LogSegment } from './commit-log.ts';
import { LogReader } from './log-reader.ts';

/** The log that the history reads. */
export interface RetainedLog {
  readonly log: { readonly segments: readonly LogSegment[] };
  /**
   * The log up to this checkpoint is gone. It is the settled checkpoint: log that a later one frees
   * stays until a settle.
   */
  checkpoint(): number;
}

export class RetainedHistory implements LogHistory {
  readonly #file: FileReader;
  readonly base: number;
  readonly #healed: string[];
  readonly settled: number;
  /** The log as of the base until the store is open, then the current one. */
  retained: RetainedLog;
  #replayed = false;

  /** `at`: the base at opening, and the stamp of the root. */
  constructor(
    file: FileReader,
    at: { readonly base: number; readonly settled: number },
    retained: RetainedLog,
    healed: string[],
  ) {
    this.#file = file;
    this.base = at.base;
    this.settled = at.settled;
    this.retained = retained;
    this.#healed = healed;
  }

  get replayed(): boolean {
    return this.#replayed;
  }

  /** The log after the base has been replayed. */
  logReplayed(): void {
    this.#replayed = true;
  }

  get checkpoint(): number {
    return this.retained.checkpoint();
  }

  after(batch: number, reached = 0): Iterable<LogRecord> {
    assert(batch >= this.checkpoint, 'only retained records are read');
    return { [Symbol.iterator]: () => this.#records(batch, Math.max(reached, this.base)) };
  }

  *#records(after: number, last: number): Generator<LogRecord> {
    const reader = new LogReader(this.#file, this.retained.log);
    for (let batch = after + 1; batch <= last; batch++) yield reader.read(batch).record;
  }

  healed(words: string): void {
    this.#healed.push(words);
  }
}
