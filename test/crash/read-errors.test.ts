/**
 * Reads that fail: each read of a workload fails once, and each look at the length of the file, or
 * comes back short. The call that needed it says so (VARVE_IO, with the system's error), nothing
 * changes by it, and the same call succeeds when it is made again.
 *
 * A short read is no error: by the contract of `StorageFile` fewer bytes come back only at the end
 * of the file, so where the file is longer the store asks for the rest. It never takes what it did
 * not get for zeros, and where the rest does not come it says VARVE_IO.
 */

import { afterAll, describe, expect, it, vi } from 'vitest';
import type { GrainId, Store } from '../../src/index.ts';
import { defaultLimits } from '../../src/store/grains/atlas.ts';
import { checkOptions } from '../../src/store/open/store-options.ts';
import { openStore } from '../../src/store/store.ts';
import { expectSameBytes, patternOf } from '../support/bytes.ts';
import { crashScale, ticking } from '../support/crash-scale.ts';
import { type ReadFault, SimulatedDisk } from '../support/disks/simulated-disk.ts';
import { addMapTo, headedLimits, labPath, openLab } from '../support/fixtures/core-lab.ts';
import { check, storesOfTest } from '../support/fixtures/store-checks.ts';
import {
  type Calls,
  callsOf,
  type FailingCall,
  failOnce,
} from '../support/lives/disk-aftermath.ts';
import { workloads as ofValues } from '../support/lives/disk-workload.ts';
import { streamedWorkload } from '../support/lives/streamed-workload.ts';

const workloads = [...ofValues, streamedWorkload];
const counts = { failed: 0, short: 0, lengths: 0 };
const stores = storesOfTest();

/** Each read fails or comes back short; with the first workload, and larger scales, does both. */
function failingReads(at: number, { reads }: Calls): FailingCall[] {
  const both = at === 0 || crashScale > 1;
  const failing: FailingCall[] = [];
  for (const { number, kind } of reads) {
    const errs = both || number % 2 === 0;
    const error: ReadFault = { kind: 'error', code: 'EIO' };
    if (errs) failing.push({ of: 'reads', number, fault: error });
    if (kind === 'length') counts.lengths += errs ? 1 : 0;
    else {
      counts.failed += errs ? 1 : 0;
      if (errs && !both) continue;
      failing.push({ of: 'reads', number, fault: { kind: 'short' } });
      counts.short += 1;
    }
  }
  return failing;
}

describe('each read fails once', () => {
  ticking(vi);

  it.each(workloads.map((workload, at) => [workload.name, at] as const))('%s', async (_, at) => {
    const workload = workloads[at] as (typeof workloads)[number];
    const calls = await callsOf(workload);
    // A length that is asked for before a large batch only saves it from growing piece by piece.
    const lengths = new Set(
      calls.reads.filter(({ kind }) => kind === 'length').map(({ number }) => number),
    );
    for (const failing of failingReads(at, calls)) {
      const refusals = await failOnce(workload, failing);
      if (failing.fault.kind === 'error' && refusals === 0 && !lengths.has(failing.number)) {
        throw new Error(`nobody heard that read ${failing.number} of '${workload.name}' failed`);
      }
    }
  });
});

describe('a short read', () => {
  const bytes = patternOf(900);

  /** A store just opened, whose next read comes back so short. */
  async function reopened(count: number, value = bytes): Promise<{ store: Store; id: GrainId }> {
    const disk = new SimulatedDisk();
    const first = await stores.open('store', { fileSystem: disk });
    const { id } = await first.put(value);
    await first.close();
    const store = await stores.open('store', { fileSystem: disk });
    expect(store.has(id)).toBe(true);
    let left = 1;
    disk.readFaultOf = ({ kind }) =>
      kind === 'read' && left-- > 0 ? { kind: 'short', bytes: count } : undefined;
    return { store, id };
  }

  for (const count of [0, 3, 800]) {
    it(`of ${count} bytes is continued: the length is right`, async () => {
      const { store, id } = await reopened(count);
      expect(store.lengthOf(id)).toBe(900);
      expectSameBytes(store.get(id) as Uint8Array, bytes);
    });

    it(`of ${count} bytes is continued: the bytes are right`, async () => {
      const { store, id } = await reopened(count);
      expectSameBytes(store.get(id) as Uint8Array, bytes);
    });

    it(`of ${count} bytes is continued: the bytes read without blocking are right`, async () => {
      const { store, id } = await reopened(count);
      expectSameBytes((await store.getAsync(id)) as Uint8Array, bytes);
    });

    it(`of ${count} bytes is continued: an archived value has its length`, async () => {
      // One grain: its length is not held against their number.
      const { store, id } = await reopened(count, patternOf(20));
      const session = store.session();
      session.archive(id);
      await store.checkpointTo(await session.commit());
      expect(store.statistics()).toMatchObject({ values: 0, valueBytes: 0 });
      await check.sound(store);
    });
  }

  it('that cannot be continued is VARVE_IO, not a value of zeros', async () => {
    const disk = new SimulatedDisk();
    const first = await stores.open('store', { fileSystem: disk });
    const { id } = await first.put(bytes);
    await first.close();
    const store = await stores.open('store', { fileSystem: disk });
    expect(store.has(id)).toBe(true);
    disk.readFaultOf = ({ kind }) => (kind === 'read' ? { kind: 'short', bytes: 0 } : undefined);
    check.throws('VARVE_IO', () => store.get(id));
    check.throws('VARVE_IO', () => store.lengthOf(id));
    await check.rejects('VARVE_IO', () => store.getAsync(id));
    disk.readFaultOf = undefined;
    expectSameBytes(store.get(id) as Uint8Array, bytes);
  });
});

describe('a read that fails costs no space', () => {
  // Of maps with heads, which are read when the map is opened.
  const settleBytes = 2048;
  const error: ReadFault = { kind: 'error', code: 'EIO' };

  async function opened(disk: SimulatedDisk, limits = defaultLimits): Promise<Store> {
    const options = { fileSystem: disk, settleBytes };
    return stores.keep(await openStore(checkOptions(labPath, options, limits)));
  }

  const mapCount = 6;

  /** Values for so many maps, and a commit for each. */
  async function pushMany(store: Pick<Store, 'session'>): Promise<GrainId[]> {
    const ids: GrainId[] = [];
    for (let map = 0; map < mapCount; map++) {
      const session = store.session();
      for (let at = 0; at < 66; at++) ids.push(session.push(patternOf(8100)));
      await session.commit();
    }
    return ids;
  }

  /** Length of the file when a value has gone into the one map; whether that was tried in vain. */
  async function put(fails: boolean): Promise<number> {
    const disk = new SimulatedDisk({ records: false });
    const limits = { ...defaultLimits, ...headedLimits };
    const first = await opened(disk, limits);
    await first.put(patternOf(20));
    await first.close();
    const store = await opened(disk, limits);
    let left = fails ? 1 : 0;
    disk.readFaultOf = ({ kind }) => (kind === 'read' && left-- > 0 ? error : undefined);
    if (fails) await check.rejects('VARVE_IO', () => store.put(patternOf(21)));
    await store.put(patternOf(21));
    const { fileBytes, strata } = store.statistics();
    expect(strata).toMatchObject([{ allocated: 2, free: headedLimits.grainsPerStratum - 2 }]);
    return fileBytes;
  }

  it('if a map cannot be opened for a new value', async () => {
    expect(await put(true)).toBe(await put(false));
  });

  /** Five empty maps and one that is not; the read fails with that number after an opening. */
  async function emptied(failing: number) {
    const disk = new SimulatedDisk({ records: false });
    // No settle: it would give back the maps that have not been used yet.
    const first = await openLab({ fileSystem: disk });
    const { grainsPerStratum: grains } = headedLimits;
    for (let map = 0; map < mapCount; map++) addMapTo(first.core, { grains });
    const keeping = first.session();
    keeping.push(patternOf(20));
    await keeping.commit();
    const archiving = first.session();
    for (const id of await pushMany(first)) archiving.archive(id);
    const freeing = first.session();
    freeing.checkpointTo(await archiving.commit());
    await freeing.commit();
    const maps = [...first.core.atlas.strata()].flatMap((stratum) => stratum.maps);
    expect(maps.map((map) => map.hasHead && map.durable)).toEqual(Array(mapCount).fill(true));
    expect(maps.filter(({ takenGrains }) => takenGrains > 0).length).toBe(1);
    await first.close();
    const store = await opened(disk);
    let reads = 0;
    let refusals = 0;
    disk.readFaultOf = ({ kind }) => (kind === 'read' && reads++ === failing ? error : undefined);
    for (let batch = 0; batch < 10; batch++) {
      const put = store.put(patternOf(30 + batch));
      const refused = await put.then(() => undefined).catch((reason: unknown) => reason);
      if (refused === undefined) continue;
      expect(refused).toMatchObject({ code: 'VARVE_IO', cause: { code: 'EIO' } });
      refusals += 1;
      await store.put(patternOf(30 + batch));
    }
    disk.readFaultOf = undefined;
    await pushMany(store);
    await pushMany(store);
    await check.sound(store);
    return { fileBytes: store.statistics().fileBytes, refusals, reads };
  }

  it('if one of the empty maps to be dropped cannot be opened', async () => {
    const { fileBytes, reads } = await emptied(-1);
    expect(reads).toBeGreaterThan(3);
    for (let failing = 0; failing < reads; failing++) {
      expect(await emptied(failing)).toMatchObject({ fileBytes, refusals: 1 });
    }
  });
});

afterAll(() => {
  const { failed, short, lengths } = counts;
  console.log(`reads that failed: ${failed}, came back short: ${short}; lengths: ${lengths}`);
});
