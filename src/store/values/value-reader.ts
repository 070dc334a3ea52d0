/**
 * Reads values: prefix and bytes, checked against the CRC of id, length and bytes.
 *
 * Invariant: it returns the bytes that were pushed under that id, in new memory, or throws
 * `VARVE_CORRUPT`. Small values go through the block cache. Larger ones are read straight into the
 * result, which saves a second copy. Values that only the log has (`carried`) are laid over what is
 * read. The Atlas decides whether a value exists.
 */

import type { GrainIdParts } from '../../format/grain-id.ts';
import { valuePrefixBytes } from '../../format/layout.ts';
import { valueCrcStart } from '../../format/value.ts';
import type { StorageFile } from '../../io/file-system.ts';
import { assert } from '../../util/assert.ts';
import { ResultMemory } from '../../util/bytes.ts';
import { crc32 } from '../../util/crc.ts';
import { getU32 } from '../../util/little-endian.ts';
import { MemoryBudget } from '../../util/memory-budget.ts';
import {
  endOf,
  type FilePart,
  type MovedBytes,
  movedOffset,
  partsWithin,
} from '../file/file-parts.ts';
import type { FileReader, ReadAhead } from '../file/file-reader.ts';
import type { WriteObserver } from '../file/file-writer.ts';
import { BlockCache, blockBytes } from './block-cache.ts';
import { CarriedValues, layOver } from './carried-values.ts';
import {
  type ByteRange,
  checkCrc,
  checkStoredLength,
  damaged,
  partsOf,
  rangeBytes,
  type ValuePlace,
} from './value-place.ts';

/** Values up to this length, with prefix and padding, are read through the cache. */
const cachedBytesMax = 64 * 1024;
/** Bytes of one read, and of one step of the CRC, while a large value is read without blocking. */
const pieceBytes = 2 * 1024 * 1024;

/** Length and CRC in a value's prefix. */
export interface ValuePrefix {
  readonly length: number;
  readonly crc: number;
}

/** Length and CRC in a value's prefix, and the CRC computed from its bytes. */
export interface MeasuredValue {
  readonly length: number;
  readonly stored: number;
  readonly computed: number;
}

export class ValueReader implements WriteObserver {
  readonly carried = new CarriedValues();
  readonly #file: FileReader;
  #cache: BlockCache;
  /** Offsets of values that their batch did not write, even if they have a valid checksum. */
  readonly #distrusted = new Set<number>();
  readonly #prefix = new Uint8Array(valuePrefixBytes);
  readonly #memory = new ResultMemory();

  constructor(file: FileReader, budget: MemoryBudget) {
    this.#file = file;
    this.#cache = new BlockCache(this.#source, budget);
  }

  /** The file as the cache reads it, with the carried values. */
  get #source(): Pick<StorageFile, 'readSync'> {
    return {
      readSync: (target, offset) => {
        const read = this.#file.fillUpTo(target, offset);
        if (read < target.length) target.fill(0, read);
        this.carried.overlay(target, offset);
        return target.length;
      },
    };
  }

  /** Takes the cache of another reader of the same file, and leaves that one without a cache. */
  takeCacheOf(other: ValueReader): void {
    this.#cache.clear();
    this.#cache = other.#cache;
    this.#cache.readFrom(this.#source);
    other.#cache = new BlockCache(other.#source, new MemoryBudget(0));
  }

  /** Empties the cache. */
  dropCache(): void {
    this.#cache.clear();
  }

  /**
   * The value at byte `offset` is not the one that its batch wrote: reading it is `VARVE_CORRUPT`,
   * even if an older value there is whole.
   */
  distrust(offset: number): void {
    this.#distrusted.add(offset);
  }

  /** False if `distrust` was called for the value at `offset`. */
  isTrusted(offset: number): boolean {
    return !this.#distrusted.has(offset);
  }

  /** The record of `batch` carries the value at `offset`: prefix, bytes and padding. */
  carry(batch: number, offset: number, bytes: Uint8Array): void {
    this.carried.add(batch, offset, bytes);
    this.#cache.written([bytes], offset);
  }

  /** The value at `offset` was freed. */
  freed(offset: number): void {
    this.carried.remove(offset);
    this.#cache.uncheck(offset);
    this.#distrusted.delete(offset);
  }

  /** Grain maps have moved: the bytes of their values are elsewhere. */
  moved(parts: readonly MovedBytes[], left: readonly FilePart[]): void {
    this.carried.moved(parts);
    for (const offset of [...this.#distrusted]) {
      const to = movedOffset(parts, offset);
      if (to === undefined) continue;
      this.#distrusted.delete(offset);
      this.#distrusted.add(to);
    }
    // Other values may come to the old place, at the same offsets.
    for (const { offset, bytes } of left) this.#cache.forget(offset, bytes);
  }

  /** The value at `offset` is to be read and checked again. */
  uncheck(offset: number): void {
    this.#cache.uncheck(offset);
  }

  written(chunks: readonly Uint8Array[], offset: number): void {
    this.#cache.written(chunks, offset);
  }

  forget(offset: number, length: number): void {
    this.#cache.forget(offset, length);
  }

  #checkTrusted(place: ValuePlace): void {
    if (!this.#distrusted.has(place.offset)) return;
    throw damaged(place, 'a value is not the one that its batch wrote');
  }

  /**
   * Fills `target` with the value's bytes from `at` on, through the cache if that is used for them.
   */
  #fill(target: Uint8Array, place: ValuePlace, at: number): void {
    if (place.parts !== undefined) this.#fillParts(target, place.parts, at);
    else if (this.#cache.usable && place.capacity <= cachedBytesMax) {
      this.#cache.copy(place.offset + at, target.length, target, 0);
    } else this.#read(target, place.offset + at);
  }

  /** Bytes of the file, with the carried values that lie after its end. */
  #length(): number {
    return Math.max(this.#file.length(), this.carried.end);
  }

  #read(target: Uint8Array, offset: number): void {
    this.#file.fill(target, offset, this.carried.end);
    this.carried.overlay(target, offset);
  }

  /**
   * Fills `target` with the bytes of the file from `offset` on, with the carried values: as the
   * grains will be. The file may end before them. Throws `VARVE_IO`.
   */
  copy(target: Uint8Array, offset: number): void {
    this.#source.readSync(target, offset);
  }

  #fillParts(target: Uint8Array, parts: readonly FilePart[], at: number): void {
    let filled = 0;
    for (const { offset, bytes } of partsWithin(parts, at, target.length)) {
      this.#read(target.subarray(filled, filled + bytes), offset);
      filled += bytes;
    }
    assert(filled === target.length, 'the parts of a value have all of its bytes');
  }

  /** Length in the value's prefix. Throws `VARVE_CORRUPT` if it does not fit the value's grains. */
  length(place: ValuePlace): number {
    this.#fill(this.#prefix, place, 0);
    return checkStoredLength(place, getU32(this.#prefix, 0));
  }

  /** Checks the file's length before memory for a long value is allocated. */
  #checkWithin(place: ValuePlace, length: number): void {
    if (length <= cachedBytesMax) return;
    const end = endOf(partsWithin(partsOf(place), 0, valuePrefixBytes + length));
    const fileBytes = this.#length();
    if (end <= fileBytes) return;
    throw damaged(place, 'the file ends within a value', { expected: end, actual: fileBytes });
  }

  /** The bytes of the value at `offset`, if the cache has them checked by `readInBlock`. */
  readChecked(offset: number): Uint8Array<ArrayBuffer> | undefined {
    const slot = this.#cache.slotOfChecked(offset);
    if (slot < 0) return undefined;
    const slab = this.#cache.slab(slot);
    const within = offset % blockBytes;
    const at = this.#cache.slotStart(slot) + within;
    const length = getU32(slab, at);
    assert(within + valuePrefixBytes + length <= blockBytes, 'a checked value is in its block');
    return this.#memory.copy(slab, at + valuePrefixBytes, length);
  }

  /**
   * The bytes of the value with this id and `capacity` bytes of grains at `offset`, if they are in
   * one block and valid. Undefined if `read` must read them, or report the damage. From then on
   * `readChecked` returns them, until the block is written to or the value is freed.
   */
  readInBlock(
    id: GrainIdParts,
    offset: number,
    capacity: number,
  ): Uint8Array<ArrayBuffer> | undefined {
    const cache = this.#cache;
    const block = Math.floor(offset / blockBytes);
    const within = offset - block * blockBytes;
    if (within + capacity > blockBytes || !cache.usable) return undefined;
    if (this.#distrusted.has(offset)) return undefined;
    const slot = cache.slotFor(block);
    const slab = cache.slab(slot);
    const at = cache.slotStart(slot) + within;
    const length = getU32(slab, at);
    if (length + valuePrefixBytes > capacity) return undefined;
    const result = this.#memory.copy(slab, at + valuePrefixBytes, length);
    if (crc32(result, valueCrcStart(id, length)) !== getU32(slab, at + 4)) return undefined;
    cache.check(offset);
    return result;
  }

  /** The value's bytes. Throws `VARVE_CORRUPT`, `VARVE_IO`. */
  read(place: ValuePlace): Uint8Array<ArrayBuffer> {
    this.#checkTrusted(place);
    const length = this.length(place);
    const expected = getU32(this.#prefix, 4);
    this.#checkWithin(place, length);
    const result = this.#memory.take(length);
    this.#fill(result, place, valuePrefixBytes);
    checkCrc(place, expected, crc32(result, valueCrcStart(place.id, length)));
    return result;
  }

  /**
   * Bytes of the value, clipped to its length. They are checked only if they are all of it. Throws
   * as `read`.
   */
  readRange(place: ValuePlace, { start, end }: ByteRange): Uint8Array<ArrayBuffer> {
    this.#checkTrusted(place);
    const length = this.length(place);
    if (start === 0 && end >= length) return this.read(place);
    const bytes = rangeBytes({ start, end }, length);
    if (bytes > 0) this.#checkWithin(place, start + bytes);
    const result = this.#memory.take(bytes);
    if (bytes > 0) this.#fill(result, place, valuePrefixBytes + start);
    return result;
  }

  /** Length and CRC in the value's prefix, in the file or as carried, without the cache. */
  stored(place: ValuePlace): { length: number; crc: number } {
    this.#fillParts(this.#prefix, partsOf(place), 0);
    return { length: getU32(this.#prefix, 0), crc: getU32(this.#prefix, 4) };
  }

  /** As `read`, in pieces, without blocking and without the cache. */
  async readAsync(place: ValuePlace): Promise<Uint8Array<ArrayBuffer>> {
    const prefix = await this.prefixAsync(place);
    const bytes = new Uint8Array(prefix.length);
    const started = valueCrcStart(place.id, prefix.length);
    const crc = await this.fillAsync(bytes, place, { from: 0, crc: started });
    checkCrc(place, prefix.crc, crc);
    return bytes;
  }

  /** As `readRange`, without blocking and without the cache. */
  async readRangeAsync(place: ValuePlace, range: ByteRange): Promise<Uint8Array<ArrayBuffer>> {
    const { length } = await this.prefixAsync(place);
    const { start, end } = range;
    if (start === 0 && end >= length) return await this.readAsync(place);
    const result = new Uint8Array(rangeBytes(range, length));
    if (result.length > 0) await this.#fillAsync(result, place, valuePrefixBytes + start);
    return result;
  }

  /** The value's prefix, if the file has all of the value. Throws `VARVE_CORRUPT`, `VARVE_IO`. */
  async prefixAsync(place: ValuePlace): Promise<ValuePrefix> {
    this.#checkTrusted(place);
    const prefix = new Uint8Array(valuePrefixBytes);
    await this.#fillAsync(prefix, place, 0);
    const length = checkStoredLength(place, getU32(prefix, 0));
    this.#checkWithin(place, length);
    return { length, crc: getU32(prefix, 4) };
  }

  /**
   * Fills `target` with the value's bytes from `from` on, in pieces, without the cache. Resolves to
   * the CRC of the value up to there; `crc` is that of what comes before.
   */
  async fillAsync(
    target: Uint8Array,
    place: ValuePlace,
    before: { readonly from: number; readonly crc: number },
  ): Promise<number> {
    let { crc } = before;
    for (let at = 0; at < target.length; at += pieceBytes) {
      const piece = target.subarray(at, at + pieceBytes);
      await this.#fillAsync(piece, place, valuePrefixBytes + before.from + at);
      crc = crc32(piece, crc);
    }
    return crc;
  }

  async #fillAsync(target: Uint8Array, place: ValuePlace, at: number): Promise<void> {
    let filled = 0;
    for (const { offset, bytes } of partsWithin(partsOf(place), at, target.length)) {
      const part = target.subarray(filled, filled + bytes);
      // A value may be written to its grains, and leave, during the read.
      const carried = this.carried.within(offset, bytes);
      await this.#file.fillAsync(part, offset, this.carried.end);
      layOver(part, offset, carried);
      this.carried.overlay(part, offset);
      filled += bytes;
    }
    assert(filled === target.length, 'the parts of a value have all of its bytes');
  }

  /**
   * Length and CRC of the bytes, in the file or as carried, computed in pieces that are not kept.
   * Undefined if the file ends within them or the length is impossible. `ahead` saves reads of
   * small values. Requires: with `ahead`, no record carries the value.
   */
  measure(place: ValuePlace, ahead?: ReadAhead): MeasuredValue | undefined {
    if (ahead !== undefined && place.parts === undefined && place.capacity <= cachedBytesMax) {
      return measureIn(ahead.view(place.offset, place.capacity), place);
    }
    const parts = partsOf(place);
    const fileBytes = this.#length();
    if (endOf(partsWithin(parts, 0, valuePrefixBytes)) > fileBytes) return undefined;
    this.#fillParts(this.#prefix, parts, 0);
    const length = getU32(this.#prefix, 0);
    const stored = getU32(this.#prefix, 4);
    if (length + valuePrefixBytes > place.capacity) return undefined;
    if (endOf(partsWithin(parts, 0, valuePrefixBytes + length)) > fileBytes) return undefined;
    const buffer = new Uint8Array(Math.min(pieceBytes, length));
    let crc = valueCrcStart(place.id, length);
    for (let at = 0; at < length; at += pieceBytes) {
      const piece = buffer.subarray(0, Math.min(pieceBytes, length - at));
      this.#fillParts(piece, parts, valuePrefixBytes + at);
      crc = crc32(piece, crc);
    }
    return { length, stored, computed: crc };
  }
}

/** `bytes`: the value's grains, fewer at the end of the file. */
function measureIn(bytes: Uint8Array, place: ValuePlace): MeasuredValue | undefined {
  if (bytes.length < valuePrefixBytes) return undefined;
  const length = getU32(bytes, 0);
  const end = valuePrefixBytes + length;
  if (end > place.capacity || end > bytes.length) return undefined;
  const value = bytes.subarray(valuePrefixBytes, end);
  const computed = crc32(value, valueCrcStart(place.id, length));
  return { length, stored: getU32(bytes, 4), computed };
}
