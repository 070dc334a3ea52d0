/**
 * Values that go out in parts: `readRange`, `readRangeAsync` and `createReadStream`.
 *
 * Random programs of them beside pushes and commits are in test/store/streams.
 */

import { Readable } from 'node:stream';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { type GrainId, Store } from '../../src/index.ts';
import { expectSameBytes, inChunks, patternOf } from '../support/bytes.ts';
import {
  bytesOf,
  check,
  commit,
  committed,
  contentOf,
  listOf,
  overwrite,
  placeOf,
  present,
  settled,
  storePath,
  storesOfTest,
  turns,
} from '../support/fixtures/store-checks.ts';

const stores = storesOfTest();
const mebibyte = 1024 * 1024;
const long = 3 * mebibyte + 333;
/** In a map that values share: its id is used again. */
const shared = 40_000;

async function joined(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  return Buffer.concat(await listOf(chunks));
}

/** The chunks of a value. Node's streams are iterable. */
function chunksOf(
  store: Store,
  id: GrainId,
  options?: Parameters<Store['createReadStream']>[1],
): AsyncIterable<Uint8Array> {
  return present(store.createReadStream(id, options)) as unknown as AsyncIterable<Uint8Array>;
}

/** Puts other values until one has the id. */
function putAgain(store: Store, id: GrainId): Uint8Array {
  const session = store.session();
  for (let seed = 2; ; seed++) {
    if (seed > 200) throw new Error('the id is not used again');
    const bytes = patternOf(shared, seed);
    if (session.push(bytes) !== id) continue;
    session.commitSync();
    return bytes;
  }
}

describe('readRange and readRangeAsync', () => {
  it('give the bytes from start to end, clipped to the length', async () => {
    const { store } = await stores.wrapped();
    for (const length of [0, 1, 40, 5000, 70_000, long]) {
      const bytes = patternOf(length);
      const id = await committed(store, bytes);
      for (const start of [0, 1, 39, 4000, length - 1, length, length + 5]) {
        for (const end of [0, 1, 40, 4090, length - 1, length, Number.MAX_SAFE_INTEGER]) {
          if (start < 0 || end < 0) continue;
          const expected = bytes.subarray(start, Math.max(start, end));
          expectSameBytes(present(store.readRange(id, start, end)), expected);
          expectSameBytes(present(await store.readRangeAsync(id, start, end)), expected);
        }
      }
      expect(store.readRange(id, 0, 5)).not.toBe(store.readRange(id, 0, 5));
    }
  });

  it('give undefined for no value, and refuse other bounds', async () => {
    const { store } = await stores.wrapped();
    const id = await committed(store, bytesOf('value'));
    const missing = (id + 1n) as GrainId;
    expect(store.readRange(missing, 0, 1)).toBe(undefined);
    expect(await store.readRangeAsync(missing, 0, 1)).toBe(undefined);
    for (const wrong of [-1, 0.5, 2 ** 53, Number.NaN, Infinity, '1', undefined, 1n]) {
      const bound = wrong as number;
      check.throws('VARVE_INVALID_ARGUMENT', () => store.readRange(id, bound, 3));
      check.throws('VARVE_INVALID_ARGUMENT', () => store.readRange(id, 0, bound));
      await check.rejects('VARVE_INVALID_ARGUMENT', () => store.readRangeAsync(id, bound, 3));
      await check.rejects('VARVE_INVALID_ARGUMENT', () => store.readRangeAsync(id, 0, bound));
    }
  });

  it('never give bytes of another value that has the id meanwhile', async () => {
    const { store, disk } = await stores.wrapped({ cacheBytes: 0 });
    const id = await committed(store, patternOf(shared, 1));
    await commit(store, (session) => session.archive(id));
    const gate = disk.hold('read');
    const range = store.readRangeAsync(id, 5, 100);
    await gate.reached();
    await store.checkpointTo(store.currentBatch);
    putAgain(store, id);
    gate.open();
    expect(await range).toBe(undefined);
  });
});

describe('createReadStream', () => {
  it('streams a value, or a range of it, in chunks', async () => {
    const { store } = await stores.wrapped();
    for (const length of [0, 1, 5000, 262_144, 262_145, long]) {
      const bytes = patternOf(length);
      const id = await committed(store, bytes);
      const chunks = await listOf(chunksOf(store, id));
      expect(chunks.map((chunk) => chunk.length).slice(0, -1)).toEqual(
        Array(Math.max(0, Math.ceil(length / 262_144) - 1)).fill(262_144),
      );
      expectSameBytes(Buffer.concat(chunks), bytes);
      for (const [start, end] of [
        [0, 1],
        [1, length],
        [7, length - 3],
        [length, length + 9],
        [9, 5],
      ]) {
        if (start === undefined || end === undefined || end < 0) continue;
        const expected = bytes.subarray(start, Math.max(start, end));
        const options = { start, end, chunkBytes: 70_000 };
        expectSameBytes(await joined(chunksOf(store, id, options)), expected);
      }
    }
  });

  it('fills the memory of a consumer that brings its own, whatever its length', async () => {
    const { store } = await stores.wrapped();
    for (const [length, view] of [
      [0, 10],
      [1, 1],
      [5000, 333],
      [long, 100_000],
      [long, 262_144],
      [long, mebibyte],
    ] as const) {
      const bytes = patternOf(length);
      const id = await committed(store, bytes);
      const reader = present(store.createReadStream(id)).getReader({ mode: 'byob' });
      let at = 0;
      for (let memory = new Uint8Array(view); ; ) {
        const { done, value } = await settled(reader.read(memory));
        if (done) break;
        expectSameBytes(value, bytes.subarray(at, at + value.length));
        at += value.length;
        memory = new Uint8Array(value.buffer);
        expect(memory.length).toBe(view);
      }
      expect(at).toBe(length);
      expect(store.statistics().oldestGuard).toBe(undefined);
    }
  });

  it('answers reads that are asked for at once, with and without memory', async () => {
    const { store } = await stores.wrapped();
    const bytes = patternOf(250_000);
    const id = await committed(store, bytes);
    const own = present(store.createReadStream(id, { chunkBytes: 100_000 })).getReader({
      mode: 'byob',
    });
    const reads = Array.from({ length: 5 }, () => own.read(new Uint8Array(90_000)));
    const found = (await Promise.all(reads)).map(({ value }) => present(value));
    expect(found.map(({ length }) => length)).toEqual([90_000, 10_000, 90_000, 10_000, 50_000]);
    expectSameBytes(Buffer.concat(found), bytes);
    expect((await own.read(new Uint8Array(9))).done).toBe(true);
    const chunks = present(store.createReadStream(id, { chunkBytes: 100_000 })).getReader();
    const all = await Promise.all([1, 2, 3, 4].map(() => chunks.read()));
    expect(all.map(({ value }) => value?.length)).toEqual([100_000, 100_000, 50_000, undefined]);
  });

  it('gives both kinds of memory in turn', async () => {
    const { store } = await stores.wrapped();
    const bytes = patternOf(long);
    const stream = present(store.createReadStream(await committed(store, bytes)));
    for (let at = 0, own = true; at < long; own = !own) {
      const byob = own ? stream.getReader({ mode: 'byob' }) : undefined;
      const reader = byob ?? stream.getReader();
      const asked =
        byob?.read(new Uint8Array(100_000)) ??
        (reader as ReadableStreamDefaultReader<Uint8Array>).read();
      const value = present((await asked).value);
      expectSameBytes(value, bytes.subarray(at, at + value.length));
      // Memory that the stream used again would be seen here.
      if (!own) value.fill(0xee);
      at += value.length;
      reader.releaseLock();
    }
  });

  it('reads nothing before it is asked, and then one chunk ahead', async () => {
    const { store, disk } = await stores.wrapped();
    const id = await committed(store, patternOf(long));
    const from = disk.calls.length;
    const reads = (): number[] =>
      disk.calls.slice(from).flatMap(({ operation, bytes }) => (operation === 'read' ? bytes : []));
    const reader = present(store.createReadStream(id, { chunkBytes: 100_000 })).getReader();
    await turns();
    expect(reads()).toEqual([]);
    await reader.read();
    await turns();
    expect(reads()).toEqual([8, 100_000, 100_000]);
    await reader.cancel();
    expect(store.statistics().oldestGuard).toBe(undefined);
  });

  it('is undefined for no value, and refuses other options', async () => {
    const { store } = await stores.wrapped();
    const id = await committed(store, bytesOf('value'));
    expect(store.createReadStream((id + 1n) as GrainId)).toBe(undefined);
    for (const options of [
      { start: -1 },
      { end: 0.5 },
      { chunkBytes: 0 },
      { chunkBytes: 1.5 },
      { from: 1 },
      { signal: 1 },
      null,
    ]) {
      const given = options as { start: number };
      check.throws('VARVE_INVALID_ARGUMENT', () => store.createReadStream(id, given));
    }
    expect(store.statistics().oldestGuard).toBe(undefined);
  });

  it('holds a guard until it ends, is cancelled or is aborted', async () => {
    const { store } = await stores.wrapped();
    const id = await committed(store, patternOf(long));
    const ends: ((stream: ReadableStream, abort: AbortController) => Promise<unknown>)[] = [
      (stream) => listOf(stream as unknown as AsyncIterable<Uint8Array>),
      (stream) => stream.cancel(),
      async (_, abort) => abort.abort(new Error('enough')),
    ];
    for (const end of ends) {
      const abort = new AbortController();
      const stream = present(store.createReadStream(id, { signal: abort.signal }));
      await turns();
      expect(store.statistics().oldestGuard).toBe(1);
      await end(stream, abort);
      expect(store.statistics().oldestGuard).toBe(undefined);
    }
  });

  it('keeps a value that is archived after the call, whatever checkpoints there are', async () => {
    const { store } = await stores.wrapped();
    const id = await committed(store, patternOf(long));
    const stream = chunksOf(store, id);
    await store.checkpointTo(await commit(store, (session) => session.archive(id)));
    expectSameBytes(await joined(stream), patternOf(long));
    await store.checkpointTo(store.currentBatch);
    await check.noValue(store, id);
  });

  it('errors with VARVE_NOT_FOUND for a value archived before that is freed, not reading another', async () => {
    const { store } = await stores.wrapped();
    const id = await committed(store, patternOf(shared, 1));
    await commit(store, (session) => session.archive(id));
    const reader = present(store.createReadStream(id, { chunkBytes: 9000 })).getReader();
    expect((await reader.read()).done).toBe(false);
    await store.checkpointTo(store.currentBatch);
    putAgain(store, id);
    let at = 9000;
    await check.rejects('VARVE_NOT_FOUND', async () => {
      for (;;) {
        const { value } = await reader.read();
        expectSameBytes(present(value), patternOf(shared, 1).subarray(at, at + 9000));
        at += 9000;
      }
    });
    expect(at).toBeLessThan(shared);
    expect(store.statistics().oldestGuard).toBe(undefined);
  });

  it('errors with VARVE_CORRUPT instead of the last chunk of a damaged value', async () => {
    const { store, disk } = await stores.wrapped();
    const marker = bytesOf('a marker of the test');
    const bytes = patternOf(long);
    bytes.set(marker, 600_000);
    const id = await committed(store, bytes);
    await store.close();
    const at = placeOf(await contentOf(disk.inner), marker);
    await overwrite(disk.inner, bytesOf('A'), at);
    const again = await Store.open(storePath, { fileSystem: disk.inner });
    let read = 0;
    await check.rejects('VARVE_CORRUPT', async () => {
      for await (const chunk of chunksOf(again, id)) read += chunk.length;
    });
    expect(read).toBe(Math.floor(long / 262_144) * 262_144);
    const own = present(again.createReadStream(id)).getReader({ mode: 'byob' });
    let filled = 0;
    await check.rejects('VARVE_CORRUPT', async () => {
      for (;;) filled += present((await own.read(new Uint8Array(100_000))).value).length;
    });
    expect(filled).toBe(read);
    await check.rejects('VARVE_CORRUPT', async () => again.readRangeAsync(id, 0, long));
    check.throws('VARVE_CORRUPT', () => again.readRange(id, 0, long));
    expect(await joined(chunksOf(again, id, { start: 1 }))).toHaveLength(long - 1);
    expect(again.statistics().oldestGuard).toBe(undefined);
    await again.close();
  });

  it('errors with VARVE_CLOSED after the close', async () => {
    const { store } = await stores.wrapped();
    const id = await committed(store, patternOf(long));
    const stream = chunksOf(store, id);
    await store.close();
    await check.rejects('VARVE_CLOSED', async () => await joined(stream));
  });

  it('feeds what takes streams: tee, pipeTo, a transform, a stream of Node', async () => {
    const { store } = await stores.wrapped();
    const bytes = patternOf(long);
    const id = await committed(store, bytes);
    const stream = (): ReadableStream<Uint8Array> => present(store.createReadStream(id));
    const [one, other] = stream().tee();
    const both = [listOf(one as never), listOf(other as never)] as Promise<Uint8Array[]>[];
    for (const chunks of await Promise.all(both)) expectSameBytes(Buffer.concat(chunks), bytes);
    const piped: Uint8Array[] = [];
    await stream().pipeTo(new WritableStream({ write: (chunk) => void piped.push(chunk) }));
    expectSameBytes(Buffer.concat(piped), bytes);
    const through = stream().pipeThrough(new TransformStream<Uint8Array, Uint8Array>());
    expectSameBytes(await joined(through as never), bytes);
    expectSameBytes(await joined(Readable.fromWeb(stream() as never)), bytes);
    expectSameBytes(new Uint8Array(await new Response(stream() as never).arrayBuffer()), bytes);
    expect(store.statistics().oldestGuard).toBe(undefined);
  });

  it('leaves the memory of the caches as it is, whatever the length of the value', async () => {
    const { store } = await stores.wrapped();
    const id = await committed(store, patternOf(long));
    await joined(chunksOf(store, id));
    const before = store.memory.statistics();
    await joined(chunksOf(store, id));
    await store.readRangeAsync(id, 5, long);
    expect(store.memory.statistics()).toEqual(before);
    const session = store.session();
    await session.pushStream(inChunks(patternOf(long)), { length: long });
    session.abandon();
    expect(store.memory.statistics().blockBytes).toBe(before.blockBytes);
  });

  it.each([false, true])('ends its guard when it is collected, read from: %s', async (isRead) => {
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as () => void;
    const { store } = await stores.wrapped();
    const id = await committed(store, patternOf(long));
    const abort = new AbortController();
    await (async () => {
      const stream = present(store.createReadStream(id, { signal: abort.signal }));
      if (isRead) await stream.getReader().read();
    })();
    expect(store.statistics().oldestGuard).toBe(1);
    for (let round = 0; round < 100 && store.statistics().oldestGuard !== undefined; round++) {
      await turns();
      collectGarbage();
    }
    expect(store.statistics().oldestGuard).toBe(undefined);
    expect(abort.signal.aborted).toBe(false);
  });

  it('beside a writer is of its batch, and VARVE_SNAPSHOT_GONE once that is freed', async () => {
    const { store, disk } = await stores.wrapped();
    const id = await committed(store, patternOf(shared, 1));
    const reader = await stores.open(storePath, { fileSystem: disk.inner, readOnly: true });
    expectSameBytes(await joined(chunksOf(reader, id)), patternOf(shared, 1));
    const stream = present(reader.createReadStream(id, { chunkBytes: 9000 })).getReader();
    expect((await stream.read()).value?.length).toBe(9000);
    await store.checkpointTo(await commit(store, (session) => session.archive(id)));
    const bytes = putAgain(store, id);
    await check.rejects('VARVE_SNAPSHOT_GONE', async () => {
      for (let at = 9000; ; at += 9000) {
        const { value } = await stream.read();
        expectSameBytes(present(value), patternOf(shared, 1).subarray(at, at + 9000));
      }
    });
    check.throws('VARVE_SNAPSHOT_GONE', () => reader.readRange(id, 9, 99));
    await check.rejects('VARVE_SNAPSHOT_GONE', () => reader.readRangeAsync(id, 9, 99));
    await reader.refresh();
    expectSameBytes(present(reader.readRange(id, 9, 99)), bytes.subarray(9, 99));
    await reader.close();
  });
});
