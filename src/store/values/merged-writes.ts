/**
 * Merges the writes of staged values: values that adjoin in the file become one write.
 *
 * Invariant: each byte of a value that is still in memory is in one write, at its place in the
 * file, and offsets ascend. Values that are already in the file are left out. It performs no
 * writes.
 */

import { assert } from '../../util/assert.ts';
import { type FileWrite, inOneGo, pause, type Steps, stepsPerPause } from '../file/effects.ts';
import { writesTo } from '../file/file-parts.ts';
import type { Stratum } from '../grains/stratum.ts';

/** Writes sorted between two pauses. */
const sortedPerPause = 256;

/** The bytes of a value and its padding: all of its grains. */
interface StagedBytes {
  readonly home: Stratum;
  readonly index: number;
  /** Undefined once they are in the file. */
  readonly bytes: Uint8Array | undefined;
}

interface PlacedBytes {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export class MergedWrites {
  readonly #placed: PlacedBytes[] = [];
  #ascending = true;
  #reached = 0;

  add({ home, index, bytes }: StagedBytes): void {
    if (bytes === undefined) return;
    const map = home.mapOf(index);
    const parts = map.parts(index, bytes.length);
    if (parts === undefined) {
      this.#place(map.grainOffset(index), bytes);
      return;
    }
    for (const { offset, chunks } of writesTo(parts, [bytes])) {
      for (const chunk of chunks) this.#place(offset, chunk);
    }
  }

  #place(offset: number, bytes: Uint8Array): void {
    if (offset < this.#reached) this.#ascending = false;
    this.#reached = offset;
    this.#placed.push({ offset, bytes });
  }

  /** All writes, without a pause. */
  writes(): FileWrite[] {
    return inOneGo(this.writesInSteps());
  }

  /** As `writes`, with pauses. */
  *writesInSteps(): Steps<FileWrite[]> {
    const joined = new JoinedWrites();
    let steps = 0;
    for (const one of this.#ascending ? this.#placed : yield* sorted(this.#placed)) {
      if (++steps % stepsPerPause === 0) yield pause;
      joined.add(one);
    }
    return joined.end();
  }
}

function byOffset(one: PlacedBytes, other: PlacedBytes): number {
  return one.offset - other.offset;
}

/** Merge sort by offset, with pauses: runs of `sortedPerPause` are sorted, then merged in pairs. */
function* sorted(placed: readonly PlacedBytes[]): Steps<readonly PlacedBytes[]> {
  let runs: (readonly PlacedBytes[])[] = [];
  for (let from = 0; from < placed.length; from += sortedPerPause) {
    runs.push(placed.slice(from, from + sortedPerPause).sort(byOffset));
    yield pause;
  }
  while (runs.length > 1) {
    const merged: (readonly PlacedBytes[])[] = [];
    for (let at = 0; at < runs.length; at += 2) {
      merged.push(yield* mergeTwo(runs[at] ?? [], runs[at + 1] ?? []));
    }
    runs = merged;
  }
  return runs[0] ?? [];
}

function* mergeTwo(
  ones: readonly PlacedBytes[],
  others: readonly PlacedBytes[],
): Steps<readonly PlacedBytes[]> {
  const merged: PlacedBytes[] = [];
  let at = 0;
  for (const one of ones) {
    for (let other = others[at]; other !== undefined && other.offset < one.offset; ) {
      merged.push(other);
      at += 1;
      other = others[at];
    }
    merged.push(one);
    if (merged.length % stepsPerPause === 0) yield pause;
  }
  for (; at < others.length; at++) merged.push(others[at] as PlacedBytes);
  return merged;
}

/** Joins bytes that adjoin in the file to one write; if they adjoin in memory too, to one chunk. */
class JoinedWrites {
  readonly #writes: FileWrite[] = [];
  #chunks: Uint8Array[] = [];
  #end = -1;
  #chunk: Uint8Array | undefined;
  #chunkBytes = 0;

  /** Requires: calls come in the order of offsets. */
  add({ offset, bytes }: PlacedBytes): void {
    assert(offset >= this.#end, 'values do not overlap in the file');
    const chunk = this.#chunk;
    const follows = offset === this.#end;
    const memoryEnd = (chunk?.byteOffset ?? 0) + this.#chunkBytes;
    if (follows && bytes.buffer === chunk?.buffer && bytes.byteOffset === memoryEnd) {
      this.#chunkBytes += bytes.length;
    } else {
      this.#endChunk();
      this.#chunk = bytes;
      this.#chunkBytes = bytes.length;
      if (!follows) {
        this.#chunks = [];
        this.#writes.push({ offset, chunks: this.#chunks });
      }
    }
    this.#end = offset + bytes.length;
  }

  #endChunk(): void {
    const chunk = this.#chunk;
    const length = this.#chunkBytes;
    if (chunk === undefined) return;
    const longer = length > chunk.length;
    this.#chunks.push(longer ? new Uint8Array(chunk.buffer, chunk.byteOffset, length) : chunk);
  }

  /** The writes. Requires: no more calls of `add`. */
  end(): FileWrite[] {
    this.#endChunk();
    return this.#writes;
  }
}
