/**
 * Automatic compaction beside what else a store does: a compaction that is called, the close and
 * verification, at every sync and after every commit; and marks that cannot be read.
 */

import { expect, it, vi } from 'vitest';
import type { GrainId, Store } from '../../../src/index.ts';
import { OwnBatches } from '../../../src/store/commit/own-batches.ts';
import { Space } from '../../../src/store/file/space.ts';
import { defaultLimits } from '../../../src/store/grains/atlas.ts';
import { checkOptions } from '../../../src/store/open/store-options.ts';
import { openStore } from '../../../src/store/store.ts';
import { expectSameBytes, patternOf } from '../../support/bytes.ts';
import { SimulatedDisk } from '../../support/disks/simulated-disk.ts';
import { check } from '../../support/fixtures/store-checks.ts';

const rounds = 40;

class Compacted {
  readonly disk: SimulatedDisk;
  readonly values: { readonly id: GrainId; readonly bytes: Uint8Array }[] = [];
  store!: Store;
  #seed = 0;

  constructor(disk = new SimulatedDisk({ records: false })) {
    this.disk = disk;
  }

  /** Opens it again, or for the first time; `markBytes`: memory for marks. */
  async open(markBytes?: number, settleBytes = 4096): Promise<void> {
    const compactsFrom = { bytes: 0, share: 0.05 };
    const limits = { ...defaultLimits, mapBytesMin: 16_384, compactsFrom, markBytes };
    const compaction = 'automatic' as const;
    const options = { fileSystem: this.disk, settleBytes, compaction };
    this.store = await openStore(checkOptions('store', options, limits));
  }

  async push(length: number): Promise<void> {
    const bytes = patternOf(length, this.#seed++);
    const session = this.store.session();
    const id = session.push(bytes);
    await session.commit();
    this.values.push({ id, bytes });
  }

  async remove(from: number, count: number): Promise<void> {
    const session = this.store.session();
    for (const { id } of this.values.splice(from, count)) session.archive(id);
    await this.store.checkpointTo(await session.commit());
  }

  /** A store with free space. */
  static async thinned(markBytes?: number, settleBytes?: number): Promise<Compacted> {
    const compacted = new Compacted();
    await compacted.open(markBytes, settleBytes);
    for (let at = 0; at < 30; at++) await compacted.push(20_000 + at);
    await compacted.remove(0, 18);
    return compacted;
  }

  async round(at: number): Promise<void> {
    await this.push(15_000 + at);
    await this.remove((at * 7) % this.values.length, 1);
  }

  async expectSound(): Promise<void> {
    for (const { id, bytes } of this.values)
      expectSameBytes(this.store.get(id) as Uint8Array, bytes);
    await check.sound(this.store);
  }
}

/** Calls `act` while the sync with that number is in flight; false if there is none. */
async function duringSync(
  { disk }: Compacted,
  number: number,
  act: () => Promise<unknown>,
  goOn: () => Promise<unknown>,
): Promise<boolean> {
  let syncs = 0;
  let acting: Promise<unknown> | undefined;
  disk.faultOf = ({ kind }) => {
    if (kind === 'datasync' && syncs++ === number) {
      queueMicrotask(() => {
        acting = act();
      });
    }
    return undefined;
  };
  await goOn();
  disk.faultOf = undefined;
  await acting;
  return acting !== undefined;
}

it('a compaction that is called while its batch is in flight, at each sync', async () => {
  for (let number = 0; ; number++) {
    const compacted = await Compacted.thinned();
    const compact = (): Promise<unknown> => compacted.store.compact();
    const isCalled = await duringSync(compacted, number, compact, async () => {
      for (let at = 0; at < rounds; at++) await compacted.round(at);
    });
    await compacted.expectSound();
    await compacted.store.close();
    await compacted.open();
    await compacted.expectSound();
    await compacted.store.close();
    if (!isCalled) break;
    expect(number).toBeLessThan(1000);
  }
});

it('a compaction that is called while its batch is in flight keeps its own bound of placement', async () => {
  const { leaveFrom } = Space.prototype;
  let inFlight = 0;
  for (let number = 0; ; number += 5) {
    const compacted = await Compacted.thinned();
    const bounds: number[] = [];
    const compact = async (): Promise<void> => {
      const calls = vi.spyOn(Space.prototype, 'leaveFrom').mockImplementation(function (
        this: Space,
        page,
      ) {
        bounds.push(page);
        leaveFrom.call(this, page);
      });
      await compacted.store.compact();
      calls.mockRestore();
    };
    const isCalled = await duringSync(compacted, number, compact, async () => {
      for (let at = 0; at < rounds; at++) await compacted.round(at);
    });
    await compacted.store.close();
    if (!isCalled) break;
    // The automatic one lifts its bound, before the other one sets one and in the end lifts it.
    const own = bounds.findIndex((page) => Number.isFinite(page));
    inFlight += Math.min(own, 1);
    expect(own).toBeGreaterThanOrEqual(0);
    expect(bounds.slice(own, -1).every((page) => Number.isFinite(page))).toBe(true);
    expect(bounds.at(-1)).toBe(Number.POSITIVE_INFINITY);
    expect(number).toBeLessThan(1000);
  }
  expect(inFlight).toBeGreaterThan(0);
});

it('the close while its batch is in flight, at each sync', async () => {
  for (let number = 0; ; number++) {
    const compacted = await Compacted.thinned();
    const close = (): Promise<unknown> => compacted.store.close();
    const isCalled = await duringSync(compacted, number, close, async () => {
      let at = 0;
      await (async () => {
        for (; at < rounds; at++) await compacted.round(at);
      })().catch((error: unknown) => expect(error).toMatchObject({ code: 'VARVE_CLOSED' }));
    });
    await compacted.store.close();
    await compacted.open();
    await compacted.expectSound();
    for (let at = 0; at < 5; at++) await compacted.round(at);
    await compacted.expectSound();
    await compacted.store.close();
    if (!isCalled) break;
    expect(number).toBeLessThan(1000);
  }
});

it.each([2048, 16_384, 2 ** 20])(
  'a store that is killed after any commit has its maps where they were moved, settled every %i bytes',
  async (settleBytes) => {
    const compacted = await Compacted.thinned(undefined, settleBytes);
    const { disk } = compacted;
    for (let at = 0; at < rounds; at++) {
      await compacted.round(at);
      const killed = new Compacted(new SimulatedDisk({ state: disk.state, records: false }));
      killed.values.push(...compacted.values);
      await killed.open();
      await killed.expectSound();
      await killed.push(3000);
      await killed.expectSound();
      await killed.store.close();
    }
    await compacted.store.close();
  },
);

it('verification finds nothing wrong while maps are being copied', async () => {
  const compacted = await Compacted.thinned();
  for (let at = 0; at < rounds; at++) {
    await compacted.round(at);
    await check.sound(compacted.store);
  }
  await compacted.store.close();
});

it('commits go on if the marks of a map that is to move cannot be read', async () => {
  const compacted = await Compacted.thinned(0);
  const { disk } = compacted;
  let isMoving = false;
  let failures = 0;
  const { movable } = OwnBatches.prototype;
  OwnBatches.prototype.movable = function* (moves) {
    isMoving = true;
    try {
      return yield* movable.call(this, moves);
    } finally {
      isMoving = false;
    }
  };
  disk.readFaultOf = () => {
    if (!isMoving) return undefined;
    failures += 1;
    return { kind: 'error', code: 'EIO' };
  };
  try {
    for (let at = 0; at < 3 * rounds; at++) {
      await compacted.round(at);
      await compacted.push(100 + at);
      await compacted.push(100_000 + at);
      if (at % 3 === 2) await compacted.remove(0, 6);
    }
  } finally {
    OwnBatches.prototype.movable = movable;
    disk.readFaultOf = undefined;
  }
  expect(failures).toBeGreaterThan(0);
  await compacted.expectSound();
  await compacted.store.close();
});
