/**
 * Which bytes of a store's file mean something, read by `spec/format.md` alone: the structures that
 * the newer file header leads to, the records after the checkpoint, the values that should be there. A value that a record after the
 * base carries is a part of that record: its grains mean nothing.
 *
 * Invariant: it shares no code with the store, and takes the store to be sound. What no piece covers
 * means nothing: free grains, padding, unnamed slots, blank or forgotten sectors of the log.
 */

import { crc32 } from 'node:zlib';
import type { GrainId } from '../../src/index.ts';
import type { Specimen } from './specimens.ts';

/** A stretch of the file: the byte `to` is not in it. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

export type PieceKind = 'header' | 'root' | 'basin' | 'map head' | 'mark page' | 'record' | 'value';

export interface Piece {
  readonly kind: PieceKind;
  readonly name: string;
  readonly ranges: readonly Range[];
  /** Of a value. */
  readonly id?: GrainId;
  /** Of a record; of a value, the one that allocated it. */
  readonly batch?: number;
  /** Of a structure that can be made good: up to which batch its twin goes, if it has one. */
  readonly twin?: { readonly stamp: number } | undefined;
}

export interface Anatomy {
  readonly pieces: readonly Piece[];
  /** Both lanes of every segment that the header or the root lists. */
  readonly log: readonly Range[];
  /** Both slots of documents, heads and mark pages. */
  readonly slots: readonly Range[];
  readonly base: number;
  readonly checkpoint: number;
}

const page = 4096;
const sector = 512;
const grainsPerPage = 16_192;

export function anatomyOf(specimen: Specimen): Anatomy {
  return new Reading(specimen).anatomy();
}

interface Slots {
  readonly kind: PieceKind;
  readonly letters: string;
  /** First page, and pages of a slot. */
  readonly page: number;
  readonly capacity: number;
  readonly generation: number;
  readonly length: number;
}

class Reading {
  readonly #specimen: Specimen;
  readonly #file: Buffer;
  readonly #pieces: Piece[] = [];
  readonly #slots: Range[] = [];
  readonly #log = new Map<number, Range>();
  /** The records after the base, without what goes before their parts in each sector. */
  readonly #unsettled = new Map<number, Buffer>();
  /** The newer header. */
  readonly #header: number;

  constructor(specimen: Specimen) {
    this.#specimen = specimen;
    const { bytes } = specimen;
    this.#file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    const [first, second] = [this.#u48(24), this.#u48(page + 24)];
    this.#header = second > first ? page : 0;
  }

  anatomy(): Anatomy {
    for (const copy of [0, 1]) {
      const from = copy * page;
      this.#pieces.push({
        kind: 'header',
        name: `header ${copy}`,
        ranges: [{ from, to: from + sector }],
      });
    }
    for (let at = 0; at < this.#file.readUInt16LE(this.#header + 102); at++) {
      this.#segment(this.#header + 104 + 10 * at);
    }
    this.#root();
    this.#records();
    this.#values();
    const { base, checkpoint } = this;
    const slots = this.#slots;
    return { pieces: this.#pieces, log: [...this.#log.values()], slots, base, checkpoint };
  }

  get base(): number {
    return this.#u48(this.#header + 36);
  }

  get checkpoint(): number {
    return this.#u48(this.#header + 48);
  }

  #u48(at: number): number {
    return this.#file.readUIntLE(at, 6);
  }

  #u32(at: number): number {
    return this.#file.readUInt32LE(at);
  }

  #segment(at: number): void {
    const from = this.#u48(at) * page;
    this.#log.set(from, { from, to: from + this.#u32(at + 6) * page });
  }

  /** A structure in one of two slots; where it begins. */
  #structure(slots: Slots, name: string): number {
    const { kind, page: first, capacity, generation, length } = slots;
    const from = (first + (generation % 2) * capacity) * page;
    const seal = this.#seal(slots, generation);
    if (seal === undefined) throw new Error(`${name} at byte ${from} is not sound`);
    const twin = this.#seal(slots, generation - 1);
    const ranges = [{ from, to: from + length }];
    this.#pieces.push({ kind, name: `${name} at byte ${from}`, ranges, twin });
    this.#slots.push({ from: first * page, to: (first + 2 * capacity) * page });
    return from;
  }

  /** What is in the slot of a generation, if that is sound; generation 0 is empty. */
  #seal(slots: Slots, generation: number): { stamp: number } | undefined {
    if (generation === 0) return { stamp: 0 };
    const slot = slots.page + (generation % 2) * slots.capacity;
    const from = slot * page;
    const length = this.#u32(from + 12);
    if (length < 32 || length > slots.capacity * page) return undefined;
    const sound =
      this.#file.toString('latin1', from, from + 4) === slots.letters &&
      this.#u32(from + 8) === generation &&
      this.#u48(from + 22) === slot &&
      this.#u32(from + 28) === this.#u32(this.#header + 16) &&
      this.#u32(from + 4) === crc32(this.#file.subarray(from + 8, from + length));
    return sound ? { stamp: this.#u48(from + 16) } : undefined;
  }

  #document(at: number, kind: PieceKind, letters: string): number | undefined {
    const [first, capacity] = [this.#u48(at), this.#u32(at + 6)];
    const [generation, length] = [this.#u32(at + 10), this.#u32(at + 14)];
    if (generation === 0) return undefined;
    return this.#structure({ kind, letters, page: first, capacity, generation, length }, kind);
  }

  #root(): void {
    const root = this.#document(this.#header + 62, 'root', 'root');
    if (root === undefined) return;
    const [basins, segments] = [this.#u32(root + 32), this.#u32(root + 36)];
    for (let at = 0; at < basins; at++) {
      const basin = this.#document(root + 52 + 22 * at, 'basin', 'basn');
      if (basin !== undefined) this.#basin(basin);
    }
    for (let at = 0; at < segments; at++) this.#segment(root + 52 + 22 * basins + 16 * at);
  }

  #basin(basin: number): void {
    let at = basin + 36;
    for (let stratum = this.#u32(basin + 32); stratum > 0; stratum--) {
      const maps = this.#u32(at + 4);
      at += 38;
      for (let map = 0; map < maps; map++) {
        this.#map(at);
        at += 32 + 10 * this.#file.readUInt16LE(at + 30);
      }
    }
  }

  #map(at: number): void {
    const [grains, first, generation] = [this.#u32(at + 6), this.#u48(at + 10), this.#u32(at + 16)];
    if (generation === 0) return;
    const one = { page: first, capacity: 1, generation, length: page };
    if (grains <= grainsPerPage) {
      this.#structure({ kind: 'mark page', letters: 'mark', ...one }, 'mark page');
      return;
    }
    const head = this.#structure({ kind: 'map head', letters: 'map ', ...one }, 'map head');
    for (let ordinal = 0; ordinal < this.#file.readUInt16LE(head + 44); ordinal++) {
      const generation = this.#u32(head + 48 + 12 * ordinal);
      const slots = { ...one, page: first + 2 + 2 * ordinal, generation };
      if (generation === 0) continue;
      this.#structure({ kind: 'mark page', letters: 'mark', ...slots }, 'mark page of a head');
    }
  }

  /** Every whole sector of a batch after the base, or after the checkpoint, is of its record. */
  #records(): void {
    const { batch: current, checkpoint } = this.#specimen.expected.current;
    const forgotten = Math.min(this.base, checkpoint);
    const records = new Map<number, Range[]>();
    for (const { from, to } of this.#log.values()) {
      for (let at = from; at < to; at += sector) {
        const batch = this.#u48(at + 16);
        if (batch <= forgotten || batch > current || !this.#isWhole(at)) continue;
        const ranges = records.get(batch) ?? [];
        records.set(batch, ranges);
        ranges.push({ from: at, to: at + sector });
        if (this.#file.readUInt16LE(at + 22) > 0 || this.#file[at + 32 + 10] === 0) continue;
        const body = this.#u48(at + 32 + 12) * page;
        ranges.push({ from: body, to: body + this.#u32(at + 32) });
      }
    }
    for (let batch = forgotten + 1; batch <= current; batch++) {
      const ranges = records.get(batch);
      if (ranges === undefined) throw new Error(`there is no record of batch ${batch}`);
      this.#pieces.push({ kind: 'record', name: `the record of batch ${batch}`, ranges, batch });
      if (batch <= this.base) continue;
      const parts = ranges.map(({ from, to }) =>
        this.#file.subarray(from + (to - from === sector ? 32 : 0), to),
      );
      this.#unsettled.set(batch, Buffer.concat(parts));
    }
  }

  #isWhole(at: number): boolean {
    const bytes = this.#file.subarray(at, at + sector);
    if (this.#u32(at) !== crc32(bytes.subarray(4)) || this.#u48(at + 24) !== at / sector)
      return false;
    const salt = this.#file.subarray(this.#header + 16, this.#header + 24);
    return bytes.subarray(4, 12).equals(salt);
  }

  // ── values ──

  #values(): void {
    const { log, values } = this.#specimen.expected.current;
    const batches = new Map<GrainId, number>();
    for (const { batch, changes } of log) {
      for (const { operation, id } of changes) if (operation === 'allocate') batches.set(id, batch);
    }
    for (const [id, { bytes }] of values) {
      // A record that does not carry the value has only its CRC.
      if (this.#unsettled.get(batches.get(id) ?? 0)?.includes(Buffer.from(bytes)) === true)
        continue;
      const ranges = this.#find(id, bytes);
      const name = `value ${id.toString(16)}`;
      this.#pieces.push({ kind: 'value', name, ranges, id, batch: batches.get(id) as number });
    }
  }

  /** A value by its prefix; where it goes on in another place, by what is left of it. */
  #find(id: GrainId, bytes: Uint8Array): Range[] {
    const value = Buffer.alloc(8 + bytes.length);
    value.writeBigUInt64LE(id);
    const start = crc32(value.subarray(0, 8));
    value.writeUInt32LE(bytes.length, 0);
    const crc = crc32(bytes, crc32(value.subarray(0, 4), start));
    value.writeUInt32LE(crc, 4);
    value.set(bytes, 8);
    const ranges: Range[] = [];
    for (let done = 0; done < value.length; ) {
      const range = this.#longest(value.subarray(done), done > 0);
      if (range === undefined) throw new Error(`the value ${id.toString(16)} is not in the file`);
      ranges.push(range);
      done += range.to - range.from;
    }
    return ranges;
  }

  /**
   * The place with most of these bytes from the first on: where they lay before a move, others may
   * have overwritten a part. A further extent begins on a page, and has whole pages.
   */
  #longest(bytes: Buffer, isFurther: boolean): Range | undefined {
    const wanted = bytes.subarray(0, isFurther ? page : 8);
    let found: Range | undefined;
    for (let at = this.#file.indexOf(wanted); at >= 0; at = this.#file.indexOf(wanted, at + 1)) {
      if (isFurther && at % page !== 0) continue;
      let same = 0;
      while (same < bytes.length && this.#file[at + same] === bytes[same]) same += 1;
      if (found === undefined || same > found.to - found.from) found = { from: at, to: at + same };
    }
    return found;
  }
}
