/**
 * A settle writes the values that records carry to their grains. Whatever fails then, and wherever
 * the power is cut, the values are read: from memory, and by the next opening from the records.
 */

import { describe, expect, it } from 'vitest';
import { type GrainId, memoryFileSystem, Store } from '../../../src/index.ts';
import { expectSameBytes, patternOf } from '../../support/bytes.ts';
import { powerCut, restarted } from '../../support/disks/disk-state.ts';
import { SimulatedDisk } from '../../support/disks/simulated-disk.ts';
import {
  afterKill,
  carrying,
  expectRead,
  homeOf,
  isHome,
  writesTo,
} from '../../support/fixtures/carrying-store.ts';
import {
  check,
  overwrite,
  present,
  storePath,
  storesOfTest,
} from '../../support/fixtures/store-checks.ts';

const stores = storesOfTest();

describe('a home write that fails', () => {
  async function due(settleBytes: number) {
    const { store, disk } = await carrying(stores, { settleBytes });
    const bytes = patternOf(60, 9);
    const { id } = await store.put(bytes);
    expect(await isHome(disk, id, bytes)).toBe(false);
    return { store, disk, id, bytes, home: await homeOf(disk, id, bytes) };
  }

  it('once, is made again by the next commit', async () => {
    const { store, disk, id, bytes, home } = await due(4096);
    const fault = disk.fail('write', 'EIO', { when: writesTo(home), times: 1, partialBytes: 20 });
    for (let at = 0; at < 40; at++) {
      await store.put(patternOf(10, at));
      await expectRead(store, id, bytes);
    }
    expect(fault.count).toBe(1);
    expect(await isHome(disk, id, bytes)).toBe(true);
  });

  it('twice, fails the second commit; later ones are accepted', async () => {
    const { store, disk, id, bytes, home } = await due(4096);
    const fault = disk.fail('write', 'EIO', { when: writesTo(home), times: 2, partialBytes: 20 });
    let rejected = 0;
    for (let at = 0; at < 40; at++) {
      try {
        await store.put(patternOf(10, at));
      } catch (error) {
        rejected += 1;
        expect(error).toMatchObject({ code: 'VARVE_IO', cause: fault.error });
        expect((error as Error).message).toContain('settling');
      }
      await expectRead(store, id, bytes);
    }
    expect([fault.count, rejected]).toEqual([2, 1]);
    expect(await isHome(disk, id, bytes)).toBe(true);
  });

  it('for good, keeps the records that have the values, for the next opening', async () => {
    for (const code of ['EIO', 'ENOSPC']) {
      const { store, disk, id, bytes, home } = await due(4096);
      disk.fail('write', code, { when: writesTo(home) });
      let accepted = 0;
      for (let at = 0; at < 40; at++) {
        await store.put(patternOf(10, at)).then(
          () => (accepted += 1),
          (error: unknown) => expect(error).toMatchObject({ code: 'VARVE_IO' }),
        );
      }
      expect(accepted).toBeGreaterThan(0);
      await expectRead(store, id, bytes);
      const killed = await afterKill(stores, disk.inner);
      await expectRead(killed, id, bytes);
      await check.rejects('VARVE_IO', () => store.close());
      const closed = await afterKill(stores, disk.inner);
      await expectRead(closed, id, bytes);
    }
  });

  // By the seed the disk has kept none, some or all of the writes.
  it.each([0, 1, 2, 3, 4, 5])(
    'is not done if its sync fails: a poisoned store still reads the value, seed %i',
    async (seed) => {
      // The system forgets what it has not written: reads see the old bytes of the file again.
      let home = -1;
      let failing = false;
      const disk = new SimulatedDisk({
        seed,
        faultOf: ({ kind, position, bytes }) => {
          if (kind === 'write' && position <= home && home < position + bytes) failing = true;
          if (!failing || kind !== 'datasync') return undefined;
          return { kind: 'sync', cache: 'dropped', code: 'EIO' };
        },
      });
      const options = { fileSystem: disk, settleBytes: 4096, cacheBytes: 0 };
      const store = stores.keep(await Store.open(storePath, options));
      await store.put(patternOf(5000));
      const bytes = patternOf(60, 9);
      const { id } = await store.put(bytes);
      const { durable } = disk.state;
      const content = new Uint8Array(durable.length);
      durable.read(content, 0);
      const copy = memoryFileSystem();
      await overwrite(copy, content);
      home = await homeOf(copy, id, bytes);
      const filling = async (): Promise<void> => {
        for (let at = 0; at < 40; at++) await store.put(patternOf(10, at));
      };
      await check.rejects('VARVE_POISONED', filling);
      expect(failing).toBe(true);
      expectSameBytes(present(store.get(id)), bytes);
      expectSameBytes(present(await store.getAsync(id)), bytes);
      await store.close();
      const after = new SimulatedDisk({ state: restarted(powerCut(disk.state, () => false)) });
      const again = await Store.open(storePath, { fileSystem: after });
      await expectRead(again, id, bytes);
      await again.close();
    },
  );
});

describe('a batch that carries values', () => {
  it('is there after a power cut, all of it or nothing', async () => {
    const disk = new SimulatedDisk();
    const store = stores.keep(await Store.open(storePath, { fileSystem: disk, settleBytes: 2048 }));
    const lengths = [20, 200, 5, 77];
    const kept: [GrainId, Uint8Array][] = [];
    await store.put(patternOf(5000));
    const from = disk.before.length;
    const acknowledged: number[] = [];
    for (let at = 0; at < 24; at++) {
      const bytes = patternOf(lengths[at % 4] as number, at);
      kept.push([(await store.put(bytes)).id, bytes]);
      acknowledged.push(disk.before.length);
    }
    for (let at = from; at < disk.before.length; at++) {
      const count = acknowledged.filter((done) => done <= at).length;
      for (const keeps of [true, false]) {
        const image = powerCut(disk.before[at] as (typeof disk.before)[0], () => keeps);
        const fileSystem = new SimulatedDisk({ state: restarted(image) });
        const again = await Store.open(storePath, { fileSystem });
        expect(again.currentBatch).toBeGreaterThanOrEqual(1 + count);
        expect(again.currentBatch).toBeLessThanOrEqual(2 + count);
        for (const [id, bytes] of kept.slice(0, again.currentBatch - 1)) {
          expectSameBytes(present(again.get(id)), bytes);
        }
        await check.sound(again);
        await again.close();
      }
    }
  });

  it('is taken from its record though a page of marks that has it was settled', async () => {
    const { store, disk } = await carrying(stores, { settleBytes: 64 * 1024 });
    // Its values are between those that are committed: these do not adjoin.
    const between = store.session();
    // More home writes than ride on one commit: the marks go with a later one, of a later batch.
    const kept: [GrainId, Uint8Array][] = [];
    for (let at = 0; at < 150; at++) {
      const bytes = patternOf(20, at + 1000);
      between.push(patternOf(20));
      kept.push([(await store.put(bytes)).id, bytes]);
      if (at < 110) continue;
      const killed = await afterKill(stores, disk);
      for (const [id, expected] of kept) expectSameBytes(present(killed.get(id)), expected);
      await killed.close();
    }
    const homes = await Promise.all(
      kept.slice(0, 20).map(([id, bytes]) => isHome(disk, id, bytes)),
    );
    expect(homes).toEqual(homes.map(() => true));
    between.abandon();
  });
});
