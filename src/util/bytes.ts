/**
 * Byte arrays: what counts as one, copies and comparisons, each done the way that was measured the
 * quicker, and memory for results.
 *
 * Invariant: no function keeps or changes what it is given, but for the target of a copy. They do
 * not check bounds.
 */

import { builtinModule } from './builtin-module.ts';

/** The name of the kind of a typed array; undefined for everything else. It cannot be feigned. */
const kindOf = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype),
  Symbol.toStringTag,
)?.get as (this: unknown) => string | undefined;

/**
 * Whether the value is a Uint8Array (a Buffer too, or one of another realm: a `vm` context, a test
 * runner's) that has its bytes: one whose memory was transferred, or shrank below it, has none, and
 * is not the same as one that is empty.
 */
export function isBytes(value: unknown): value is Uint8Array {
  const isOne = value instanceof Uint8Array && ArrayBuffer.isView(value);
  if (!isOne && kindOf.call(value) !== 'Uint8Array') return false;
  return (value as Uint8Array).length > 0 || hasMemory(value as Uint8Array);
}

/** `ArrayBuffer.detached` is not everywhere. */
function hasMemory(bytes: Uint8Array): boolean {
  try {
    // Any method of an array whose memory is gone throws.
    Uint8Array.prototype.at.call(bytes, 0);
    return true;
  } catch {
    return false;
  }
}

/**
 * The bytes themselves or, where another thread could change them between a checksum and a copy, a
 * copy of them.
 */
export function ownedByThread(data: Uint8Array): Uint8Array {
  if (data.buffer instanceof ArrayBuffer) return data;
  const isShared = Object.prototype.toString.call(data.buffer) === '[object SharedArrayBuffer]';
  return isShared ? new Uint8Array(data) : data;
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

interface WorkerThreads {
  readonly markAsUntransferable?: (buffer: ArrayBuffer) => void;
}

/** Keeps a buffer from being transferred; undefined where the platform cannot. */
function transferGuard(): ((buffer: ArrayBuffer) => void) | undefined {
  const guard = builtinModule<WorkerThreads>('worker_threads')?.markAsUntransferable;
  if (guard === undefined) return undefined;
  // Some platforms have the function and do nothing in it.
  const buffer = new ArrayBuffer(1);
  try {
    guard(buffer);
    structuredClone(buffer, { transfer: [buffer] });
  } catch {
    // Refused, as it should be.
  }
  return buffer.byteLength === 1 ? guard : undefined;
}

/** Asked for when the first result is made. */
let guardOfSlabs: { readonly guard: ((buffer: ArrayBuffer) => void) | undefined } | undefined;

/**
 * Memory for results, of which each belongs to whoever is given it. Small ones share a buffer, so
 * it cannot be transferred: that would empty the others. Where a platform cannot refuse a transfer,
 * each has a buffer of its own.
 */
export class ResultMemory {
  #slab: ArrayBuffer | undefined;
  #used = 0;

  take(length: number): Uint8Array<ArrayBuffer> {
    if (length > slabResultMax) return new Uint8Array(length);
    let slab = this.#slab;
    if (slab === undefined || this.#used + length > slabBytes) {
      slab = this.#newSlab();
      if (slab === undefined) return new Uint8Array(length);
    }
    const result = new Uint8Array(slab, this.#used, length);
    this.#used += (length + 7) & ~7;
    return result;
  }

  #newSlab(): ArrayBuffer | undefined {
    guardOfSlabs ??= { guard: transferGuard() };
    const { guard } = guardOfSlabs;
    if (guard === undefined) return undefined;
    this.#slab = new ArrayBuffer(slabBytes);
    guard(this.#slab);
    this.#used = 0;
    return this.#slab;
  }

  /** A copy of `length` bytes of `from`, from `at` on. */
  copy(from: Uint8Array, at: number, length: number): Uint8Array<ArrayBuffer> {
    const result = this.take(length);
    copyRun({ bytes: from, from: at, length }, result, 0);
    return result;
  }
}
