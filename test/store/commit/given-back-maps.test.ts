/** A map that is given back is empty when it is retired, whenever it was found to be. */

import { expect, it } from 'vitest';
import { GivenBackMaps } from '../../../src/store/commit/given-back-maps.ts';
import { patternOf } from '../../support/bytes.ts';
import { openLab } from '../../support/fixtures/core-lab.ts';

it('a map that a session has pushed to since it was found empty is left in use', async () => {
  const lab = await openLab();
  const { core } = lab;
  const pushing = lab.session();
  const id = pushing.push(patternOf(20));
  await pushing.commit();
  const archiving = lab.session();
  archiving.archive(id);
  const archived = await archiving.commit();
  const freeing = lab.session();
  freeing.checkpointTo(archived);
  await freeing.commit();
  const givenBack = new GivenBackMaps(core);
  const empty = givenBack.worthReclaiming(true) ?? [];
  expect(empty.length).toBe(1);

  const session = lab.session();
  const pushed = session.push(patternOf(20, 2));
  expect(givenBack.retire(empty)).toEqual([]);
  await session.commit();
  expect(core.read(pushed)).toEqual(patternOf(20, 2));
  expect(await lab.findings()).toEqual([]);
  await lab.close();
});
