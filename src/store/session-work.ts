/**
 * What one session has asked for, apart from the `Session` that its user holds: so that a session
 * that is garbage-collected can be abandoned.
 *
 * Invariant: every value staged here has its grains reserved in the Atlas until the work is
 * published or given up; past 1 MiB staged, bytes are in their grains in the file and no longer in
 * memory. It asks for no sync and publishes nothing.
 */

import { ioError } from '../errors.ts';
import { type GrainId, joinGrainId } from '../format/grain-id.ts';
import { valuePrefixBytes } from '../format/layout.ts';
import type { GrainRun } from '../format/log-record.ts';
import { encodeValuePrefix, valueCrc } from '../format/value.ts';
import type { Reservation } from './atlas.ts';
import type { FileWrite } from './effects.ts';
import { writesTo } from './file-parts.ts';
import type { Stratum } from './stratum.ts';

/** Bytes that a session keeps in memory before it writes them ahead. */
export const stagedBytesMax = 1024 * 1024;
const firstArenaBytes = 1024;
const arenaBytesMax = 256 * 1024;

/** A value pushed by this session. */
export interface StagedValue extends GrainRun {
  readonly operation: 'allocate';
  readonly id: GrainId;
  readonly home: Stratum;
  readonly crc: number;
  /** Prefix, bytes and padding to the end of its grains; undefined once they are in the file. */
  bytes: Uint8Array | undefined;
  withdrawn: boolean;
}

/** A committed value that this session archives. */
export interface ClaimedValue extends GrainRun {
  readonly operation: 'archive';
  readonly home: Stratum;
}

export class SessionWork {
  readonly operations: (StagedValue | ClaimedValue)[] = [];
  /** `Store.checkpointTo` asked for as part of the commit. */
  checkpointTo: number | undefined;
  /** The embedded header asked for; null clears it. */
  embeddedHeader: bigint | null | undefined;
  /** The first write ahead that failed; `commit` says so. */
  writeError: Error | undefined;
  /** The stratum that the last value went to. */
  preferred: Stratum | undefined;
  state: 'open' | 'committing' | 'ended' = 'open';
  /** It was open when the store was closed. */
  closedWithStore = false;
  #staged: StagedValue[] = [];
  #stagedBytes = 0;
  #arena = new Uint8Array(0);
  #arenaUsed = 0;
  #byId: Map<bigint, StagedValue> | undefined;

  get stagedBytes(): number {
    return this.#stagedBytes;
  }

  get isEmpty(): boolean {
    return (
      this.checkpointTo === undefined &&
      this.embeddedHeader === undefined &&
      this.operations.length === 0
    );
  }

  /** Asks for a checkpoint and for nothing else. */
  get onlyCheckpoints(): boolean {
    return this.embeddedHeader === undefined && this.operations.length === 0;
  }

  /** A value pushed by this session and not withdrawn. */
  own(id: bigint): StagedValue | undefined {
    if (this.#byId === undefined) {
      this.#byId = new Map();
      for (const value of this.operations) {
        if (value.operation === 'allocate' && !value.withdrawn) this.#byId.set(value.id, value);
      }
    }
    return this.#byId.get(id);
  }

  /** Copies the value's bytes into the session's own memory. */
  stage(place: Reservation, data: Uint8Array): StagedValue {
    const run = runOf(place, data.length);
    const crc = valueCrc(run, data);
    const bytes = this.#memory(place.count * place.stratum.grainBytes);
    encodeValuePrefix(bytes, data.length, crc);
    bytes.set(data, valuePrefixBytes);
    return this.#add(place, run, { crc, bytes });
  }

  /** Takes in a value whose bytes are already in its grains. */
  addWritten(place: Reservation, length: number, crc: number): StagedValue {
    return this.#add(place, runOf(place, length), { crc, bytes: undefined });
  }

  #add(
    { stratum: home, index }: Reservation,
    run: GrainRun,
    written: Pick<StagedValue, 'crc' | 'bytes'>,
  ): StagedValue {
    const id = joinGrainId(home.basin, home.number, index);
    const value: StagedValue = {
      operation: 'allocate',
      ...run,
      id,
      home,
      ...written,
      withdrawn: false,
    };
    this.operations.push(value);
    this.#byId?.set(id, value);
    if (value.bytes !== undefined) {
      this.#staged.push(value);
      this.#stagedBytes += value.bytes.length;
    }
    this.preferred = value.home;
    return value;
  }

  /** Zeroed memory; what is taken one after another lies side by side. */
  #memory(length: number): Uint8Array {
    if (this.#arenaUsed + length > this.#arena.length) {
      const size = Math.min(arenaBytesMax, Math.max(firstArenaBytes, this.#arena.length * 4));
      this.#arena = new Uint8Array(Math.max(size, length));
      this.#arenaUsed = 0;
    }
    const from = this.#arenaUsed;
    this.#arenaUsed += length;
    return this.#arena.subarray(from, this.#arenaUsed);
  }

  claim(value: GrainRun, home: Stratum): void {
    this.operations.push({ ...runAs(value), operation: 'archive', home });
    home.claims.add(value.index);
    this.preferred ??= home;
  }

  /** Takes back a value of this session's own: its grains are free again. */
  withdraw(value: StagedValue): void {
    value.withdrawn = true;
    this.#byId?.delete(value.id);
    value.home.release(value.index, value.count);
    this.#staged = this.#staged.filter((staged) => staged !== value);
    this.#stagedBytes -= value.bytes?.length ?? 0;
    value.bytes = undefined;
    this.operations.splice(this.operations.indexOf(value), 1);
  }

  /** The writes of every value still in memory, neighbours in one. */
  pendingWrites(): FileWrite[] {
    return mergeWrites(this.#staged);
  }

  /** The bytes of everything staged are in the file (or the write failed, and `commit` will). */
  forgetBytes(): void {
    for (const value of this.#staged) value.bytes = undefined;
    this.#staged = [];
    this.#stagedBytes = 0;
    this.#arena = new Uint8Array(0);
    this.#arenaUsed = 0;
  }

  /** Keeps the first error of a write ahead. */
  failed(path: string, error: unknown): void {
    this.writeError ??= ioError('a write ahead of the commit', path, error);
  }

  /** Gives every reservation and claim back. Nothing written to the grains may be under way. */
  giveUp(): void {
    for (let at = this.operations.length - 1; at >= 0; at--) {
      const value = this.operations[at] as StagedValue | ClaimedValue;
      if (value.operation === 'archive') value.home.claims.delete(value.index);
      else value.home.release(value.index, value.count);
    }
    this.operations.length = 0;
    this.forgetBytes();
    this.#byId = undefined;
    this.state = 'ended';
  }
}

/** Writes for values that lie in memory, those that adjoin in the file as one. */
export function mergeWrites(values: Iterable<StagedValue>): FileWrite[] {
  const writes: { offset: number; end: number; chunks: Uint8Array[] }[] = [];
  let last: (typeof writes)[number] | undefined;
  const placed: { offset: number; bytes: Uint8Array }[] = [];
  for (const value of values) {
    if (value.bytes === undefined) continue;
    const { home, index, bytes } = value;
    const map = home.mapOf(index);
    const parts = map.parts(index, bytes.length);
    if (parts === undefined) placed.push({ offset: map.grainOffset(index), bytes });
    else
      for (const { offset, chunks } of writesTo(parts, [bytes])) {
        for (const chunk of chunks) placed.push({ offset, bytes: chunk });
      }
  }
  let reached = 0;
  let ascending = true;
  for (const { offset } of placed) {
    ascending &&= offset >= reached;
    reached = offset;
  }
  if (!ascending) placed.sort((one, other) => one.offset - other.offset);
  for (const { offset, bytes } of placed) {
    if (last === undefined || last.end !== offset) {
      last = { offset, end: offset, chunks: [] };
      writes.push(last);
    }
    last.chunks.push(bytes);
    last.end += bytes.length;
  }
  return writes;
}

function runOf(place: Reservation, length: number): GrainRun {
  const { stratum, index, count } = place;
  return { basin: stratum.basin, stratum: stratum.number, index, count, length };
}

function runAs(run: GrainRun): GrainRun {
  const { basin, stratum, index, count, length } = run;
  return { basin, stratum, index, count, length };
}
