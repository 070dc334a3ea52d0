/**
 * A disk for one file that can lose its power, deterministic from a seed: a FileSystem modelled at
 * 512-byte sectors.
 *
 * Writes and length changes are seen by reads at once and become durable with a datasync that began
 * after they had returned. Every write, truncate and datasync has a number, and the state of the
 * disk before each is kept: one run of a history gives every power cut of it (`powerCut` in
 * `disk-state.ts`), and every kill that keeps the page cache (a new disk over the state).
 *
 * A fault may be put on any operation: the process ends there (it and everything after it fails);
 * EIO or ENOSPC, with any part of the write done; a failed datasync, after which any part of the
 * unsynced changes is durable, and the rest is either dropped from the page cache (reads give the
 * old bytes) or kept there, marked clean, and never reaches the disk unless it is written again.
 */

import { sectorBytes } from '../../src/format/layout.ts';
import type { FileSystem, OpenFileOptions, StorageFile } from '../../src/index.ts';
import { VarveError } from '../../src/index.ts';
import { checkBytes, systemError } from '../../src/io/system-error.ts';
import { Random } from '../model/random.ts';
import type { DiskEditor } from './disk-image.ts';
import { apply, type DiskState, emptyDisk, lengthAfter, type Unsynced } from './disk-state.ts';

/** What is about to be done to the file. */
export interface DiskOperation {
  /** Counted from 0. */
  readonly number: number;
  readonly kind: 'write' | 'truncate' | 'datasync';
  /** Where it writes, or the new length. */
  readonly position: number;
  readonly bytes: number;
  /** The first chunk of a write. */
  readonly first: Uint8Array | undefined;
}

export type Fault =
  | { readonly kind: 'end' }
  | { readonly kind: 'error'; readonly code: 'EIO' | 'ENOSPC' }
  /** Of a datasync only: what becomes of the page cache. */
  | { readonly kind: 'sync'; readonly cache: 'dropped' | 'kept' };

/** The process has ended at the operation that an `end` fault was put on. */
export class ProcessEnded extends Error {}

/** Turns of the microtask queue that an asynchronous operation takes. */
const asynchronousHops = 4;

export interface DiskSettings {
  readonly state?: DiskState;
  readonly seed?: number;
  readonly faultOf?: (operation: DiskOperation) => Fault | undefined;
  /** Whether to keep the state before each operation. Default true. */
  readonly records?: boolean;
}

export class SimulatedDisk implements FileSystem {
  /** The state of the disk before each operation. */
  readonly before: DiskState[] = [];
  readonly operations: DiskOperation[] = [];
  faultOf: ((operation: DiskOperation) => Fault | undefined) | undefined;
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
  /** Length of the file on the disk once everything is synced. */
  #lengthToBe: number;
  readonly #records: boolean;

  constructor({ state = emptyDisk, seed = 1, faultOf, records = true }: DiskSettings = {}) {
    this.#records = records;
    this.#lengthToBe = state.unsynced.reduce(lengthAfter, state.durable.length);
    this.#durable = state.durable;
    this.#seen = state.seen;
    this.#unsynced = [...state.unsynced];
    this.#cache = apply(state.seen, state.unsynced);
    this.#exists = state !== emptyDisk;
    this.#random = new Random(seed);
    this.faultOf = faultOf;
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
    this.#exists = true;
    if (!options.readOnly) this.#locked = true;
    return new SimulatedFile(this, path, !options.readOnly);
  }

  unlock(): void {
    this.#locked = false;
  }

  get length(): number {
    this.#checkAlive();
    return this.#cache.length;
  }

  read(target: Uint8Array, position: number): number {
    this.#checkAlive();
    return this.#cache.read(target, position);
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
    const done = fault === undefined ? bytes.length : this.#partOf(bytes.length);
    if (done > 0 && total > 0) {
      this.#writeSectors(bytes.subarray(0, done), start, Math.min(position + total, start + done));
    }
    if (fault !== undefined) throw diskError(fault, 'write');
  }

  /** What a write that fails has done all the same: nothing, all, or the first sectors of it. */
  #partOf(bytes: number): number {
    const sectors = bytes / sectorBytes;
    return Math.min(sectors, this.#random.below(sectors + 2)) * sectorBytes;
  }

  #writeSectors(bytes: Uint8Array, start: number, end: number): void {
    this.#unsynced.push({ position: start, bytes });
    this.#cache.write(bytes, start);
    if (end > this.#cache.length) this.#cache.resize(end);
    if (end > this.#lengthToBe) this.#resize({ length: end, exactly: false });
  }

  #resize(change: Unsynced & { length: number }): void {
    this.#unsynced.push(change);
    this.#lengthToBe = change.length;
  }

  truncate(length: number, fault: Fault | undefined): void {
    this.#checkAlive();
    if (fault !== undefined) throw diskError(fault, 'ftruncate');
    this.#resize({ length, exactly: true });
    this.#cache.resize(length);
  }

  // ── syncs ──

  /** What a datasync that begins now covers. There is one at a time: two could hide an error. */
  beginSync(): { covered: number; fault: Fault | undefined } {
    if (this.#syncing) throw new Error('a datasync began while another was under way');
    const covered = this.#unsynced.length;
    const fault = this.begin('datasync', 0);
    this.#syncing = true;
    return { covered, fault };
  }

  /** A datasync is over that began when so many changes were unsynced. */
  endSync({ covered, fault }: { covered: number; fault: Fault | undefined }): void {
    this.#syncing = false;
    this.#checkAlive();
    const changes = this.#unsynced.slice(0, covered);
    const later = this.#unsynced.slice(covered);
    if (fault !== undefined) {
      this.#failSync(changes, later, fault);
      throw diskError(fault, 'fdatasync');
    }
    const same = this.#seen === this.#durable;
    this.#durable = apply(this.#durable, changes).image();
    this.#seen = same ? this.#durable : apply(this.#seen, changes).image();
    this.#unsynced = later;
  }

  #failSync(changes: readonly Unsynced[], later: Unsynced[], fault: Fault): void {
    this.begunAtFailure = this.operations.length;
    const share = [0, 0.5, 1][this.#random.below(3)] as number;
    this.#durable = apply(this.#durable, changes, () => this.#random.chance(share)).image();
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

function diskError(fault: Fault, syscall: string): Error {
  const code = fault.kind === 'error' ? fault.code : 'EIO';
  return Object.assign(new Error(`${code}: made for the test, ${syscall}`), { code, syscall });
}

class SimulatedFile implements StorageFile {
  readonly #disk: SimulatedDisk;
  readonly #path: string;
  readonly #writable: boolean;
  #closed = false;

  constructor(disk: SimulatedDisk, path: string, writable: boolean) {
    this.#disk = disk;
    this.#path = path;
    this.#writable = writable;
  }

  #check(syscall: string, bytes: number, change: boolean): void {
    if (this.#closed || (change && !this.#writable)) {
      throw systemError('EBADF', syscall, this.#path);
    }
    checkBytes(bytes, syscall, this.#path);
  }

  length(): number {
    this.#check('fstat', 0, false);
    return this.#disk.length;
  }

  readSync(target: Uint8Array, position: number): number {
    this.#check('read', position, false);
    return this.#disk.read(target, position);
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    this.#check('read', position, false);
    await hops();
    return this.#disk.read(target, position);
  }

  writeSync(chunks: readonly Uint8Array[], position: number): void {
    this.#check('write', position, true);
    this.#disk.write(chunks, position, this.#disk.begin('write', position, chunks));
  }

  async write(chunks: readonly Uint8Array[], position: number): Promise<void> {
    this.#check('write', position, true);
    const fault = this.#disk.begin('write', position, chunks);
    await hops();
    this.#disk.write(chunks, position, fault);
  }

  truncateSync(length: number): void {
    this.#check('ftruncate', length, true);
    this.#disk.truncate(length, this.#disk.begin('truncate', length));
  }

  async truncate(length: number): Promise<void> {
    this.truncateSync(length);
  }

  datasyncSync(): void {
    this.#check('fdatasync', 0, false);
    this.#disk.endSync(this.#disk.beginSync());
  }

  async datasync(): Promise<void> {
    this.#check('fdatasync', 0, false);
    const sync = this.#disk.beginSync();
    await hops();
    this.#disk.endSync(sync);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#writable) this.#disk.unlock();
  }
}

async function hops(): Promise<void> {
  for (let hop = 0; hop < asynchronousHops; hop++) await undefined;
}

function lengthOf(chunks: readonly Uint8Array[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.length, 0);
}
