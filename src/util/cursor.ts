/**
 * Cursors that write and read consecutive little-endian fields.
 *
 * Invariant: a reader never goes beyond its bytes (it throws `VARVE_CORRUPT` instead), and every
 * number above 32 bits that it returns is a safe integer. The writer's buffer grows. Neither knows
 * a structure of the format.
 */

import { corrupt } from '../errors.ts';
import { assert } from './assert.ts';
import { halves, highHalf, lowHalf, wide } from './bigint-halves.ts';
import {
  getU16,
  getU32,
  getU48,
  setU16,
  setU32,
  setU48,
  setVarint,
  varintBytesMax,
} from './little-endian.ts';

/** The weight of the last byte that a varint may have. */
const scaleMax = 128 ** (varintBytesMax - 1);
/** Memory that a writer keeps at a restart. */
const keptBytesMax = 64 * 1024;

/** Appends fields to a buffer that grows. */
export class ByteWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #at = 0;

  constructor(capacityBytes = 256) {
    this.#bytes = new Uint8Array(capacityBytes);
  }

  get length(): number {
    return this.#at;
  }

  #reserve(count: number): number {
    const at = this.#at;
    const end = at + count;
    if (end > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(end, this.#bytes.length * 2));
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    this.#at = end;
    return at;
  }

  u8(value: number): void {
    const at = this.#reserve(1);
    this.#bytes[at] = value;
  }

  u16(value: number): void {
    const at = this.#reserve(2);
    setU16(this.#bytes, at, value);
  }

  u32(value: number): void {
    const at = this.#reserve(4);
    setU32(this.#bytes, at, value);
  }

  u48(value: number): void {
    const at = this.#reserve(6);
    setU48(this.#bytes, at, value);
  }

  u64(value: bigint): void {
    const at = this.#reserve(8);
    wide[0] = value;
    setU32(this.#bytes, at, halves[lowHalf] as number);
    setU32(this.#bytes, at + 4, halves[highHalf] as number);
  }

  /** Seven bits a byte, low ones first; any safe integer from 0. */
  varint(value: number): void {
    assert(value >= 0, 'a varint is not negative');
    const at = this.#reserve(varintBytesMax);
    this.#at = setVarint(this.#bytes, at, value);
  }

  /** A signed safe integer (below 2^52 in size) as a varint: 0, -1, 1, -2, … */
  zigzag(value: number): void {
    this.varint(value < 0 ? -2 * value - 1 : 2 * value);
  }

  bytes(source: Uint8Array): void {
    const at = this.#reserve(source.length);
    this.#bytes.set(source, at);
  }

  zeros(count: number): void {
    assert(count >= 0, 'a field is not longer than the room for it');
    const at = this.#reserve(count);
    this.#bytes.fill(0, at, at + count);
  }

  /**
   * Starts again after the first `length` bytes, in the same memory unless that has grown large:
   * earlier views change.
   */
  restart(length = 0): void {
    assert(length <= this.#at, 'a writer keeps bytes that it has');
    this.#at = length;
    if (this.#bytes.length <= keptBytesMax || length > keptBytesMax) return;
    this.#bytes = this.#bytes.slice(0, keptBytesMax);
  }

  /** The bytes written so far; after later writes the view may be stale. */
  view(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#at);
  }
}

/**
 * Reads fields from a byte array. `what` and `offset` (of its first byte in the file) go into
 * errors.
 */
export class ByteReader {
  /** All bytes, also those before and behind the cursor. */
  readonly source: Uint8Array;
  readonly #what: string;
  readonly #offset: number | undefined;
  #at: number;

  constructor(bytes: Uint8Array, what: string, offset?: number | undefined, from = 0) {
    this.source = bytes;
    this.#what = what;
    this.#offset = offset;
    this.#at = from;
  }

  get at(): number {
    return this.#at;
  }

  get remaining(): number {
    return this.source.length - this.#at;
  }

  fail(message: string, expected?: unknown, actual?: unknown): never {
    const offset = this.#offset === undefined ? undefined : this.#offset + this.#at;
    throw corrupt(`${this.#what}: ${message}`, { offset, expected, actual });
  }

  /** Passes over `count` bytes; returns the index of the first. */
  take(count: number): number {
    assert(count >= 0, 'a cursor goes forward');
    const at = this.#at;
    if (count > this.source.length - at) this.fail('ends too early', count, this.remaining);
    this.#at = at + count;
    return at;
  }

  u8(): number {
    return this.source[this.take(1)] as number;
  }

  u16(): number {
    return getU16(this.source, this.take(2));
  }

  u32(): number {
    return getU32(this.source, this.take(4));
  }

  u48(): number {
    return getU48(this.source, this.take(6));
  }

  u64(): bigint {
    const at = this.take(8);
    return BigInt(getU32(this.source, at)) + (BigInt(getU32(this.source, at + 4)) << 32n);
  }

  varint(): number {
    const { source } = this;
    let value = 0;
    let scale = 1;
    for (let at = this.#at; at < source.length; at++, scale *= 128) {
      const byte = source[at] as number;
      value += (byte & 0x7f) * scale;
      if (byte >= 0x80 && scale < scaleMax) continue;
      this.#at = at + 1;
      if (byte >= 0x80) this.fail('a number has too many bytes');
      if (!Number.isSafeInteger(value)) this.fail('a number is too large');
      return value;
    }
    return this.fail('ends too early');
  }

  zigzag(): number {
    const value = this.varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  bytes(count: number): Uint8Array {
    const at = this.take(count);
    return this.source.subarray(at, at + count);
  }

  /** Reads `count` structures, one after the other. */
  list<T>(count: number, read: () => T): T[] {
    const all: T[] = [];
    for (let left = count; left > 0; left--) all.push(read());
    return all;
  }

  /** Reads bytes that must be zero in this version of the format. */
  zeros(count: number): void {
    for (const byte of this.bytes(count)) if (byte !== 0) this.fail('a reserved byte', 0, byte);
  }

  /** Throws if bytes follow. */
  end(): void {
    if (this.remaining > 0) this.fail('has bytes after its end', 0, this.remaining);
  }
}
