/**
 * Copies the grain maps of a layout with their values, from the start of the target to its end.
 *
 * Invariants:
 * - A value counts as copied only after its checksum was verified. One that fails in a chunk is
 *   read again by itself: its map may have moved, or a record carried it until it was written.
 * - Three chunks, or long values, are read, checked and written at a time, each with few large
 *   calls. A long value goes through the memory of a chunk. So memory does not depend on the store.
 *
 * It decides nothing about places.
 */

import { mapOverheadPages, markPageCount } from '../../format/grain-map.ts';
import { grainsPerMarkPage, marksOffset, pageBytes } from '../../format/layout.ts';
import type { RunningOperation } from '../../util/operations/running-operation.ts';
import { MarkScan } from '../marks/mark-scan.ts';
import type { SourceStratum } from './backup-source.ts';
import { CopyChunk } from './copy-chunk.ts';
import { type CopyLayout, firstMapPage, type PlacedMap } from './copy-layout.ts';
import type { MarksKept } from './marks-kept.ts';
import type { PieceBuffers, SourceValue, ValuesToCopy } from './source-values.ts';
import type { TargetFile } from './target-file.ts';

/** Bytes of a chunk, and the number of chunks. */
const chunkBounds = { min: 64 * 1024, max: 1024 * 1024 };
const chunkCount = 3;
/** Values between two looks at the clock: some microseconds of work. */
const valuesPerStep = 64;

export interface CopyParts {
  readonly values: ValuesToCopy;
  readonly target: TargetFile;
  readonly layout: CopyLayout;
  readonly marks: MarksKept;
  readonly operation: RunningOperation;
}

/** A chunk, and its copying. */
interface Slot {
  readonly chunk: CopyChunk;
  copying: Promise<void>;
}

export class ValueCopier {
  readonly #parts: CopyParts;
  readonly #chunkBytes: number;
  readonly #slots: readonly Slot[];
  #slot = 0;
  /** Bytes of the target that have been written. */
  #done = 0;
  /** Bytes of the values of each stratum. */
  readonly valueBytes = new Map<SourceStratum, number>();

  constructor(parts: CopyParts) {
    this.#parts = parts;
    this.#chunkBytes = parts.operation.pieceBytes(chunkBounds);
    this.#slots = Array.from({ length: chunkCount }, () => ({
      chunk: new CopyChunk(this.#chunkBytes),
      copying: Promise.resolve(),
    }));
  }

  /** Rejects with `VARVE_CORRUPT`, `VARVE_IO`, `VARVE_SNAPSHOT_GONE`, and if it is stopped. */
  async copy(): Promise<void> {
    const { maps } = this.#parts.layout;
    try {
      this.#report();
      this.#chunk.begin(firstMapPage * pageBytes);
      for (const map of maps) await this.#copyMap(map);
      await this.#flush();
      for (const { copying } of this.#slots) await copying;
    } finally {
      // Nothing may read or write when the files are closed.
      await Promise.allSettled(this.#slots.map(({ copying }) => copying));
    }
  }

  get #chunk(): CopyChunk {
    return (this.#slots[this.#slot] as Slot).chunk;
  }

  async #copyMap(map: PlacedMap): Promise<void> {
    const { layout, marks, operation } = this.#parts;
    const pages = await marks.take(map);
    const { stratum, firstIndex, grains } = map;
    const grainBytes = 2 ** stratum.grainExp;
    await this.#put(layout.overhead(map, pages), map.page * pageBytes);
    const grainsFrom = (map.page + mapOverheadPages(grains)) * pageBytes;
    for (let ordinal = 0; ordinal < markPageCount(grains); ordinal++) {
      const start = ordinal * grainsPerMarkPage;
      const inPage = Math.min(grainsPerMarkPage, grains - start);
      const scan = new MarkScan((pages[ordinal] as Uint8Array).subarray(marksOffset), inPage);
      for (let step = 1; scan.next(); step++) {
        const at = start + scan.at;
        const offset = grainsFrom + at * grainBytes;
        const chunk = this.#chunk;
        if (chunk.hasRoom(offset + scan.count * grainBytes)) {
          chunk.add(stratum, firstIndex + at, scan.count, offset);
        } else {
          const value = { stratum, index: firstIndex + at, count: scan.count };
          await this.#addElsewhere(value, offset);
        }
        if (step % valuesPerStep === 0) await operation.breathe();
      }
    }
  }

  /** Bytes of a structure. */
  async #put(bytes: Uint8Array, offset: number): Promise<void> {
    for (let at = 0; at < bytes.length; at += this.#chunkBytes) {
      const part = bytes.subarray(at, at + this.#chunkBytes);
      if (!this.#chunk.hasRoom(offset + at + part.length))
        await this.#next(offset + at, part.length);
      this.#chunk.put(part, offset + at);
    }
  }

  /** Adds a value to the next chunk, or copies it by itself if it is longer than one. */
  async #addElsewhere(value: SourceValue, offset: number): Promise<void> {
    const bytes = bytesOf(value);
    await this.#next(offset, Math.min(bytes, this.#chunkBytes));
    const { stratum, index, count } = value;
    if (this.#chunk.hasRoom(offset + bytes)) {
      this.#chunk.add(stratum, index, count, offset);
      return;
    }
    const slot = this.#slots[this.#slot] as Slot;
    await this.#start(slot, this.#copyLong(value, offset, slot.chunk.halves));
    this.#chunk.begin(offset + bytes);
  }

  async #copyLong(value: SourceValue, offset: number, buffers: PieceBuffers): Promise<void> {
    await this.#copyAlone(value, offset, buffers);
    this.#report(bytesOf(value));
  }

  /**
   * Copies the chunk, and begins the next one, with room for `bytes` at this byte of the target.
   */
  async #next(offset: number, bytes: number): Promise<void> {
    const { end } = this.#chunk;
    await this.#flush();
    // A short stretch without content is written too: holes take more calls, and space later.
    const isNear = offset + bytes - end <= this.#chunkBytes;
    this.#chunk.begin(isNear ? end : offset);
  }

  async #flush(): Promise<void> {
    const slot = this.#slots[this.#slot] as Slot;
    const { operation } = this.#parts;
    if (slot.chunk.bytes.length === 0) return;
    await operation.spend(2 * slot.chunk.bytes.length);
    await this.#start(slot, this.#copyChunk(slot.chunk));
  }

  /** The copying of a slot has begun: goes to the next one, when that is free. */
  async #start(slot: Slot, copying: Promise<void>): Promise<void> {
    slot.copying = copying;
    // `copy` awaits it, and reports its error; until then it is no unhandled one.
    void Promise.allSettled([copying]);
    this.#slot = (this.#slot + 1) % chunkCount;
    await (this.#slots[this.#slot] as Slot).copying;
    this.#parts.operation.check();
  }

  async #copyChunk(chunk: CopyChunk): Promise<void> {
    const { values, target } = this.#parts;
    const again = chunk.plan(
      (stratum, index) => values.mapOf(stratum, index),
      (offset) => values.isTrusted(offset),
    );
    const reads = chunk.reads.map((read) => values.read(chunk.targetOf(read), read.offset));
    for (const read of await Promise.allSettled(reads)) {
      if (read.status === 'rejected') throw await values.explained(read.reason);
    }
    chunk.wasRead();
    await this.#check(chunk, again);
    await target.write([chunk.bytes], chunk.offset);
    if (again.length > 0) await this.#copyEach(chunk, again);
    this.#report(chunk.bytes.length);
  }

  /** Checks all values but those in `again`, and adds those that fail. */
  async #check(chunk: CopyChunk, again: number[]): Promise<void> {
    const untrusted = new Set(again);
    for (const { stratum, from, end } of chunk.strata()) {
      let bytes = 0;
      for (let position = from; position < end; position++) {
        if (position % valuesPerStep === 0) await this.#parts.operation.breathe();
        if (untrusted.has(position)) continue;
        const length = chunk.check(position, stratum);
        if (length < 0) again.push(position);
        else bytes += length;
      }
      this.#count(stratum, bytes);
    }
  }

  /** Copies values of the chunk by themselves. */
  async #copyEach(chunk: CopyChunk, positions: readonly number[]): Promise<void> {
    const buffers = rereadBuffers();
    for (const position of positions) {
      await this.#copyAlone(chunk.valueAt(position), chunk.offsetOf(position), buffers);
    }
  }

  async #copyAlone(value: SourceValue, offset: number, buffers: PieceBuffers): Promise<void> {
    const { values, target, operation } = this.#parts;
    const take = async (piece: Uint8Array, at: number): Promise<void> => {
      await operation.spend(2 * piece.length);
      await target.write([piece], offset + at);
      this.#report();
    };
    this.#count(value.stratum, await values.copyAlone(value, buffers, take));
  }

  #count(stratum: SourceStratum, bytes: number): void {
    this.valueBytes.set(stratum, (this.valueBytes.get(stratum) ?? 0) + bytes);
  }

  /** `bytes` more have been written. */
  #report(bytes = 0): void {
    this.#done += bytes;
    const { layout, operation } = this.#parts;
    const total = (layout.endPage - firstMapPage) * pageBytes;
    operation.report({ phase: 'values', done: Math.min(this.#done, total), total, unit: 'bytes' });
  }
}

/** For values that are read by themselves, one after the other. */
function rereadBuffers(): PieceBuffers {
  return [new Uint8Array(chunkBounds.min), new Uint8Array(chunkBounds.min)];
}

function bytesOf({ stratum, count }: SourceValue): number {
  return count * 2 ** stratum.grainExp;
}
