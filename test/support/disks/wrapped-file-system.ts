/**
 * A file system around another one, through which a test sees every call that a store makes, holds
 * calls back, and makes them fail.
 *
 * Invariant: a call that is neither held nor failed reaches the file system within, unchanged and
 * in order. It counts calls as the store made them, before holding or failing them. It simulates
 * no power cut: what the file system within has written stays written.
 */

import type { FileSystem, OpenFileOptions, StorageFile } from '../../../src/index.ts';

export type FileOperation =
  | 'open'
  | 'read'
  | 'write'
  | 'truncate'
  | 'datasync'
  | 'trim'
  | 'close'
  | 'rename'
  | 'remove';

/** One call, as the store made it. */
export interface FileCall {
  readonly operation: FileOperation;
  readonly path: string;
  /** Byte offset of reads, writes and trims, the new length of truncates, else 0. */
  readonly position: number;
  readonly bytes: number;
  /** Made on the calling thread: it cannot be held back. */
  readonly sync: boolean;
}

/** Calls and bytes; a region is what has to be written in one place between two syncs. */
export interface Counts {
  readonly syncs: number;
  readonly reads: number;
  readonly bytesRead: number;
  readonly writes: number;
  readonly regions: number;
  readonly bytesWritten: number;
  readonly truncates: number;
}

export interface FaultOptions {
  /** Which calls fail; all of the operation unless told. */
  readonly when?: (call: FileCall) => boolean;
  /** How many calls fail; all from now on unless told. */
  readonly times?: number;
  /** Bytes that a failing write leaves in the file all the same. */
  readonly partialBytes?: number;
}

/** Calls that fail until it is told to stop. */
export class Fault {
  readonly error: Error;
  readonly partialBytes: number;
  readonly #when: (call: FileCall) => boolean;
  #left: number;
  /** Calls that it has failed. */
  count = 0;

  constructor(operation: FileOperation, code: string, options: FaultOptions) {
    this.error = Object.assign(new Error(`${code}: made for the test`), { code });
    this.#when = (call) => call.operation === operation && (options.when?.(call) ?? true);
    this.#left = options.times ?? Number.POSITIVE_INFINITY;
    this.partialBytes = options.partialBytes ?? 0;
  }

  takes(call: FileCall): boolean {
    if (this.#left === 0 || !this.#when(call)) return false;
    this.#left -= 1;
    this.count += 1;
    return true;
  }

  stop(): void {
    this.#left = 0;
  }
}

/** Asynchronous calls that wait here until they are let through, in order. */
export class Gate {
  readonly #waiting: (() => void)[] = [];
  readonly #watchers = new Set<() => void>();
  #isOpen = false;

  /** Calls that are held now. */
  get held(): number {
    return this.#waiting.length;
  }

  enter(): Promise<void> | undefined {
    if (this.#isOpen) return undefined;
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      for (const watch of [...this.#watchers]) watch();
    });
  }

  /** Resolves when `count` calls are held. */
  async reached(count = 1): Promise<void> {
    if (this.held >= count) return;
    await new Promise<void>((resolve) => {
      const watch = (): void => {
        if (this.held < count) return;
        this.#watchers.delete(watch);
        resolve();
      };
      this.#watchers.add(watch);
    });
  }

  /** Lets the call through that has waited longest; later ones are held as before. */
  next(): void {
    this.#waiting.shift()?.();
  }

  /** Lets everything through, from now on. */
  open(): void {
    this.#isOpen = true;
    for (const go of this.#waiting.splice(0)) go();
  }
}

export class WrappedFileSystem implements FileSystem {
  readonly inner: FileSystem;
  readonly calls: FileCall[] = [];
  /** What each file held when its last completed datasync began; kept after `keepDurable()`. */
  readonly durable = new Map<string, Uint8Array>();
  /** Called before each call is held, failed or made; what it throws the call throws. */
  before: ((call: FileCall) => void) | undefined;
  readonly #faults: Fault[] = [];
  readonly #gates: { readonly operation: FileOperation; readonly gate: Gate }[] = [];
  #keepsDurable = false;

  constructor(inner: FileSystem) {
    this.inner = inner;
  }

  async open(path: string, options: OpenFileOptions): Promise<StorageFile> {
    await this.pass({ operation: 'open', path, position: 0, bytes: 0, sync: false });
    return new WrappedStorageFile(this, path, await this.inner.open(path, options));
  }

  async rename(from: string, to: string, options: { readonly overwrite: boolean }): Promise<void> {
    await this.pass({ operation: 'rename', path: from, position: 0, bytes: 0, sync: false });
    await this.inner.rename?.(from, to, options);
  }

  async remove(path: string): Promise<void> {
    await this.pass({ operation: 'remove', path, position: 0, bytes: 0, sync: false });
    await this.inner.remove?.(path);
  }

  async isSame(path: string, other: string): Promise<boolean> {
    return (await this.inner.isSame?.(path, other)) ?? path === other;
  }

  keepDurable(): void {
    this.#keepsDurable = true;
  }

  get keepsDurable(): boolean {
    return this.#keepsDurable;
  }

  /** Makes calls fail with an error of that system code. */
  fail(operation: FileOperation, code: string, options: FaultOptions = {}): Fault {
    const fault = new Fault(operation, code, options);
    this.#faults.push(fault);
    return fault;
  }

  /** Holds back asynchronous calls from now on. */
  hold(operation: FileOperation): Gate {
    const gate = new Gate();
    this.#gates.push({ operation, gate });
    return gate;
  }

  count(operation: FileOperation): number {
    return this.calls.filter((call) => call.operation === operation).length;
  }

  /** What the calls from `from` on have cost. */
  countsSince(from: number): Counts {
    return countsOf(this.calls.slice(from));
  }

  /** The fault that takes the call, which is noted first. */
  note(call: FileCall): Fault | undefined {
    this.#record(call);
    return this.#faultOf(call);
  }

  /** As `note`, once no gate holds the call any more. */
  async noteAsync(call: FileCall): Promise<Fault | undefined> {
    this.#record(call);
    for (const { operation, gate } of this.#gates) {
      if (operation === call.operation) await gate.enter();
    }
    return this.#faultOf(call);
  }

  async pass(call: FileCall): Promise<void> {
    const fault = await this.noteAsync(call);
    if (fault !== undefined) throw fault.error;
  }

  #record(call: FileCall): void {
    this.calls.push(call);
    this.before?.(call);
  }

  #faultOf(call: FileCall): Fault | undefined {
    return this.#faults.find((fault) => fault.takes(call));
  }
}

class WrappedStorageFile implements StorageFile {
  declare readonly trim?: (position: number, length: number) => Promise<void>;
  readonly #disk: WrappedFileSystem;
  readonly #path: string;
  readonly #file: StorageFile;

  constructor(disk: WrappedFileSystem, path: string, file: StorageFile) {
    this.#disk = disk;
    this.#path = path;
    this.#file = file;
    if (file.trim !== undefined) this.trim = (position, length) => this.#trim(position, length);
  }

  length(): number {
    return this.#file.length();
  }

  readSync(target: Uint8Array, position: number): number {
    this.#passSync('read', position, target.length);
    return this.#file.readSync(target, position);
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    await this.#pass('read', position, target.length);
    return await this.#file.read(target, position);
  }

  writeSync(chunks: readonly Uint8Array[], position: number): void {
    const fault = this.#disk.note(this.#call('write', position, bytesOf(chunks), true));
    this.#file.writeSync(fault === undefined ? chunks : front(chunks, fault), position);
    if (fault !== undefined) throw fault.error;
  }

  async write(chunks: readonly Uint8Array[], position: number): Promise<void> {
    const call = this.#call('write', position, bytesOf(chunks), false);
    const fault = await this.#disk.noteAsync(call);
    await this.#file.write(fault === undefined ? chunks : front(chunks, fault), position);
    if (fault !== undefined) throw fault.error;
  }

  truncateSync(length: number): void {
    this.#passSync('truncate', length, 0);
    this.#file.truncateSync(length);
  }

  async truncate(length: number): Promise<void> {
    await this.#pass('truncate', length, 0);
    await this.#file.truncate(length);
  }

  datasyncSync(): void {
    const content = this.#content();
    this.#passSync('datasync', 0, 0);
    this.#file.datasyncSync();
    if (content !== undefined) this.#disk.durable.set(this.#path, content);
  }

  async datasync(): Promise<void> {
    const content = this.#content();
    await this.#pass('datasync', 0, 0);
    await this.#file.datasync();
    if (content !== undefined) this.#disk.durable.set(this.#path, content);
  }

  async close(): Promise<void> {
    await this.#file.close();
    await this.#pass('close', 0, 0);
  }

  async #trim(position: number, length: number): Promise<void> {
    await this.#pass('trim', position, length);
    await this.#file.trim?.(position, length);
  }

  #content(): Uint8Array | undefined {
    if (!this.#disk.keepsDurable) return undefined;
    const bytes = new Uint8Array(this.#file.length());
    this.#file.readSync(bytes, 0);
    return bytes;
  }

  #call(operation: FileOperation, position: number, bytes: number, sync: boolean): FileCall {
    return { operation, path: this.#path, position, bytes, sync };
  }

  #passSync(operation: FileOperation, position: number, bytes: number): void {
    const fault = this.#disk.note(this.#call(operation, position, bytes, true));
    if (fault !== undefined) throw fault.error;
  }

  async #pass(operation: FileOperation, position: number, bytes: number): Promise<void> {
    await this.#disk.pass(this.#call(operation, position, bytes, false));
  }
}

function bytesOf(chunks: readonly Uint8Array[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.length, 0);
}

/** What a failing write leaves in the file. */
function front(chunks: readonly Uint8Array[], { partialBytes }: Fault): Uint8Array[] {
  const left: Uint8Array[] = [];
  let room = partialBytes;
  for (const chunk of chunks) {
    if (room <= 0) break;
    left.push(chunk.subarray(0, room));
    room -= chunk.length;
  }
  return left;
}

function countsOf(calls: readonly FileCall[]): Counts {
  const of = (wanted: string): FileCall[] => calls.filter(({ operation }) => operation === wanted);
  const reads = of('read');
  const writes = of('write');
  return {
    syncs: of('datasync').length,
    reads: reads.length,
    bytesRead: sumOf(reads),
    writes: writes.length,
    regions: regionsOf(calls),
    bytesWritten: sumOf(writes),
    truncates: of('truncate').length,
  };
}

function sumOf(calls: readonly FileCall[]): number {
  return calls.reduce((sum, { bytes }) => sum + bytes, 0);
}

function regionsOf(calls: readonly FileCall[]): number {
  let regions = 0;
  let unsynced: FileCall[] = [];
  const end = (): void => {
    unsynced.sort((one, other) => one.position - other.position);
    let reached = -1;
    for (const { position, bytes } of unsynced) {
      if (position > reached) regions += 1;
      reached = Math.max(reached, position + bytes);
    }
    unsynced = [];
  };
  for (const call of calls) {
    if (call.operation === 'write') unsynced.push(call);
    else if (call.operation === 'datasync') end();
  }
  end();
  return regions;
}
