/**
 * The rules of a reader beside a writer, one by one: what is gone, what is not, what is kept over a
 * refresh, and how an opening goes on beside commits.
 */

import { expect, it } from 'vitest';
import { encodeMarkPage, markPagePage } from '../../src/format/grain-map.ts';
import { marksBytes, pageBytes } from '../../src/format/layout.ts';
import {
  type FileSystem,
  type GrainId,
  memoryFileSystem,
  Store,
  type StoreOptions,
} from '../../src/index.ts';
import { patternOf } from '../support/bytes.ts';
import { labPath, openLab } from '../support/fixtures/core-lab.ts';
import { contentOf, listOf, overwrite, turns, watch } from '../support/fixtures/store-checks.ts';
import { readsBetween } from './written-history.ts';

const path = 'store';
const gone = expect.objectContaining({ code: 'VARVE_SNAPSHOT_GONE' });

/** Commits values of 100 bytes and archives others. */
function pushAll(
  writer: Store,
  { byte, count = 200, archive = [] }: { byte: number; count?: number; archive?: GrainId[] },
): GrainId[] {
  const session = writer.session();
  for (const id of archive) session.archive(id);
  const ids = Array.from({ length: count }, () => session.push(new Uint8Array(100).fill(byte)));
  session.commitSync();
  return ids;
}

function checkpoint(writer: Store): void {
  const session = writer.session();
  session.checkpointTo(writer.currentBatch);
  session.commitSync();
}

async function readerOf(fileSystem: FileSystem, options: StoreOptions = {}): Promise<Store> {
  return await Store.open(path, { fileSystem, readOnly: true, ...options });
}

it('a value that was freed since is VARVE_SNAPSHOT_GONE, whatever has its grains', async () => {
  const fileSystem = memoryFileSystem();
  const writer = await Store.open(path, { fileSystem });
  const first = pushAll(writer, { byte: 1 });
  const reader = await readerOf(fileSystem, { cacheBytes: 0 });
  const second = pushAll(writer, { byte: 2, archive: first });
  checkpoint(writer);
  const third = pushAll(writer, { byte: 3, archive: second });
  expect(third.filter((id) => first.includes(id)).length).toBeGreaterThan(50);
  for (const id of first) {
    expect(() => reader.get(id)).toThrow(gone);
    await expect(reader.getAsync(id)).rejects.toEqual(gone);
    expect(() => reader.lengthOf(id)).toThrow(gone);
    // What there was as of its batch it knows all the same.
    expect(reader.has(id)).toBe(true);
  }
  for (const id of second) {
    expect(reader.get(id)).toBe(undefined);
    expect(reader.has(id)).toBe(false);
  }
  expect(await reader.refresh()).toBe(writer.currentBatch);
  for (const id of third) expect(reader.get(id)?.[0]).toBe(3);
});

it('no live value is VARVE_SNAPSHOT_GONE before a checkpoint passes the reader', async () => {
  const fileSystem = memoryFileSystem();
  let writer = await Store.open(path, { fileSystem, settleBytes: 2048 });
  const kept = pushAll(writer, { byte: 1 });
  await writer.close();
  writer = await Store.open(path, { fileSystem, settleBytes: 2048 });
  const reader = await readerOf(fileSystem, { cacheBytes: 0 });
  let archive = kept;
  for (let round = 0; round < 60; round++) archive = pushAll(writer, { byte: 2, archive });
  await writer.checkpointTo(reader.currentBatch);
  for (const id of kept) expect(reader.get(id)?.[0]).toBe(1);
});

it('a reader that was idle while the log was used again reads only its own batch', async () => {
  const fileSystem = memoryFileSystem();
  const writer = await Store.open(path, { fileSystem, settleBytes: 2048 });
  const kept = pushAll(writer, { byte: 255, count: 3 });
  const told = { right: 0, gone: 0 };
  let churned: GrainId[] = [];
  const churn = (byte: number): void => {
    churned = pushAll(writer, { byte, count: 20, archive: churned });
    checkpoint(writer);
  };
  for (const rounds of [10, 60, 100, 140, 180, 220, 260, 300]) {
    const late = pushAll(writer, { byte: 1, count: 40 });
    const reader = await readerOf(fileSystem, { cacheBytes: 0 });
    for (let round = 0; round < rounds; round++) churn(2);
    // Freed only now, far behind the records that the reader could still find where they were.
    churned.push(...late);
    for (let round = 0; round < 6; round++) churn(3);
    for (const id of [...kept, ...late]) {
      try {
        expect(reader.get(id)?.[0]).toBe(kept.includes(id) ? 255 : 1);
        told.right += 1;
      } catch (error) {
        expect(error).toEqual(gone);
        told.gone += 1;
      }
    }
    await reader.refresh();
    for (const id of [...kept, ...churned]) expect(reader.get(id)?.length).toBe(100);
    await reader.close();
  }
  expect(told.gone).toBeGreaterThan(100);
});

it('a refresh keeps the cache, except values allocated or freed in between', async () => {
  const inner = memoryFileSystem();
  let reads = 0;
  const fileSystem = readsBetween(inner, () => {
    reads += 1;
  });
  const writer = await Store.open(path, { fileSystem: inner });
  const kept = pushAll(writer, { byte: 7 });
  const reader = await readerOf(fileSystem);
  for (const id of kept) expect(reader.get(id)?.length).toBe(100);
  let before: GrainId[] = [];
  const seen = new Set<GrainId>();
  let usedAgain = 0;
  for (let byte = 1; byte < 8; byte++) {
    const now = pushAll(writer, { byte, archive: before });
    checkpoint(writer);
    await reader.refresh();
    for (const id of before) expect(reader.get(id)).toBe(undefined);
    for (const id of now) expect(reader.get(id)?.[0]).toBe(byte);
    for (const id of now) usedAgain += seen.has(id) ? 1 : 0;
    for (const id of now) seen.add(id);
    before = now;
  }
  expect(usedAgain).toBeGreaterThan(100);
  // Of the values that nothing touched, most blocks are still there.
  reads = 0;
  for (const id of kept) expect(reader.get(id)?.[0]).toBe(7);
  expect(reads).toBeLessThan(kept.length / 4);
});

it('a view keeps its batch over refreshes, until the store is closed', async () => {
  const fileSystem = memoryFileSystem();
  const writer = await Store.open(path, { fileSystem });
  const [kept] = pushAll(writer, { byte: 1, count: 1 }) as [GrainId];
  const [freed] = pushAll(writer, { byte: 2, count: 1 }) as [GrainId];
  const root = writer.session();
  root.setEmbeddedHeader(kept);
  root.commitSync();
  const reader = await readerOf(fileSystem);
  const view = reader.view();
  const batch = reader.currentBatch;
  const [later] = pushAll(writer, { byte: 3, count: 1, archive: [freed] }) as [GrainId];
  checkpoint(writer);
  expect(await reader.refresh()).toBe(writer.currentBatch);
  expect([view.batch, view.embeddedHeader]).toEqual([batch, kept]);
  expect(view.get(kept)?.[0]).toBe(1);
  expect((await view.getAsync(kept))?.[0]).toBe(1);
  expect([view.has(freed), view.has(later), view.lengthOf(kept)]).toEqual([true, false, 100]);
  expect(() => view.get(freed)).toThrow(gone);
  expect(view.get(later)).toBe(undefined);
  expect(reader.get(later)?.[0]).toBe(3);
  await reader.close();
  for (const read of [view.get, view.has, view.lengthOf]) {
    expect(() => read(kept)).toThrow(expect.objectContaining({ code: 'VARVE_CLOSED' }));
  }
  await expect(reader.refresh()).rejects.toMatchObject({ code: 'VARVE_CLOSED' });
});

it('a view of a store that writes reads the present, and its refresh changes nothing', async () => {
  const writer = await Store.inMemory();
  const [id] = pushAll(writer, { byte: 1, count: 1 }) as [GrainId];
  const view = writer.view();
  expect(await writer.refresh()).toBe(1);
  expect([view.batch, view.get(id)?.[0], view.has(id)]).toEqual([1, 1, true]);
  pushAll(writer, { byte: 2, count: 0, archive: [id] });
  checkpoint(writer);
  expect(view.get(id)).toBe(undefined);
  expect(() => view.get(7 as never)).toThrow(
    expect.objectContaining({ code: 'VARVE_INVALID_ARGUMENT' }),
  );
});

it('an opening is never refused because the writer commits', async () => {
  for (let read = 0; read < 14; read++) {
    for (const batches of [1, 2, 3, 4, 5, 8]) {
      const inner = memoryFileSystem();
      const writer = await Store.open(path, { fileSystem: inner, settleBytes: 4096 });
      const commit = (): GrainId[] => pushAll(writer, { byte: 1, count: 1 });
      for (let done = 0; done < 3; done++) commit();
      const fileSystem = readsBetween(inner, (at) => {
        if (at === read) for (let done = 0; done < batches; done++) commit();
      });
      const reader = await readerOf(fileSystem);
      expect(reader.currentBatch).toBeGreaterThanOrEqual(3);
      await reader.close();
      await writer.close();
    }
  }
});

it('an opening succeeds beside a writer that commits all the time', async () => {
  for (const last of [20, 30, 40]) {
    const inner = memoryFileSystem();
    const writer = await Store.open(path, { fileSystem: inner });
    for (let done = 0; done < 3; done++) pushAll(writer, { byte: 1, count: 1 });
    const fileSystem = readsBetween(inner, (at) => {
      for (let more = 0; at < last && more < 2; more++) pushAll(writer, { byte: 1, count: 1 });
    });
    const reader = await readerOf(fileSystem);
    expect(reader.currentBatch).toBeGreaterThanOrEqual(3);
    await reader.close();
  }
});

it('a page of an earlier map in the same place is not taken for a newer one', async () => {
  const fileSystem = memoryFileSystem();
  let lab = await openLab({ fileSystem });
  let session = lab.session();
  const before = session.push(patternOf(50));
  await session.commit();
  session = lab.session();
  const ids = [before, session.push(patternOf(50, 1))];
  await session.commit();
  await lab.close();
  lab = await openLab({ fileSystem });
  const { salt } = lab.core.reader;
  const maps = [...lab.core.atlas.strata()].flatMap((stratum) => [...stratum.maps]);
  const [map] = maps;
  await lab.kill();
  if (map === undefined || maps.length > 1) throw new Error('there is one map');
  const bytes = await contentOf(fileSystem, labPath);
  const { generation } = map.name;
  const [named = 0, other = 0] = [0, 1].map((later) => markPagePage(map, 0, generation + later));
  // In the other slot the page of an earlier map, with a higher generation and no value in it.
  const place = { page: other, generation: generation + 1, stamp: 1 };
  const owner = { basin: 0, stratum: 0, firstIndex: 0, grains: map.grains, grainExp: map.grainExp };
  const content = { owner, ordinal: 0, marks: new Uint8Array(marksBytes) };
  const stale = encodeMarkPage(content, place, salt);
  bytes.set(stale.bytes, other * pageBytes);
  bytes.fill(0, named * pageBytes, (named + 1) * pageBytes);
  const damaged = memoryFileSystem();
  await overwrite(damaged, bytes, 0, path);
  const reader = await readerOf(damaged);
  // The marks are made good from the commit log: both values are there.
  for (const id of ids) expect(reader.lengthOf(id)).toBe(50);
});

it('the commit log of a reader follows its refreshes', async () => {
  const fileSystem = memoryFileSystem();
  const writer = await Store.open(path, { fileSystem });
  pushAll(writer, { byte: 1 });
  const reader = await readerOf(fileSystem);
  pushAll(writer, { byte: 2 });
  expect((await listOf(reader.commitLog())).map(({ batch }) => batch)).toEqual([1]);
  const stop = new AbortController();
  const seen: number[] = [];
  const following = (async () => {
    for await (const { batch } of reader.commitLog({ follow: true, signal: stop.signal })) {
      seen.push(batch);
      if (batch === 1) await reader.refresh();
      if (batch === 2) stop.abort();
    }
  })();
  await expect(following).rejects.toMatchObject({ name: 'AbortError' });
  expect(seen).toEqual([1, 2]);
});

it('a waiting follower continues with a refresh, and is refused when the reader closes', async () => {
  const fileSystem = memoryFileSystem();
  const writer = await Store.open(path, { fileSystem });
  pushAll(writer, { byte: 1 });
  const reader = await readerOf(fileSystem);
  const log = reader.commitLog({ follow: true, after: 1 })[Symbol.asyncIterator]();
  const second = watch(log.next());
  const third = watch(log.next());
  await turns();
  expect(second.state).toBe('pending');
  pushAll(writer, { byte: 2 });
  await turns();
  expect(second.state).toBe('pending');
  await reader.refresh();
  expect((await second.promise).value?.batch).toBe(2);
  await turns();
  expect(third.state).toBe('pending');
  await reader.close();
  await expect(third.promise).rejects.toMatchObject({ code: 'VARVE_CLOSED' });
});

it('verify finds damage beside a quiet writer, but not in values that were freed', async () => {
  const fileSystem = memoryFileSystem();
  let writer = await Store.open(path, { fileSystem });
  // More than a record carries.
  const ids = pushAll(writer, { byte: 65, count: 6 });
  await writer.close();
  const at = Buffer.from(await contentOf(fileSystem, path)).indexOf(new Uint8Array(100).fill(65));
  await overwrite(fileSystem, new Uint8Array([64]), at, path);
  writer = await Store.open(path, { fileSystem });
  const reader = await readerOf(fileSystem, { cacheBytes: 0 });
  const found = (await listOf(reader.verify({ deep: true }))).map(({ grainId }) => grainId);
  expect(found).toEqual([ids[0]]);
  expect(() => reader.get(ids[0] as GrainId)).toThrow(
    expect.objectContaining({ code: 'VARVE_CORRUPT' }),
  );
  pushAll(writer, { byte: 66, archive: ids });
  checkpoint(writer);
  expect(await listOf(reader.verify({ deep: true }))).toEqual([]);
  expect(() => reader.get(ids[0] as GrainId)).toThrow(gone);
  await reader.refresh();
  expect(await listOf(reader.verify({ deep: true }))).toEqual([]);
});

it('in a quiet file an uncached read costs a few small reads, a cached one none', async () => {
  const inner = memoryFileSystem();
  let reads = 0;
  const fileSystem = readsBetween(inner, () => {
    reads += 1;
  });
  const writer = await Store.open(path, { fileSystem: inner });
  const ids = pushAll(writer, { byte: 1, count: 20 });
  for (const isClosed of [false, true]) {
    if (isClosed) await writer.close();
    const reader = await readerOf(fileSystem);
    const [first, ...others] = ids as [GrainId, ...GrainId[]];
    reader.get(first);
    reads = 0;
    reader.get(first);
    expect(reads).toBe(0);
    // Another value of a block that is there: it was read before the log was last followed.
    for (const id of others.slice(0, 3)) reader.get(id);
    expect(reads).toBe(0);
    await reader.refresh();
    expect(reads).toBeLessThanOrEqual(isClosed ? 2 : 3);
    reads = 0;
    await reader.getAsync(first);
    // Prefix and bytes, then the end of the log.
    expect(reads - 2).toBeLessThanOrEqual(3);
    await reader.close();
  }
});
