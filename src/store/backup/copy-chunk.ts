/**
 * One piece of a copy in memory: consecutive bytes of the target, most of them values that are read
 * from the source, and the check of these values.
 *
 * Invariants:
 * - Values are whole in a chunk. Bytes that belong to no value and no structure are zero, so
 *   nothing of a deleted value gets into the copy.
 * - Neighbouring values are one read.
 *
 * Millions of values pass through a chunk: nothing is allocated for one, except to check it.
 */

import { grainExpMin, valuePrefixBytes } from '../../format/layout.ts';
import { valueCrcStart } from '../../format/value.ts';
import { crc32 } from '../../util/crc.ts';
import { getU32 } from '../../util/little-endian.ts';
import type { GrainMap } from '../grains/grain-map.ts';
import type { SourceStratum } from './backup-source.ts';
import type { PieceBuffers, SourceValue } from './source-values.ts';

/** Free bytes between two values that are read with them. */
const readThroughBytesMax = 16 * 1024;
/** Paddings up to this length are cleared byte by byte: a call takes longer. */
const shortPaddingBytes = 32;

/** A read of the source's file into the chunk. */
export interface ChunkRead {
  readonly offset: number;
  /** Start in the chunk. */
  readonly at: number;
  bytes: number;
}

/** The strata of the values: the values before `end` that are not of the one before. */
interface StratumRun {
  readonly stratum: SourceStratum;
  end: number;
}

/** Finds the map of a value as of now. */
export type FindMap = (stratum: SourceStratum, index: number) => GrainMap;

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
  /** The values: index of the first grain, number of grains, start in the chunk. */
  readonly #indexes: Float64Array;
  readonly #counts: Uint8Array;
  readonly #starts: Uint32Array;
  #values = 0;
  #strata: StratumRun[] = [];
  readonly #id = { basin: 0, stratum: 0, index: 0 };

  constructor(bytes: number) {
    this.#buffer = new Uint8Array(bytes);
    const valuesMax = bytes >>> grainExpMin;
    this.#indexes = new Float64Array(valuesMax);
    this.#counts = new Uint8Array(valuesMax);
    this.#starts = new Uint32Array(valuesMax);
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
    this.#values = 0;
    this.#strata = [];
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

  /** Its memory as two buffers, while it is empty. */
  get halves(): PieceBuffers {
    const middle = this.#buffer.length / 2;
    return [this.#buffer.subarray(0, middle), this.#buffer.subarray(middle)];
  }

  get reads(): readonly ChunkRead[] {
    return this.#reads;
  }

  /** Number of values. */
  get values(): number {
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

  /** A value for this byte of the target. */
  add(stratum: SourceStratum, index: number, count: number, offset: number): void {
    const at = offset - this.#offset;
    const number = this.#values;
    this.#indexes[number] = index;
    this.#counts[number] = count;
    this.#starts[number] = at;
    this.#values = number + 1;
    this.#used = at + (count << stratum.grainExp);
    const last = this.#strata.at(-1);
    if (last?.stratum === stratum) last.end = this.#values;
    else this.#strata.push({ stratum, end: this.#values });
  }

  /** Byte of the target with the value at this position. */
  offsetOf(position: number): number {
    return this.#offset + (this.#starts[position] as number);
  }

  /** The value at this position. */
  valueAt(position: number): SourceValue {
    const run = this.#strata.find(({ end }) => position < end) as StratumRun;
    const index = this.#indexes[position] as number;
    return { stratum: run.stratum, index, count: this.#counts[position] as number };
  }

  // ── reads ──

  /**
   * Decides the reads. Leaves out values that `isTrusted`, with the place of a value, is false for:
   * returns their positions. Requires: the reads begin before other code moves a value.
   */
  plan(findMap: FindMap, isTrusted: (offset: number) => boolean): number[] {
    const untrusted: number[] = [];
    let position = 0;
    for (const { stratum, end } of this.#strata) {
      const { grainExp } = stratum;
      let map: GrainMap | undefined;
      for (; position < end; position++) {
        const index = this.#indexes[position] as number;
        const isWithin = map !== undefined && index < map.firstIndex + map.grains;
        if (map === undefined || !isWithin) map = findMap(stratum, index);
        const offset = map.grainOffset(index);
        const bytes = (this.#counts[position] as number) << grainExp;
        if (!isTrusted(offset)) untrusted.push(position);
        else if (map.spread) this.#readParts(map, index, bytes, position);
        else this.#read(offset, bytes, this.#starts[position] as number);
      }
    }
    return untrusted;
  }

  #readParts(map: GrainMap, index: number, bytes: number, position: number): void {
    let from = this.#starts[position] as number;
    const parts = map.parts(index, bytes) ?? [{ offset: map.grainOffset(index), bytes }];
    for (const part of parts) {
      this.#read(part.offset, part.bytes, from);
      from += part.bytes;
    }
  }

  #read(offset: number, bytes: number, at: number): void {
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

  /** True if the bytes between two values are not only free grains. */
  #hasStructure(from: number, to: number): boolean {
    if (from === to) return false;
    const structures = this.#structures;
    while ((structures[this.#passed] ?? to) < from) this.#passed += 1;
    return (structures[this.#passed] ?? to) < to;
  }

  /** The bytes of the target of a read. */
  targetOf({ at, bytes }: ChunkRead): Uint8Array {
    return this.#buffer.subarray(at, at + bytes);
  }

  /** All reads are done: clears the free grains between the values. */
  wasRead(): void {
    for (const { at, bytes } of this.#free) this.#buffer.fill(0, at, at + bytes);
  }

  // ── checks ──

  /**
   * Checks the value at this position, of `stratum`, and clears its padding. Returns its length, or
   * -1 if its checksum fails.
   */
  check(position: number, { basin, number, grainExp }: SourceStratum): number {
    const buffer = this.#buffer;
    const from = this.#starts[position] as number;
    const end = from + ((this.#counts[position] as number) << grainExp);
    const length = getU32(buffer, from);
    const valueEnd = from + valuePrefixBytes + length;
    if (valueEnd > end) return -1;
    this.#id.basin = basin;
    this.#id.stratum = number;
    this.#id.index = this.#indexes[position] as number;
    const bytes = buffer.subarray(from + valuePrefixBytes, valueEnd);
    if (crc32(bytes, valueCrcStart(this.#id, length)) !== getU32(buffer, from + 4)) return -1;
    if (end - valueEnd > shortPaddingBytes) buffer.fill(0, valueEnd, end);
    else for (let at = valueEnd; at < end; at++) buffer[at] = 0;
    return length;
  }

  /** The positions of each stratum's values. */
  *strata(): Generator<{ stratum: SourceStratum; from: number; end: number }> {
    let from = 0;
    for (const { stratum, end } of this.#strata) {
      yield { stratum, from, end };
      from = end;
    }
  }
}
