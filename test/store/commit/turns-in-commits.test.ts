/**
 * What others see and do while a long commit gives the event loop its turns. The clock takes a step
 * of 10 ms whenever it is read, so every pause is a turn, however fast the machine is.
 */

import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { GrainId, Session, StoreStatistics } from '../../../src/index.ts';
import { Store } from '../../../src/index.ts';
import type { FileSystem } from '../../../src/io/file-system.ts';
import { memoryFileSystem } from '../../../src/io/memory-file-system.ts';
import { expectSameBytes, patternOf } from '../../support/bytes.ts';
import { openLab } from '../../support/fixtures/core-lab.ts';

let time = 0;

beforeEach(() => {
  vi.spyOn(performance, 'now').mockImplementation(() => (time += 10));
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** Calls `act` in every turn of the event loop until `work` settles; gives the number of turns. */
async function besides(work: Promise<unknown>, act: (turn: number) => void): Promise<number> {
  let isOver = false;
  let failure: unknown;
  let turns = 0;
  const turn = (): void => {
    if (isOver) return;
    turns += 1;
    try {
      act(turns);
    } catch (error) {
      failure ??= error;
    }
    setImmediate(turn);
  };
  setImmediate(turn);
  try {
    await work;
  } finally {
    isOver = true;
  }
  if (failure !== undefined) throw failure;
  return turns;
}

const count = 3000;

function lengthOf(at: number): number {
  return 400 + (at % 300);
}

async function openStore(fileSystem = memoryFileSystem()): Promise<Store> {
  return await Store.open('store', { create: true, fileSystem });
}

/** Every asynchronous read takes so many turns before it looks at the file. */
function slowReads(turns: number): FileSystem {
  const fileSystem = memoryFileSystem();
  const { open } = fileSystem;
  fileSystem.open = async (path, options) => {
    const file = await open.call(fileSystem, path, options);
    const { read } = file;
    file.read = async (...request) => {
      for (let turn = 0; turn < turns; turn++)
        await new Promise((resolve) => setImmediate(resolve));
      return await read.apply(file, request);
    };
    return file;
  };
  return fileSystem;
}

function pushed(session: Session, from = 0): Map<GrainId, number> {
  const ids = new Map<GrainId, number>();
  for (let at = from; at < from + count; at++)
    ids.set(session.push(patternOf(lengthOf(at), at)), at);
  return ids;
}

/** What stands in the statistics of whole batches. */
function published(store: Store): Partial<StoreStatistics> {
  const { values, archivedValues, valueBytes, commitLogBytes, commits } = store.statistics();
  return { values, archivedValues, valueBytes, commitLogBytes, commits };
}

function expectValue(bytes: Uint8Array | undefined, at: number): void {
  expect(bytes).not.toBe(undefined);
  if (bytes !== undefined) expectSameBytes(bytes, patternOf(lengthOf(at), at));
}

async function findings(store: Store): Promise<string[]> {
  const messages: string[] = [];
  for await (const { message } of store.verify({ deep: true })) messages.push(message);
  return messages;
}

it('a long commit has its number, its header and its statistics when it is whole', async () => {
  const store = await openStore();
  const session = store.session();
  const ids = pushed(session);
  const [root] = ids.keys();
  session.setEmbeddedHeader(root ?? null);
  const before = published(store);
  const turns = await besides(session.commit(), () => {
    expect(published(store)).toEqual(before);
    expect(store.currentBatch).toBe(0);
    expect(store.embeddedHeader).toBe(undefined);
  });
  // Values are written, planned and published a few at a time.
  expect(turns).toBeGreaterThan((3 * count) / 64);
  expect(published(store)).toMatchObject({ values: count, commits: 1 });
  expect(store.embeddedHeader).toBe(root);
  for (const [id, at] of ids) expectValue(store.get(id), at);
  await store.close();
});

it('values are archived and freed beside pushes that take their grains again', async () => {
  const store = await openStore(slowReads(60));
  let session = store.session();
  const first = pushed(session);
  const archivedLater = pushed(session, count);
  await session.commit();
  session = store.session();
  for (const id of first.keys()) session.archive(id);
  const archived = await session.commit();
  session = store.session();
  for (const id of archivedLater.keys()) session.archive(id);
  session.checkpointTo(archived);
  const others: { ids: Map<GrainId, number>; session: Session }[] = [];
  const reads: Promise<void>[] = [];
  const ids = [...first];
  const read = async (turn: number): Promise<void> => {
    const [id, at] = ids[(turn * 37) % ids.length] as [GrainId, number];
    const bytes = await store.getAsync(id);
    if (bytes !== undefined) expectValue(bytes, at);
  };
  const turns = await besides(session.commit(), (turn) => {
    reads.push(read(turn));
    for (const [id, at] of archivedLater) {
      expectValue(store.get(id), at);
      if (at % 100 === turn % 100) break;
    }
    if (turn % 40 > 0) return;
    // More than a megabyte goes to the file at once, into grains that are free.
    const other = store.session();
    others.push({ ids: pushed(other, turn), session: other });
    if (turn % 80 === 0) others.pop()?.session.abandon();
  });
  expect(turns).toBeGreaterThan((3 * count) / 64);
  await Promise.all(reads);
  expect(store.get(ids[0]?.[0] as GrainId)).toBe(undefined);
  for (const other of others) await other.session.commit();
  for (const other of others) {
    for (const [id, at] of other.ids) expectValue(store.get(id), at);
  }
  for (const [id, at] of archivedLater) expectValue(store.get(id), at);
  expect(await findings(store)).toEqual([]);
  await store.close();
});

it.each(['begun before', 'begun within'])(
  'a verification %s a long commit finds nothing that is of two states',
  async (when) => {
    const store = await openStore();
    let session = store.session();
    const first = pushed(session);
    await session.commit();
    session = store.session();
    for (const id of first.keys()) session.archive(id);
    const archived = await session.commit();
    session = store.session();
    pushed(session);
    session.checkpointTo(archived);
    const verifications = when === 'begun before' ? [findings(store)] : [];
    const commit = session.commit();
    await besides(commit, (turn) => {
      if (when === 'begun within' && turn % 30 === 0) verifications.push(findings(store));
    });
    expect((await Promise.all(verifications)).flat()).toEqual([]);
    expect(verifications.length).toBeGreaterThan(when === 'begun within' ? 5 : 0);
    await store.close();
  },
);

it('a long commit that fails gives its grains back a few at a time', async () => {
  const lab = await openLab();
  const session = lab.session();
  for (let at = 0; at < count; at++) session.push(patternOf(lengthOf(at), at));
  const write = lab.file.writeSync;
  lab.file.writeSync = () => {
    throw Object.assign(new Error('no'), { code: 'ENOSPC' });
  };
  lab.file.write = async () => {
    throw Object.assign(new Error('no'), { code: 'ENOSPC' });
  };
  let rejected = false;
  const commit = session.commit().catch(() => {
    rejected = true;
  });
  const turns = await besides(commit, () => expect(rejected).toBe(false));
  expect(rejected).toBe(true);
  expect(turns).toBeGreaterThan((2 * count) / 64);
  lab.file.writeSync = write;
  expect(lab.core.atlas.freeGrainBytes()).toBeGreaterThan(0);
  await lab.kill();
});

it('an entry of the commit log with many changes is read a few at a time', async () => {
  const store = await openStore();
  const session = store.session();
  pushed(session);
  await session.commit();
  const log = store.commitLog()[Symbol.asyncIterator]();
  const turns = await besides(log.next(), () => undefined);
  expect(turns).toBeGreaterThan((2 * count) / 64);
  await log.return?.();
  await store.close();
});

it.each([31, 32, 33, 64])('a commit of %i values is published in one go', async (values) => {
  const store = await openStore();
  const session = store.session();
  for (let at = 0; at < values; at++) session.push(patternOf(lengthOf(at), at));
  const before = published(store);
  const verifications: Promise<string[]>[] = [];
  await besides(session.commit(), () => {
    if (store.currentBatch === 0) expect(published(store)).toEqual(before);
    verifications.push(findings(store));
  });
  expect((await Promise.all(verifications)).flat()).toEqual([]);
  await store.close();
});

it('an iterator that ends while it reads an entry holds nothing any more', async () => {
  const store = await openStore();
  const session = store.session();
  pushed(session);
  await session.commit();
  const log = store.commitLog()[Symbol.asyncIterator]();
  const next = log.next();
  let held: number | undefined;
  const turns = await besides(next, (turn) => {
    if (turn === 5) {
      held = store.statistics().oldestGuard;
      void log.return?.();
    }
  });
  expect(held).toBe(0);
  expect(turns).toBeGreaterThan(5);
  expect(await next).toMatchObject({ done: false, value: { batch: 1 } });
  expect(await log.next()).toEqual({ done: true, value: undefined });
  expect(store.statistics().oldestGuard).toBe(undefined);
  await store.close();
});

it('a session whose grains are given back gives no bytes of another', async () => {
  const lab = await openLab();
  const each = 4000;
  const session = lab.session();
  const ids = new Map<GrainId, number>();
  for (let at = 0; at < 600; at++) ids.set(session.push(patternOf(each, at)), at);
  const { writeSync } = lab.file;
  let isRefused = false;
  lab.file.writeSync = (chunks, offset) => {
    // The body of the record, or its sectors, and no values.
    const [first] = chunks;
    if (first !== undefined && first.length > 4096 && first.length < 65_536) {
      isRefused = true;
      throw Object.assign(new Error('no'), { code: 'ENOSPC' });
    }
    writeSync.call(lab.file, chunks, offset);
  };
  const commit = session.commit();
  const failed = expect(commit).rejects.toMatchObject({ code: 'VARVE_IO' });
  const others: Session[] = [];
  let taken = 0;
  await besides(failed, () => {
    if (!isRefused) return;
    const other = lab.session();
    others.push(other);
    // Enough to be written to the grains at once.
    const theirs: GrainId[] = [];
    for (let at = 0; at < 300; at++) theirs.push(other.push(patternOf(each, 1000 + at)));
    for (const id of theirs) {
      const at = ids.get(id);
      if (at === undefined) continue;
      taken += 1;
      try {
        expectSameBytes(session.get(id) as Uint8Array, patternOf(each, at));
      } catch (error) {
        expect(error).toMatchObject({ code: 'VARVE_IO' });
      }
    }
  });
  const [id] = ids.keys();
  expect(() => session.get(id as GrainId)).toThrow(
    expect.objectContaining({ code: 'VARVE_SESSION_ENDED' }),
  );
  expect(taken).toBeGreaterThan(0);
  for (const other of others) other.abandon();
  lab.file.writeSync = writeSync;
  expect(await lab.findings()).toEqual([]);
  await lab.kill();
});

it('a refresh sees all batches durable at its call, though another refresh is in flight', async () => {
  const fileSystem = memoryFileSystem();
  const store = await openStore(fileSystem);
  const reader = await Store.open('store', { fileSystem, readOnly: true });
  let session = store.session();
  pushed(session);
  await session.commit();
  const later: Promise<number>[] = [];
  const turns = await besides(reader.refresh(), () => {
    session = store.session();
    session.push(patternOf(10));
    const batch = session.commitSync();
    later.push(reader.refresh().then((reached) => reached - batch));
  });
  expect(turns).toBeGreaterThan(5);
  for (const ahead of await Promise.all(later)) expect(ahead).toBeGreaterThanOrEqual(0);
  await reader.close();
  await store.close();
});
