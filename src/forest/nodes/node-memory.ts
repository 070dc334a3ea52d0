/**
 * Memory of nodes that are gone, for nodes to come.
 *
 * Invariant: what it gives out belongs to whoever takes it; what it is given nobody reads any more.
 * New memory costs more than copying a node into it, most of all when it is collected. It keeps a
 * bounded number of bytes, in pieces of whole kibibytes. What is in them is not cleared.
 */

const unitBytes = 1024;
const keptBytesMax = 32 * 1024 * 1024;
/** Of a small cache of nodes it keeps this share. */
const keptShare = 1 / 8;

export class NodeMemory {
  /** Pieces that nobody has, by their length in units. */
  readonly #pieces: Uint8Array<ArrayBuffer>[][] = [];
  readonly #keptBytesMax: number;
  #keptBytes = 0;

  /** Beside a cache of so many bytes. */
  constructor(cacheBytes: number) {
    this.#keptBytesMax = Math.min(keptBytesMax, cacheBytes * keptShare);
  }

  /** Bytes that nobody has. */
  get keptBytes(): number {
    return this.#keptBytes;
  }

  /** At least `length` bytes, of any content. */
  take(length: number): Uint8Array<ArrayBuffer> {
    const units = Math.ceil(length / unitBytes);
    // A piece that is up to half as long again will do.
    for (let most = units + (units >>> 1), at = units; at <= most; at++) {
      const kept = this.#pieces[at]?.pop();
      if (kept === undefined) continue;
      this.#keptBytes -= kept.length;
      return kept;
    }
    return new Uint8Array(units * unitBytes);
  }

  /** Takes back what it gave out: nobody reads these bytes any more. */
  give(bytes: Uint8Array): void {
    const { length } = bytes;
    const { buffer } = bytes;
    if (length === 0) return;
    if (this.#keptBytes + length > this.#keptBytesMax) return;
    const units = length / unitBytes;
    const alike = this.#pieces[units];
    const piece = new Uint8Array(buffer as ArrayBuffer);
    if (alike === undefined) this.#pieces[units] = [piece];
    else alike.push(piece);
    this.#keptBytes += length;
  }
}
