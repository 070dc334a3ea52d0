/**
 * Copies and comparisons of byte arrays, each done the way that was measured the quicker.
 *
 * Invariant: no function keeps or changes what it is given, but for the target of a copy. They do
 * not check bounds.
 */

/** Those of another realm (a `vm` context, a test runner's) are no instances of this one's. */
export function isBytes(data: unknown): data is Uint8Array {
  if (data instanceof Uint8Array) return true;
  return ArrayBuffer.isView(data) && Object.prototype.toString.call(data) === '[object Uint8Array]';
}

/** So few bytes are copied more quickly one by one. */
const copiedByHandMax = 48;

/** Copies all of `source` into `target` at `at`. */
export function copyBytes(source: Uint8Array, target: Uint8Array, at: number): void {
  const { length } = source;
  if (length > copiedByHandMax) target.set(source, at);
  else for (let done = 0; done < length; done++) target[at + done] = source[done] as number;
}

/** A stretch of bytes, from `from` on. */
export interface ByteRun {
  readonly bytes: Uint8Array;
  readonly from: number;
  readonly length: number;
}

/** Copies a stretch into `target` at `at`. */
export function copyRun({ bytes, from, length }: ByteRun, target: Uint8Array, at: number): void {
  if (length > copiedByHandMax) target.set(bytes.subarray(from, from + length), at);
  else for (let done = 0; done < length; done++) target[at + done] = bytes[from + done] as number;
}

/** Below 0 where `one` sorts before `other`, byte by byte, unsigned; 0 where they are the same. */
export function compareBytes(one: Uint8Array, other: Uint8Array): number {
  const shared = Math.min(one.length, other.length);
  for (let at = 0; at < shared; at++) {
    const difference = (one[at] as number) - (other[at] as number);
    if (difference !== 0) return difference;
  }
  return one.length - other.length;
}

const slabBytes = 16 * 1024;
/** Results up to this long share a slab: a quarter of the time of an array of their own. */
const slabResultMax = 1024;

/** Memory for results, of which each belongs to whoever is given it. */
export class ResultMemory {
  #slab = new ArrayBuffer(slabBytes);
  #used = 0;

  take(length: number): Uint8Array<ArrayBuffer> {
    if (length > slabResultMax) return new Uint8Array(length);
    // A slab that someone has transferred to another thread has no bytes any more.
    if (this.#used + length > this.#slab.byteLength) {
      this.#slab = new ArrayBuffer(slabBytes);
      this.#used = 0;
    }
    const result = new Uint8Array(this.#slab, this.#used, length);
    this.#used += (length + 7) & ~7;
    return result;
  }

  /** A copy of `length` bytes of `from`, from `at` on. */
  copy(from: Uint8Array, at: number, length: number): Uint8Array<ArrayBuffer> {
    const result = this.take(length);
    copyRun({ bytes: from, from: at, length }, result, 0);
    return result;
  }
}
