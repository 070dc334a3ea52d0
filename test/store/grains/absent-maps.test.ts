/** A map that is no longer in its stratum: nothing of it is read, since others may have its pages. */

import { expect, it } from 'vitest';
import type { GrainMap } from '../../../src/store/grains/grain-map.ts';
import { patternOf } from '../../support/bytes.ts';
import { SimulatedDisk } from '../../support/disks/simulated-disk.ts';
import { openLab } from '../../support/fixtures/core-lab.ts';

it('it has no mark pages, whether it was opened before or not', async () => {
  const disk = new SimulatedDisk({ records: false });
  const first = await openLab({ fileSystem: disk });
  const session = first.session();
  for (let at = 0; at < 50; at++) session.push(patternOf(300));
  await session.commit();
  await first.close();
  for (const opens of [false, true]) {
    const fileSystem = new SimulatedDisk({ state: disk.state, records: false });
    const lab = await openLab({ fileSystem });
    const [stratum] = lab.core.atlas.strata();
    const map = stratum?.maps[0] as GrainMap;
    expect(map.opened).toBe(false);
    if (opens) expect([...(stratum?.pagesOf(map) ?? [])].length).toBeGreaterThan(0);
    stratum?.dropMap(map.firstIndex);
    fileSystem.readFaultOf = () => ({ kind: 'error', code: 'EIO' });
    expect([...(stratum?.pagesOf(map) ?? [undefined])]).toEqual([]);
    fileSystem.readFaultOf = undefined;
    await lab.kill();
  }
});
