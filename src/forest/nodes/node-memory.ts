/**
 * A pool of memory: memory of dropped nodes is used again for new ones.
 *
 * Invariant: memory that was taken belongs to its taker; memory that is given back has no readers.
 * The pool pays because fresh memory costs more than copying a node into it, above all when it is
 * collected. It keeps a bounded number of bytes, in pieces of whole kibibytes, and does not clear
 * them.
 */

import { assert } from '../../util/assert.ts';

const unitBytes = 1024;
const keptBytesMax = 32 * 1024 * 1024;
/** Beside a small node cache the pool keeps at most this share of its size. */
const keptShare = 1 / 8;

export class NodeMemory {
  /** Free pieces by their length in units. */
  readonly #pieces: Uint8Array<ArrayBuffer>[][] = [];
  readonly #keptBytesMax: number;
  #keptBytes = 0;

  /** `cacheBytes`: size of the node cache. */
  constructor(cacheBytes: number) {
    this.#keptBytesMax = Math.min(keptBytesMax, cacheBytes * keptShare);
  }

  /** Bytes of free pieces. */
  get keptBytes(): number {
    return this.#keptBytes;
  }

  /** At least `length` bytes, of any content. */
  take(length: number): Uint8Array<ArrayBuffer> {
    const units = Math.ceil(length / unitBytes);
    // A piece may be longer than needed by up to a half.
    for (let most = units + (units >>> 1), at = units; at <= most; at++) {
      const kept = this.#pieces[at]?.pop();
      if (kept === undefined) continue;
      this.#keptBytes -= kept.length;
      assert(this.#keptBytes >= 0, 'the pool counts its bytes');
      return kept;
    }
    return new Uint8Array(units * unitBytes);
  }

  /** Takes a piece back. Requires: no one reads its bytes any more. */
  give(bytes: Uint8Array): void {
    const { length } = bytes;
    const { buffer } = bytes;
    if (length === 0) return;
    if (this.#keptBytes + length > this.#keptBytesMax) return;
    const units = length / unitBytes;
    assert(Number.isInteger(units), 'memory of nodes has whole units');
    const alike = this.#pieces[units];
    const piece = new Uint8Array(buffer as ArrayBuffer);
    if (alike === undefined) this.#pieces[units] = [piece];
    else alike.push(piece);
    this.#keptBytes += length;
  }

  /** Keeps nothing any more: its forest is closed. */
  clear(): void {
    this.#pieces.length = 0;
    this.#keptBytes = 0;
  }
}
