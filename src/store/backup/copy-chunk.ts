/**
 * One piece of a copy in memory: consecutive bytes of the target, most of them values that are read
 * from the source, and the check of these values.
 *
 * Invariants:
 * - Values are whole in a chunk. Bytes that belong to no value and no structure are zero, so
 *   nothing of a deleted value gets into the copy.
 * - Neighbouring values are one read.
 */

import { valuePrefixBytes } from '../../format/layout.ts';
import { valueCrcStart } from '../../format/value.ts';
import { crc32 } from '../../util/crc.ts';
import { getU32 } from '../../util/little-endian.ts';
import type { FilePart } from '../file/file-parts.ts';
import type { SourceStratum } from './backup-source.ts';

/** Free bytes between two values that are read with them. */
const readThroughBytesMax = 16 * 1024;

/** A read of the source's file into the chunk. */
export interface ChunkRead {
  readonly offset: number;
  /** Start in the chunk. */
  readonly at: number;
  bytes: number;
}

/** A value in the chunk; `index` is that of its first grain. */
export interface ChunkValue {
  readonly stratum: SourceStratum;
  readonly index: number;
  readonly count: number;
  /** Start of its grains in the chunk. */
  readonly at: number;
}

export class CopyChunk {
  readonly #buffer: Uint8Array;
  /** Byte offset in the target. */
  #offset = 0;
  #used = 0;
  #reads: ChunkRead[] = [];
  /** The read that the next value may be a part of. */
  #lastRead: ChunkRead | undefined;
  /** Starts of structures, and the number of them that the reads have passed. */
  #structures: number[] = [];
  #passed = 0;
  /** Stretches of free grains that are read with values. */
  #free: { readonly at: number; readonly bytes: number }[] = [];
  #values: ChunkValue[] = [];

  constructor(bytes: number) {
    this.#buffer = new Uint8Array(bytes);
  }

  /** Begins anew at this byte of the target. */
  begin(offset: number): void {
    this.#offset = offset;
    this.#used = 0;
    this.#reads = [];
    this.#lastRead = undefined;
    this.#structures = [];
    this.#passed = 0;
    this.#free = [];
    this.#values = [];
    this.#buffer.fill(0);
  }

  get offset(): number {
    return this.#offset;
  }

  /** Byte of the target after its last one. */
  get end(): number {
    return this.#offset + this.#used;
  }

  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#used);
  }

  get reads(): readonly ChunkRead[] {
    return this.#reads;
  }

  get values(): readonly ChunkValue[] {
    return this.#values;
  }

  /** True if it has room up to this byte of the target. */
  hasRoom(end: number): boolean {
    return end - this.#offset <= this.#buffer.length;
  }

  /** Bytes for this byte of the target; what lies before it stays zero. */
  put(bytes: Uint8Array, offset: number): void {
    this.#buffer.set(bytes, offset - this.#offset);
    this.#used = offset - this.#offset + bytes.length;
    this.#structures.push(offset - this.#offset);
  }

  /** True if the bytes between two values are not only free grains. */
  #hasStructure(from: number, to: number): boolean {
    if (from === to) return false;
    const structures = this.#structures;
    while ((structures[this.#passed] ?? to) < from) this.#passed += 1;
    return (structures[this.#passed] ?? to) < to;
  }

  /** A value for this byte of the target. */
  add(value: Omit<ChunkValue, 'at'>, offset: number): void {
    const at = offset - this.#offset;
    this.#values.push({ ...value, at });
    this.#used = at + value.count * 2 ** value.stratum.grainExp;
  }

  /**
   * Decides the reads. `partsOf`: the parts of the source's file with the grains of a value.
   * Requires: the reads begin before other code moves a value.
   */
  plan(partsOf: (value: ChunkValue) => readonly FilePart[]): void {
    for (const value of this.#values) {
      let from = value.at;
      for (const part of partsOf(value)) {
        this.#read(part, from);
        from += part.bytes;
      }
    }
  }

  #read({ offset, bytes }: FilePart, at: number): void {
    const last = this.#lastRead;
    if (last !== undefined) {
      const end = last.at + last.bytes;
      const gap = offset - (last.offset + last.bytes);
      const isNear = gap >= 0 && gap <= readThroughBytesMax && at - end === gap;
      if (isNear && !this.#hasStructure(end, at)) {
        if (gap > 0) this.#free.push({ at: end, bytes: gap });
        last.bytes += gap + bytes;
        return;
      }
    }
    this.#lastRead = { offset, at, bytes };
    this.#reads.push(this.#lastRead);
  }

  /** The bytes of the target of a read. */
  targetOf({ at, bytes }: ChunkRead): Uint8Array {
    return this.#buffer.subarray(at, at + bytes);
  }

  /** All reads are done: clears the free grains between the values. */
  wasRead(): void {
    for (const { at, bytes } of this.#free) this.#buffer.fill(0, at, at + bytes);
  }

  /**
   * Checks the value at position `at` of `values`, and clears its padding. Returns its length, or
   * -1 if its checksum fails.
   */
  check(at: number): number {
    const buffer = this.#buffer;
    const { stratum, index, count, at: from } = this.#values[at] as ChunkValue;
    const end = from + count * 2 ** stratum.grainExp;
    const length = getU32(buffer, from);
    const valueEnd = from + valuePrefixBytes + length;
    if (valueEnd > end) return -1;
    const id = { basin: stratum.basin, stratum: stratum.number, index };
    const bytes = buffer.subarray(from + valuePrefixBytes, valueEnd);
    if (crc32(bytes, valueCrcStart(id, length)) !== getU32(buffer, from + 4)) return -1;
    if (valueEnd < end) buffer.fill(0, valueEnd, end);
    return length;
  }
}
