/**
 * A basin that was made good from its twin drops a map again, by the log: the place of the map was
 * free when the basin was written that is damaged now, and something else has it since.
 */

import { expect, it } from 'vitest';
import { kindBasin, pageBytes } from '../../src/format/layout.ts';
import { memoryFileSystem } from '../../src/index.ts';
import { getU32 } from '../../src/util/little-endian.ts';
import { expectSameBytes, patternOf } from '../support/bytes.ts';
import { type CoreLab, openLab } from '../support/fixtures/core-lab.ts';

async function commitNothing(lab: CoreLab): Promise<void> {
  const session = lab.session();
  session.setEmbeddedHeader(null);
  await session.commit();
}

function damageNewestBasin(lab: CoreLab): void {
  const bytes = new Uint8Array(lab.file.length());
  lab.file.readSync(bytes, 0);
  let newest = { offset: -1, generation: 0 };
  for (let offset = 0; offset + pageBytes <= bytes.length; offset += pageBytes) {
    const generation = getU32(bytes, offset + 8);
    if (getU32(bytes, offset) !== kindBasin || generation <= newest.generation) continue;
    newest = { offset, generation };
  }
  lab.file.writeSync([new Uint8Array(64).fill(0xa5)], newest.offset + 40);
}

it.each([
  ['are as they were', false],
  ['have been written over', true],
])('content in the place of a dropped map, whose marks %s, is not lost', async (_, overwritten) => {
  const fileSystem = memoryFileSystem();
  const bytes = patternOf(2 * 1024 * 1024, 3);
  let lab = await openLab({ fileSystem });
  // Its grains are a map of their own, which is dropped when they are free.
  const first = lab.session();
  const gone = first.push(bytes);
  first.push(patternOf(100));
  await first.commit();
  const [page = 0] = lab.core.atlas.stratum(0, 0)?.maps.map((map) => map.page) ?? [];
  const archiving = lab.session();
  archiving.archive(gone);
  const archived = await archiving.commit();
  await lab.close();

  // The twin of the basin is as of the archiving; the drop is in the log since.
  lab = await openLab({ fileSystem });
  const freeing = lab.session();
  freeing.checkpointTo(archived);
  await freeing.commit();
  await commitNothing(lab);
  expect(lab.core.atlas.stratum(0, 0)?.maps).toEqual([]);
  await lab.close();

  lab = await openLab({ fileSystem });
  const later = lab.session();
  const value = later.push(bytes);
  await later.commit();
  const home = lab.core.atlas.stratum(0, 0);
  const [map] = home?.maps ?? [];
  expect(home?.maps.length).toBe(1);
  // The places overlap, a page or two apart where something small lies before one of them.
  expect(Math.abs((map?.page ?? 0) - page)).toBeLessThan(bytes.length / pageBytes / 2);
  // Nothing names the slots of the marks there: whoever has the pages may write to them.
  const marks = new Uint8Array(2 * pageBytes).fill(0xee);
  if (overwritten) lab.file.writeSync([marks], (map?.page ?? 0) * pageBytes);
  damageNewestBasin(lab);
  await lab.kill();

  lab = await openLab({ fileSystem, settleBytes: 1 });
  expect(lab.core.recovery.healed.length).toBe(1);
  for (let at = 0; at < 10; at++) await commitNothing(lab);
  const filling = lab.session();
  for (let at = 0; at < 5; at++) filling.push(patternOf(bytes.length, 50 + at));
  await filling.commit();
  expect(await lab.findings()).toEqual([]);
  const place = lab.core.place(value);
  expectSameBytes(place === undefined ? new Uint8Array() : lab.core.values.read(place), bytes);
  await lab.close();
});
