/**
 * Counts and times the writes and syncs of an open store, from one commit message to the next.
 *
 * Invariant: each write that returns is counted once, in the message after it. It exists only while
 * there are subscribers to commits.
 */

import type { WriteMeter } from '../file/file-writer.ts';
import type { CommitMessage } from './messages.ts';

type Counted = Pick<CommitMessage, 'writes' | 'bytesWritten' | 'writeMs' | 'syncMs'>;

export class WriteCounts implements WriteMeter {
  #writes = 0;
  #bytes = 0;
  #writeMs = 0;
  #syncMs = 0;

  now(): number {
    return performance.now();
  }

  wrote(bytes: number, since: number): void {
    this.#writes += 1;
    this.#bytes += bytes;
    this.#writeMs += this.now() - since;
  }

  synced(since: number): void {
    this.#syncMs += this.now() - since;
  }

  /** The counts since the last call. */
  take(): Counted {
    const counted = {
      writes: this.#writes,
      bytesWritten: this.#bytes,
      writeMs: this.#writeMs,
      syncMs: this.#syncMs,
    };
    this.#writes = 0;
    this.#bytes = 0;
    this.#writeMs = 0;
    this.#syncMs = 0;
    return counted;
  }
}
