/** Whatever knows a value by its offset in the file follows it to its new place, or forgets it. */

import { expect, it } from 'vitest';
import { joinGrainId } from '../../../src/format/grain-id.ts';
import { markArchived, markValue } from '../../../src/format/layout.ts';
import { GrainId } from '../../../src/index.ts';
import { expectSameBytes, patternOf } from '../../support/bytes.ts';
import { type CoreLab, openLab } from '../../support/fixtures/core-lab.ts';
import { check, storesOfTest } from '../../support/fixtures/store-checks.ts';

const stores = storesOfTest();
const lengths = Array.from({ length: 200 }, (_, at) => 300 + at * 10);

/** Space before the maps that have the values. */
async function opened(): Promise<{ lab: CoreLab; ids: GrainId[] }> {
  const lab = await openLab({ limits: { mapBytesMin: 16 * 1024 } });
  const first = lab.session();
  const gone = [first.push(patternOf(600_000)), first.push(patternOf(500_000))];
  await first.commit();
  const ids: GrainId[] = [];
  for (let at = 0; at < lengths.length; at += 50) {
    const session = lab.session();
    for (const length of lengths.slice(at, at + 50)) ids.push(session.push(patternOf(length)));
    await session.commit();
  }
  const last = lab.session();
  for (const id of gone) last.archive(id);
  const freeing = lab.session();
  freeing.checkpointTo(await last.commit());
  await freeing.commit();
  return { lab, ids };
}

it('a value that is not the one that its batch wrote is not trusted at its new place', async () => {
  const { lab, ids } = await opened();
  const { core } = lab;
  const id = ids[120] as GrainId;
  const offset = core.place(id)?.offset ?? 0;
  core.values.distrust(offset);
  await lab.compact();
  expect(core.place(id)?.offset).toBeLessThan(offset);
  check.throws('VARVE_CORRUPT', () => core.read(id));
  await lab.kill();
});

it('a value that was read before is not read at the place that it has left', async () => {
  const { lab, ids } = await opened();
  const { core } = lab;
  for (const id of ids) core.read(id);
  await lab.compact();
  // Maps for other values, mostly empty, where those were that have moved.
  const session = lab.session();
  for (let at = 0; at < 4; at++) session.push(patternOf(200_000 + at));
  for (let at = 0; at < 120; at++) session.push(patternOf(4000));
  await session.commit();
  for (const [at, id] of ids.entries()) {
    expectSameBytes(core.read(id) as Uint8Array, patternOf(lengths[at] as number));
  }
  for (const stratum of core.atlas.strata()) {
    const { basin, number } = stratum;
    for (const { firstIndex, grains } of [...stratum.maps]) {
      for (let index = firstIndex; index < firstIndex + grains; index++) {
        const spot = stratum.find(index);
        const mark = spot?.page.mark(spot.at);
        if (mark === markValue || mark === markArchived) continue;
        const id = GrainId.from(joinGrainId(basin, number, index));
        expect(core.read(id), `${index}`).toBe(undefined);
      }
    }
  }
  await lab.kill();
});

it('a read under way while its value moves gives the value', async () => {
  const { store, disk } = await stores.wrapped({ cacheBytes: 0 });
  const gone = [await store.put(patternOf(600_000)), await store.put(patternOf(500_000))];
  const bytes = patternOf(90_000, 3);
  const { id } = await store.put(bytes);
  const session = store.session();
  for (const one of gone) session.archive(one.id);
  await store.checkpointTo(await session.commit());
  const gate = disk.hold('read');
  const reading = store.getAsync(id);
  await gate.reached();
  const { movedBytes } = await store.compact();
  expect(movedBytes).toBeGreaterThan(90_000);
  for (let at = 0; at < 12; at++) await store.put(patternOf(100_000, at));
  gate.open();
  expectSameBytes((await reading) as Uint8Array, bytes);
});
