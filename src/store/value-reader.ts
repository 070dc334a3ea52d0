/**
 * Reads values: prefix and bytes, checked against the CRC that covers id, length and bytes.
 *
 * Invariant: what it gives back is what was pushed under that id, in memory of the caller's own,
 * or it throws `VARVE_CORRUPT`. Small values go through the block cache; larger ones straight into
 * the result, so that no second copy of them is made. Whether there is such a value is the Atlas's
 * business.
 */

import { corrupt } from '../errors.ts';
import { type GrainIdParts, joinGrainId } from '../format/grain-id.ts';
import { valuePrefixBytes } from '../format/layout.ts';
import { valueCrcStart } from '../format/value.ts';
import { BlockCache } from '../io/block-cache.ts';
import { crc32 } from '../util/crc.ts';
import { getU32 } from '../util/little-endian.ts';
import type { FileReader } from './file-reader.ts';

/** Values up to this long, prefix and padding included, are read through the cache. */
const cachedBytesMax = 64 * 1024;
/** Results up to this long share a slab: a quarter of the time of an array of their own. */
const slabResultMax = 1024;
const slabBytes = 16 * 1024;
/** Bytes that are summed at once while a large value is read without blocking. */
const pieceBytes = 8 * 1024 * 1024;

/** Where a value is to be read. */
export interface ValuePlace {
  readonly id: GrainIdParts;
  /** Byte offset of its prefix. */
  readonly offset: number;
  /** Bytes of its grains. */
  readonly capacity: number;
}

export class ValueReader {
  readonly #file: FileReader;
  readonly #cache: BlockCache;
  readonly #prefix = new Uint8Array(valuePrefixBytes);
  #slab = new ArrayBuffer(slabBytes);
  #slabUsed = 0;

  constructor(file: FileReader, cacheBytes: number) {
    this.#file = file;
    this.#cache = new BlockCache({ readSync: (to, at) => file.fillUpTo(to, at) }, cacheBytes);
  }

  get cache(): BlockCache {
    return this.#cache;
  }

  /** Memory for a result. */
  #result(length: number): Uint8Array<ArrayBuffer> {
    if (length > slabResultMax) return new Uint8Array(length);
    if (this.#slabUsed + length > slabBytes) {
      this.#slab = new ArrayBuffer(slabBytes);
      this.#slabUsed = 0;
    }
    const result = new Uint8Array(this.#slab, this.#slabUsed, length);
    this.#slabUsed += (length + 7) & ~7;
    return result;
  }

  /** `length` bytes at `offset` into `target`, from the cache where they may be there. */
  #fill(target: Uint8Array, offset: number, cached: boolean): void {
    if (cached) this.#cache.copy(offset, target.length, target, 0);
    else this.#file.fill(target, offset);
  }

  /** Length in the value's prefix. Throws `VARVE_CORRUPT` where its grains cannot hold that. */
  length(place: ValuePlace): number {
    const cached = this.#cache.usable && place.capacity <= cachedBytesMax;
    this.#fill(this.#prefix, place.offset, cached);
    return this.#checkLength(place, getU32(this.#prefix, 0));
  }

  #checkLength(place: ValuePlace, length: number): number {
    if (length + valuePrefixBytes <= place.capacity) return length;
    throw corrupt('a value is longer than its grains', {
      offset: place.offset,
      grainId: joinGrainId(place.id.basin, place.id.stratum, place.id.index),
      expected: place.capacity - valuePrefixBytes,
      actual: length,
    });
  }

  /** The value's bytes. Throws `VARVE_CORRUPT`, `VARVE_IO`. */
  read(place: ValuePlace): Uint8Array<ArrayBuffer> {
    const length = this.length(place);
    const expected = getU32(this.#prefix, 4);
    const cached = this.#cache.usable && place.capacity <= cachedBytesMax;
    const result = this.#result(length);
    this.#fill(result, place.offset + valuePrefixBytes, cached);
    this.#checkCrc(place, expected, crc32(result, valueCrcStart(place.id, length)));
    return result;
  }

  /** CRC in the value's prefix. */
  storedCrc(place: ValuePlace): number {
    this.length(place);
    return getU32(this.#prefix, 4);
  }

  /** As `read`, in pieces and without blocking. Goes past the cache. */
  async readAsync(place: ValuePlace): Promise<{ bytes: Uint8Array<ArrayBuffer>; crc: number }> {
    const prefix = new Uint8Array(valuePrefixBytes);
    await this.#file.fillAsync(prefix, place.offset);
    const length = this.#checkLength(place, getU32(prefix, 0));
    const result = new Uint8Array(length);
    let crc = valueCrcStart(place.id, length);
    for (let at = 0; at < length; at += pieceBytes) {
      const piece = result.subarray(at, Math.min(at + pieceBytes, length));
      await this.#file.fillAsync(piece, place.offset + valuePrefixBytes + at);
      crc = crc32(piece, crc);
    }
    this.#checkCrc(place, getU32(prefix, 4), crc);
    return { bytes: result, crc };
  }

  /**
   * Length and CRC of the bytes on the disk, summed in pieces without keeping them; undefined
   * where the file ends within them or the length is impossible.
   */
  measure(place: ValuePlace): { length: number; stored: number; computed: number } | undefined {
    if (place.offset + valuePrefixBytes > this.#file.length()) return undefined;
    this.#file.fill(this.#prefix, place.offset);
    const length = getU32(this.#prefix, 0);
    const stored = getU32(this.#prefix, 4);
    const end = place.offset + valuePrefixBytes + length;
    if (length + valuePrefixBytes > place.capacity || end > this.#file.length()) return undefined;
    const buffer = new Uint8Array(Math.min(pieceBytes, length));
    let crc = valueCrcStart(place.id, length);
    for (let at = 0; at < length; at += pieceBytes) {
      const piece = buffer.subarray(0, Math.min(pieceBytes, length - at));
      this.#file.fill(piece, place.offset + valuePrefixBytes + at);
      crc = crc32(piece, crc);
    }
    return { length, stored, computed: crc };
  }

  #checkCrc(place: ValuePlace, expected: number, actual: number): void {
    if (expected === actual) return;
    throw corrupt('a value fails its checksum', {
      offset: place.offset,
      grainId: joinGrainId(place.id.basin, place.id.stratum, place.id.index),
      expected,
      actual,
    });
  }
}
