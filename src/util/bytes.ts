/**
 * Byte arrays: type check, copies and comparisons, each in the way that was measured faster, and
 * memory for results.
 *
 * Invariant: no function keeps or changes its arguments, except the target of a copy. None checks
 * bounds.
 */

import { builtinModule } from './builtin-module.ts';

/** The class name of a typed array; undefined for everything else. It cannot be faked. */
const kindOf = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype),
  Symbol.toStringTag,
)?.get as (this: unknown) => string | undefined;

/**
 * True if the value is a Uint8Array that is not detached: also a Buffer, and one of another realm
 * (a `vm` context, a test runner). An array whose buffer was transferred, or shrank below it, is
 * refused: it differs from an empty one.
 */
export function isBytes(value: unknown): value is Uint8Array {
  const isOne = value instanceof Uint8Array && ArrayBuffer.isView(value);
  if (!isOne && kindOf.call(value) !== 'Uint8Array') return false;
  return (value as Uint8Array).length > 0 || hasMemory(value as Uint8Array);
}

/** Some platforms lack `ArrayBuffer.detached`. */
function hasMemory(bytes: Uint8Array): boolean {
  try {
    // Any method of a detached array throws.
    Uint8Array.prototype.at.call(bytes, 0);
    return true;
  } catch {
    return false;
  }
}

/** The bytes, or a copy if another thread could change them between a checksum and a copy. */
export function ownedByThread(data: Uint8Array): Uint8Array {
  if (data.buffer instanceof ArrayBuffer) return data;
  const isShared = Object.prototype.toString.call(data.buffer) === '[object SharedArrayBuffer]';
  return isShared ? new Uint8Array(data) : data;
}

/** Up to this length a loop copies faster. */
const copiedByHandMax = 48;

/** Copies all of `source` into `target` at `at`. */
export function copyBytes(source: Uint8Array, target: Uint8Array, at: number): void {
  const { length } = source;
  if (length > copiedByHandMax) target.set(source, at);
  else for (let done = 0; done < length; done++) target[at + done] = source[done] as number;
}

/** `length` bytes from `from` on. */
export interface ByteRun {
  readonly bytes: Uint8Array;
  readonly from: number;
  readonly length: number;
}

/** Copies a run into `target` at `at`. */
export function copyRun({ bytes, from, length }: ByteRun, target: Uint8Array, at: number): void {
  if (length > copiedByHandMax) target.set(bytes.subarray(from, from + length), at);
  else for (let done = 0; done < length; done++) target[at + done] = bytes[from + done] as number;
}

/** Negative if `one` sorts before `other`, byte by byte, unsigned; 0 if they are equal. */
export function compareBytes(one: Uint8Array, other: Uint8Array): number {
  const shared = Math.min(one.length, other.length);
  for (let at = 0; at < shared; at++) {
    const difference = (one[at] as number) - (other[at] as number);
    if (difference !== 0) return difference;
  }
  return one.length - other.length;
}

interface WithBuffer {
  readonly Buffer?: { allocUnsafeSlow(length: number): Uint8Array<ArrayBuffer> };
}

/**
 * New memory with any content: the caller writes all of it before anyone can read it. Clearing a
 * long array takes a third of the time in which the file fills it.
 */
export function unclearedBytes(length: number): Uint8Array<ArrayBuffer> {
  const { Buffer } = globalThis as WithBuffer;
  if (Buffer === undefined) return new Uint8Array(length);
  return new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
}

const slabBytes = 16 * 1024;
/** Results up to this length share a slab: that takes a quarter of the time of separate arrays. */
const slabResultMax = 1024;

interface WorkerThreads {
  readonly markAsUntransferable?: (buffer: ArrayBuffer) => void;
}

/** Prevents the transfer of a buffer; undefined if the platform cannot do that. */
function transferGuard(): ((buffer: ArrayBuffer) => void) | undefined {
  const guard = builtinModule<WorkerThreads>('worker_threads')?.markAsUntransferable;
  if (guard === undefined) return undefined;
  // Some platforms have the function and do nothing in it.
  const buffer = new ArrayBuffer(1);
  try {
    guard(buffer);
    structuredClone(buffer, { transfer: [buffer] });
  } catch {
    // The transfer was refused, as it should be.
  }
  return buffer.byteLength === 1 ? guard : undefined;
}

/** Determined with the first result. */
let guardOfSlabs: { readonly guard: ((buffer: ArrayBuffer) => void) | undefined } | undefined;

/**
 * Memory for results, each owned by its receiver. Small ones share a buffer that cannot be
 * transferred, since that would detach the others. If a platform cannot refuse a transfer, each
 * result has its own buffer.
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
