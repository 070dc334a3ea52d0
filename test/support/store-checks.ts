/**
 * What tests of the public contract share: stores that are verified and closed when a test ends,
 * errors by their code, values by their bytes, and files by what is in them.
 *
 * Invariant: it uses nothing of varve but its public entry. A store that a test leaves open has to
 * be sound: `verify({ deep: true })` yields nothing.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, expect } from 'vitest';
import {
  type CommitLogEntry,
  type FileSystem,
  type Finding,
  type GrainId,
  memoryFileSystem,
  type Session,
  Store,
  type StoreOptions,
  VarveError,
  type VarveErrorCode,
} from '../../src/index.ts';
import { expectSameBytes } from './bytes.ts';
import { WrappedFileSystem } from './wrapped-file-system.ts';

/** Where the stores of most tests are, in a memory of their own. */
export const storePath = 'store.varve';

export interface TestStores {
  /** Opens a store that is verified and closed when the test has ended. */
  open(path: string, options?: StoreOptions): Promise<Store>;
  /** A new store in a wrapped memory of its own. */
  wrapped(options?: StoreOptions): Promise<{ store: Store; disk: WrappedFileSystem }>;
  /** Takes over a store that the test made. */
  keep(store: Store): Store;
}

/** To be called once at the top of a test file. */
export function storesOfTest(): TestStores {
  const opened: Store[] = [];
  afterEach(async () => {
    for (const store of opened.splice(0).reverse()) {
      if (isOpen(store)) await expectSound(store);
      await store.close().catch(() => undefined);
    }
  });
  const keep = (store: Store): Store => {
    opened.push(store);
    return store;
  };
  const open = async (path: string, options: StoreOptions = {}): Promise<Store> =>
    keep(await Store.open(path, options));
  return {
    keep,
    open,
    async wrapped(options = {}) {
      const disk = new WrappedFileSystem(memoryFileSystem());
      return { store: await open(storePath, { ...options, fileSystem: disk }), disk };
    },
  };
}

function isOpen(store: Store): boolean {
  try {
    store.statistics();
    return true;
  } catch {
    return false;
  }
}

export async function findingsOf(store: Store, deep = true): Promise<Finding[]> {
  return await listOf(store.verify({ deep }));
}

export async function expectSound(store: Store): Promise<void> {
  expect(await findingsOf(store)).toEqual([]);
}

export async function listOf<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

export async function logOf(
  store: Store,
  options: { after?: number } = {},
): Promise<CommitLogEntry[]> {
  return await listOf(store.commitLog(options));
}

// ── errors ──

function checked(error: unknown, code: VarveErrorCode): VarveError {
  expect(error).toBeInstanceOf(VarveError);
  expect(error).toMatchObject({ name: 'VarveError', code });
  expect((error as VarveError).message).not.toBe('');
  return error as VarveError;
}

/** The call throws, and not by a rejected promise, an error with this code. */
export function expectThrows(code: VarveErrorCode, call: () => unknown): VarveError {
  let result: unknown;
  try {
    result = call();
  } catch (error) {
    return checked(error, code);
  }
  throw new Error(`nothing was thrown, ${code} was to be; returned ${String(result)}`);
}

/** The call returns a promise, which rejects with this code. */
export async function expectRejects(
  code: VarveErrorCode,
  call: () => Promise<unknown>,
): Promise<VarveError> {
  const promise = call();
  expect(promise).toBeInstanceOf(Promise);
  const outcome = await promise.then(
    (result) => ({ result }),
    (error: unknown) => ({ error }),
  );
  if ('error' in outcome) return checked(outcome.error, code);
  throw new Error(`nothing was rejected, ${code} was to be; resolved to ${String(outcome.result)}`);
}

/** A promise as it is now, and whether it has settled. */
export interface Watched<T> {
  readonly promise: Promise<T>;
  state: 'pending' | 'resolved' | 'rejected';
}

export function watch<T>(promise: Promise<T>): Watched<T> {
  const watched: Watched<T> = { promise, state: 'pending' };
  promise.then(
    () => {
      watched.state = 'resolved';
    },
    () => {
      watched.state = 'rejected';
    },
  );
  return watched;
}

/** Lets everything run that can run without a call that is held back. */
export async function turns(count = 5): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await nextTurn();
}

// ── values ──

export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function textOf(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
}

/** The value is there, by every way of reading it. */
export async function expectValue(store: Store, id: GrainId, bytes: Uint8Array): Promise<void> {
  expectSameBytes(present(store.get(id)), bytes);
  expectSameBytes(present(await store.getAsync(id)), bytes);
  expect(store.has(id)).toBe(true);
  expect(store.lengthOf(id)).toBe(bytes.length);
}

/** There is no such value, by any way of reading. */
export async function expectNoValue(store: Store, id: GrainId): Promise<void> {
  expect(store.get(id)).toBe(undefined);
  expect(await store.getAsync(id)).toBe(undefined);
  expect(store.has(id)).toBe(false);
  expect(store.lengthOf(id)).toBe(undefined);
}

export function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('something was expected to be there');
  return value;
}

/** Commits what `change` asks for in a session of its own. */
export async function commit(store: Store, change: (session: Session) => void): Promise<number> {
  const session = store.session();
  change(session);
  return await session.commit();
}

/** The id of a value that is committed. */
export async function committed(store: Store, bytes: Uint8Array): Promise<GrainId> {
  return (await store.put(bytes)).id;
}

// ── files ──

/** Every byte of a file. */
export async function contentOf(fileSystem: FileSystem, path = storePath): Promise<Uint8Array> {
  const options = { create: false, exclusive: false, readOnly: true };
  const file = await fileSystem.open(path, options);
  const bytes = new Uint8Array(file.length());
  file.readSync(bytes, 0);
  await file.close();
  return bytes;
}

/** Writes bytes over those of a file, or a new file, that no store has open. */
export async function overwrite(
  fileSystem: FileSystem,
  bytes: Uint8Array,
  position = 0,
  path = storePath,
): Promise<void> {
  const options = { create: true, exclusive: false, readOnly: false };
  const file = await fileSystem.open(path, options);
  file.writeSync([bytes], position);
  await file.close();
}

/** Where in `bytes` the sequence stands; it must stand there once. */
export function placeOf(bytes: Uint8Array, sequence: Uint8Array): number {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const place = buffer.indexOf(sequence);
  expect(place).toBeGreaterThanOrEqual(0);
  expect(buffer.indexOf(sequence, place + 1)).toBe(-1);
  return place;
}
