/**
 * Memory of nodes that are gone, for nodes to come.
 *
 * Invariant: what it gives out belongs to whoever takes it; what it is given nobody reads any more.
 * New memory costs more than copying a node into it, most of all when it is collected. It keeps a
 * bounded number of bytes, in pieces of whole kibibytes. What is in them is not cleared.
 */

const unitBytes = 1024;
const keptBytesMax = 32 * 1024 * 1024;

export class NodeMemory {
  /** Pieces that nobody has, by their length in units. */
  readonly #pieces: Uint8Array[][] = [];
  #keptBytes = 0;

  /** At least `length` bytes, of any content. */
  take(length: number): Uint8Array {
    const units = Math.ceil(length / unitBytes);
    const kept = this.#pieces[units]?.pop();
    if (kept === undefined) return new Uint8Array(units * unitBytes);
    this.#keptBytes -= kept.length;
    return kept;
  }

  /** Nobody reads these bytes any more. Those that it did not give out it does not take either. */
  give(bytes: Uint8Array): void {
    const { length } = bytes;
    if (length === 0 || length % unitBytes !== 0 || bytes.buffer.byteLength !== length) return;
    if (this.#keptBytes + length > keptBytesMax) return;
    const units = length / unitBytes;
    const alike = this.#pieces[units];
    if (alike === undefined) this.#pieces[units] = [bytes];
    else alike.push(bytes);
    this.#keptBytes += length;
  }
}
