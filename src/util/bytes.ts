/**
 * Which values are bytes, and copies and comparisons of them, each done the way that was measured
 * the quicker.
 *
 * Invariant: no function keeps or changes what it is given, but for the target of a copy. They do
 * not check bounds.
 */

/** The name of the kind of a typed array; undefined for everything else. It cannot be feigned. */
const kindOf = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype),
  Symbol.toStringTag,
)?.get as (this: unknown) => string | undefined;

/**
 * Whether the value is a Uint8Array, of any realm: those of a `vm` context or of a test runner's
 * sandbox are no instances of this realm's class.
 */
export function isBytes(value: unknown): value is Uint8Array {
  if (value instanceof Uint8Array && ArrayBuffer.isView(value)) return true;
  return kindOf.call(value) === 'Uint8Array';
}

/**
 * Whether the bytes are gone: their memory was transferred to another thread, or has become
 * shorter than where they begin. They then look like no bytes at all.
 */
export function isDetached(bytes: Uint8Array): boolean {
  if (bytes.length > 0) return false;
  try {
    // Any method of an array whose memory is gone throws.
    Uint8Array.prototype.at.call(bytes, 0);
    return false;
  } catch {
    return true;
  }
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
