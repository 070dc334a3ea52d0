/** What a batch of sessions does besides: nothing of it is begun if there is no batch. */

import { expect, it } from 'vitest';
import type { GrainId } from '../../../src/index.ts';
import { pause } from '../../../src/store/file/effects.ts';
import { patternOf } from '../../support/bytes.ts';
import { openLab } from '../../support/fixtures/core-lab.ts';

it('empty maps are not retired with sessions that are all rejected', async () => {
  const lab = await openLab();
  const { atlas } = lab.core;
  const session = lab.session();
  const ids = [20_000, 20_001, 20_002].map((length) => session.push(patternOf(length)));
  await session.commit();
  const emptying = lab.session();
  for (const id of ids) emptying.archive(id);
  await emptying.commit();
  const refused = lab.session();
  refused.setEmbeddedHeader(ids[0] as GrainId);
  const checkpoint = lab.session();
  checkpoint.checkpointTo(lab.core.published.currentBatch);
  await checkpoint.commit();
  const maps = (): number => [...atlas.strata()].reduce((sum, { maps }) => sum + maps.length, 0);
  expect(maps()).toBeGreaterThan(0);
  let rides = 0;
  lab.committer.takeAlong({
    *ride() {
      rides += 1;
      yield pause;
      return { drops: true };
    },
    committed: () => undefined,
    over: () => undefined,
  });
  // The value was freed.
  await expect(refused.commit()).rejects.toMatchObject({ code: 'VARVE_NOT_FOUND' });
  expect(rides).toBe(1);
  const last = lab.session();
  last.setEmbeddedHeader(null);
  await last.commit();
  expect(maps()).toBe(0);
  expect(await lab.findings()).toEqual([]);
  await lab.close();
});
