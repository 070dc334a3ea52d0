/**
 * The open file of a simulated disk: the `StorageFile` that a store sees.
 *
 * Invariant: what is wrong with a call itself (a closed file, a negative position) is refused before
 * it counts; everything else is the disk's. Asynchronous calls are counted when they are made, and
 * done some turns of the microtask queue later.
 */

import type { StorageFile } from '../../../src/index.ts';
import { checkBytes, systemError } from '../../../src/io/system-error.ts';
import type { DiskOperation, Fault, ReadFault } from './disk-faults.ts';

/** What the file asks of its disk: `begin…` counts the call and gives the fault put on it. */
export interface DiskOfFile {
  readonly length: number;
  beginRead(position: number, bytes: number): ReadFault | undefined;
  read(target: Uint8Array, position: number, fault?: ReadFault): number;
  begin(
    kind: DiskOperation['kind'],
    position: number,
    chunks?: readonly Uint8Array[],
  ): Fault | undefined;
  write(chunks: readonly Uint8Array[], position: number, fault: Fault | undefined): void;
  truncate(length: number, fault: Fault | undefined): void;
  beginSync(): DiskSync;
  endSync(sync: DiskSync): void;
  close(writable: boolean): void;
}

/** A datasync under way: how many unsynced changes it covers. */
export interface DiskSync {
  readonly covered: number;
  readonly fault: Fault | undefined;
}

/** Turns of the microtask queue that an asynchronous operation takes. */
const asynchronousHops = 4;

export class SimulatedFile implements StorageFile {
  readonly #disk: DiskOfFile;
  readonly #path: string;
  readonly #writable: boolean;
  #closed = false;

  constructor(disk: DiskOfFile, path: string, writable: boolean) {
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
    return this.#disk.read(target, position, this.#disk.beginRead(position, target.length));
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    this.#check('read', position, false);
    const fault = this.#disk.beginRead(position, target.length);
    await hops();
    return this.#disk.read(target, position, fault);
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
    this.#disk.close(this.#writable);
  }
}

async function hops(): Promise<void> {
  for (let hop = 0; hop < asynchronousHops; hop++) await undefined;
}
