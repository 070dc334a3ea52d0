/**
 * A disk for one file that can lose its power, deterministic from a seed: a FileSystem modelled at
 * 512-byte sectors.
 *
 * Writes and length changes are seen by reads at once and become durable with a datasync that began
 * after they had returned. Every write, truncate and datasync has a number, and the state of the
 * disk before each is kept: one run of a history gives every power cut of it (`powerCut` in
 * `disk-state.ts`), and every kill that keeps the page cache (a new disk over the state).
 *
 * A fault may be put on any call (`disk-faults.ts`): the process ends there (it and everything after
 * it fails); EIO, ENOSPC or EDQUOT, with any part of the write done; a failed datasync, after which
 * any part of the unsynced changes is durable, and the rest is either dropped from the page cache
 * (reads give the old bytes) or kept there, marked clean, and never reaches the disk unless it is
 * written again; a write that reports success and is lost, or lands in another place; a read that
 * fails or comes back short; an error on open or close. Damage at rest: `disk-damage.ts`.
 */

import { sectorBytes } from '../../../src/format/layout.ts';
import type { FileSystem, OpenFileOptions, StorageFile } from '../../../src/index.ts';
import { VarveError } from '../../../src/index.ts';
import { systemError } from '../../../src/io/system-error.ts';
import { Random } from '../random.ts';
import {
  type DiskHandle,
  type DiskOperation,
  type DiskRead,
  diskError,
  type ErrorFault,
  type Fault,
  isMediumFault,
  type MediumFault,
  ProcessEnded,
  type ReadFault,
} from './disk-faults.ts';
import { type DiskOfFile, type DiskSync, SimulatedFile } from './disk-file.ts';
import type { DiskEditor } from './disk-image.ts';
import { apply, type DiskState, emptyDisk, lengthAfter, type Unsynced } from './disk-state.ts';

export {
  type DiskHandle,
  type DiskOperation,
  type DiskRead,
  type Fault,
  ProcessEnded,
  type ReadFault,
} from './disk-faults.ts';

export interface DiskSettings {
  readonly state?: DiskState;
  readonly seed?: number;
  readonly faultOf?: (operation: DiskOperation) => Fault | undefined;
  readonly readFaultOf?: (read: DiskRead) => ReadFault | undefined;
  readonly handleFaultOf?: (handle: DiskHandle) => ErrorFault | undefined;
  /** Whether to keep the state before each operation. Default true. */
  readonly records?: boolean;
}

export class SimulatedDisk implements FileSystem, DiskOfFile {
  /** The state of the disk before each operation. */
  readonly before: DiskState[] = [];
  readonly operations: DiskOperation[] = [];
  faultOf: ((operation: DiskOperation) => Fault | undefined) | undefined;
  readFaultOf: ((read: DiskRead) => ReadFault | undefined) | undefined;
  handleFaultOf: ((handle: DiskHandle) => ErrorFault | undefined) | undefined;
  /** Reads of the file, its length included. */
  reads = 0;
  /** Times that it was opened or closed. */
  handles = 0;
  /** How many operations had begun when the last failing datasync returned. */
  begunAtFailure = 0;
  readonly #random: Random;
  #durable: DiskState['durable'];
  #seen: DiskState['seen'];
  #cache: DiskEditor;
  #unsynced: Unsynced[];
  #exists: boolean;
  #locked = false;
  #ended = false;
  #syncing = false;
  /** A write has been lost or misdirected: what the disk gets is not what reads see. */
  #misplaced = false;
  /** Length of the file on the disk once everything is synced. */
  #lengthToBe: number;
  readonly #records: boolean;

  constructor(settings: DiskSettings = {}) {
    const { state = emptyDisk, seed = 1, records = true } = settings;
    this.#records = records;
    this.#lengthToBe = state.unsynced.reduce(lengthAfter, state.durable.length);
    this.#durable = state.durable;
    this.#seen = state.seen;
    this.#unsynced = [...state.unsynced];
    this.#cache = apply(state.seen, state.unsynced);
    this.#exists = state !== emptyDisk;
    this.#random = new Random(seed);
    this.faultOf = settings.faultOf;
    this.readFaultOf = settings.readFaultOf;
    this.handleFaultOf = settings.handleFaultOf;
  }

  /** The disk as it is now. */
  get state(): DiskState {
    return { durable: this.#durable, seen: this.#seen, unsynced: [...this.#unsynced] };
  }

  async open(path: string, options: OpenFileOptions): Promise<StorageFile> {
    if (this.#exists && options.exclusive) throw systemError('EEXIST', 'open', path);
    if (this.#locked && !options.readOnly) {
      throw new VarveError('VARVE_LOCKED', `'${path}' is open for writing`, { path });
    }
    if (!this.#exists && (!options.create || options.readOnly)) {
      throw systemError('ENOENT', 'open', path);
    }
    const fault = this.#beginHandle('open');
    if (fault !== undefined) {
      this.#exists ||=
        fault.done === 'all' || (fault.done === undefined && this.#random.chance(0.5));
      throw diskError(fault, 'open');
    }
    this.#exists = true;
    if (!options.readOnly) this.#locked = true;
    return new SimulatedFile(this, path, !options.readOnly);
  }

  /** Closes a file of it. It is closed and unlocked also where that fails, as on Linux. */
  close(writable: boolean): void {
    if (writable) this.#locked = false;
    const fault = this.#beginHandle('close');
    if (fault !== undefined) throw diskError(fault, 'close');
  }

  #beginHandle(kind: DiskHandle['kind']): ErrorFault | undefined {
    const number = this.handles++;
    return this.handleFaultOf?.({ number, kind });
  }

  // ── reads ──

  get length(): number {
    this.#checkAlive();
    const number = this.reads++;
    const fault = this.readFaultOf?.({ number, kind: 'length', position: 0, bytes: 0 });
    if (fault !== undefined) throw diskError(fault, 'fstat');
    return this.#cache.length;
  }

  /** Counts a read that is about to begin; the fault that is put on it. */
  beginRead(position: number, bytes: number): ReadFault | undefined {
    const number = this.reads++;
    return this.readFaultOf?.({ number, kind: 'read', position, bytes });
  }

  read(target: Uint8Array, position: number, fault?: ReadFault): number {
    this.#checkAlive();
    if (fault === undefined) return this.#cache.read(target, position);
    if (fault.kind === 'error') throw diskError(fault, 'read');
    const there = Math.max(0, Math.min(target.length, this.#cache.length - position));
    const least = Math.min(fault.bytes ?? this.#random.below(there), Math.max(0, there - 1));
    return this.#cache.read(target.subarray(0, least), position);
  }

  #checkAlive(): void {
    if (this.#ended) throw new ProcessEnded('the process has ended');
  }

  /** Counts an operation that is about to begin; the fault that is put on it. */
  begin(
    kind: DiskOperation['kind'],
    position: number,
    chunks: readonly Uint8Array[] = [],
  ): Fault | undefined {
    this.#checkAlive();
    const number = this.operations.length;
    const operation = { number, kind, position, bytes: lengthOf(chunks), first: chunks[0] };
    this.operations.push(operation);
    if (this.#records) this.before.push(this.state);
    const fault = this.faultOf?.(operation);
    if (isMediumFault(fault) && kind !== 'write') throw new Error(`a ${kind} cannot be misplaced`);
    if (fault?.kind !== 'end') return fault;
    this.#ended = true;
    throw new ProcessEnded(`the process has ended at operation ${operation.number}`);
  }

  // ── writes ──

  write(chunks: readonly Uint8Array[], position: number, fault: Fault | undefined): void {
    this.#checkAlive();
    const total = lengthOf(chunks);
    const start = position - (position % sectorBytes);
    const end = Math.ceil((position + total) / sectorBytes) * sectorBytes;
    const bytes = new Uint8Array(end - start);
    if (start < position) this.#cache.read(bytes.subarray(0, sectorBytes), start);
    if (end > position + total) this.#cache.read(bytes.subarray(-sectorBytes), end - sectorBytes);
    let at = position - start;
    for (const chunk of chunks) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    if (isMediumFault(fault)) {
      this.#misplace(fault, bytes, { start, end: position + total });
      return;
    }
    const done = fault === undefined ? bytes.length : this.#partOf(bytes.length, fault);
    if (done > 0 && total > 0) {
      this.#writeSectors(bytes.subarray(0, done), start, Math.min(position + total, start + done));
    }
    if (fault !== undefined) throw diskError(fault, 'write');
  }

  /** What a write that fails has done all the same: nothing, all, or the first sectors of it. */
  #partOf(bytes: number, fault: Fault): number {
    if (fault.kind === 'error' && fault.done !== undefined) return fault.done === 'all' ? bytes : 0;
    const sectors = bytes / sectorBytes;
    return Math.min(sectors, this.#random.below(sectors + 2)) * sectorBytes;
  }

  #writeSectors(bytes: Uint8Array, start: number, end: number): void {
    this.#unsynced.push({ position: start, bytes });
    this.#cache.write(bytes, start);
    this.#growTo(end);
  }

  #growTo(end: number): void {
    // The two differ after a failed sync of a truncation.
    const isLonger = end > this.#cache.length;
    if (isLonger) this.#cache.resize(end);
    if (isLonger || end > this.#lengthToBe) this.#resize({ length: end, exactly: false });
  }

  /** Writes sectors that the disk loses or puts elsewhere; the file is as long as it should be. */
  #misplace(
    fault: MediumFault,
    bytes: Uint8Array,
    { start, end }: Record<'start' | 'end', number>,
  ) {
    const lands =
      fault.kind === 'lost' ? 'nowhere' : this.#elsewhere(start, bytes.length, fault.to);
    this.#misplaced = true;
    if (fault.cache !== 'dropped') {
      this.#unsynced.push({ position: start, bytes, lands });
      this.#cache.write(bytes, start);
    } else if (lands !== 'nowhere') {
      this.#unsynced.push({ position: lands, bytes });
      this.#cache.write(bytes, lands);
    }
    this.#growTo(end);
  }

  /** Another place of the file, where it has one, for so many bytes that should go to `start`. */
  #elsewhere(start: number, bytes: number, told: number | undefined): number | 'nowhere' {
    const last = Math.floor(this.#cache.length / sectorBytes) * sectorBytes - bytes;
    if (told !== undefined) {
      if (told % sectorBytes === 0 && told <= last) return told;
      throw new Error(`${bytes} bytes cannot land at ${told}: not sectors of the file`);
    }
    const before = Math.max(0, Math.min(start - bytes, last) / sectorBytes + 1);
    const behind = Math.max(0, (last - start - bytes) / sectorBytes + 1);
    if (before + behind === 0) return 'nowhere';
    const chosen = this.#random.below(before + behind);
    return chosen < before ? chosen * sectorBytes : start + bytes + (chosen - before) * sectorBytes;
  }

  #resize(change: Unsynced & { length: number }): void {
    this.#unsynced.push(change);
    this.#lengthToBe = lengthAfter(this.#lengthToBe, change);
  }

  truncate(length: number, fault: Fault | undefined): void {
    this.#checkAlive();
    const done = fault === undefined || (fault.kind === 'error' && fault.done === 'all');
    if (done) {
      this.#resize({ length, exactly: true });
      this.#cache.resize(length);
    }
    if (fault !== undefined) throw diskError(fault, 'ftruncate');
  }

  // ── syncs ──

  /** What a datasync that begins now covers. There is one at a time: two could hide an error. */
  beginSync(): DiskSync {
    if (this.#syncing) throw new Error('a datasync began while another was under way');
    const covered = this.#unsynced.length;
    const fault = this.begin('datasync', 0);
    this.#syncing = true;
    return { covered, fault };
  }

  /** A datasync is over that began when so many changes were unsynced. */
  endSync({ covered, fault }: DiskSync): void {
    this.#syncing = false;
    this.#checkAlive();
    const changes = this.#unsynced.slice(0, covered);
    const later = this.#unsynced.slice(covered);
    if (fault !== undefined) {
      this.#failSync(changes, later, fault);
      throw diskError(fault, 'fdatasync');
    }
    const same = this.#seen === this.#durable && !this.#misplaced;
    this.#durable = apply(this.#durable, changes, undefined, 'disk').image();
    this.#seen = same ? this.#durable : apply(this.#seen, changes).image();
    this.#unsynced = later;
  }

  #failSync(changes: readonly Unsynced[], later: Unsynced[], fault: Fault): void {
    this.begunAtFailure = this.operations.length;
    const share = [0, 0.5, 1][this.#random.below(3)] as number;
    const keeps = () => this.#random.chance(share);
    this.#durable = apply(this.#durable, changes, keeps, 'disk').image();
    const seen = apply(this.#seen, changes);
    if (fault.kind === 'sync' && fault.cache === 'dropped') {
      for (const change of changes) {
        if ('length' in change) continue;
        const old = new Uint8Array(change.bytes.length);
        this.#durable.read(old, change.position);
        seen.write(old, change.position);
      }
      seen.clearFrom(seen.length);
    }
    this.#seen = seen.image();
    this.#unsynced = later;
    this.#cache = apply(this.#seen, later);
    this.#lengthToBe = later.reduce(lengthAfter, this.#durable.length);
  }
}

function lengthOf(chunks: readonly Uint8Array[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.length, 0);
}

/** The process has ended at the bottom of this error. */
export function hasEnded(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.some(hasEnded);
  if (error instanceof ProcessEnded) return true;
  return error instanceof Error && error.cause !== undefined && hasEnded(error.cause);
}
