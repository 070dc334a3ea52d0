/** Followers of the commit log learn of every batch that is published, however its commit ended. */

import { expect, it } from 'vitest';
import type { GrainId } from '../../../src/index.ts';
import { logEntries } from '../../../src/store/readers/log-entries.ts';
import { patternOf } from '../../support/bytes.ts';
import { SimulatedDisk } from '../../support/disks/simulated-disk.ts';
import { type CoreLab, openLab } from '../../support/fixtures/core-lab.ts';

/** More than half of what one batch frees on a full disk. */
const valuesEach = 1200;

/** Archives so many values, in a batch of its own, `times` times; gives the last batch. */
async function archiveAgainAndAgain(lab: CoreLab, times: number): Promise<number> {
  let batch = 0;
  for (let time = 0; time < times; time++) {
    const pushing = lab.session();
    const ids: GrainId[] = [];
    for (let at = 0; at < valuesEach; at++) ids.push(pushing.push(patternOf(20)));
    await pushing.commit();
    const archiving = lab.session();
    for (const id of ids) archiving.archive(id);
    batch = await archiving.commit();
  }
  return batch;
}

/** A few turns of the event loop: whoever has been woken has gone on. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}

it.each([
  ['write', 'VARVE_IO'],
  ['datasync', 'VARVE_POISONED'],
])(
  'a follower is given the steps of a checkpoint that fails after them, by a %s',
  async (...failing) => {
    const [kind, code] = failing;
    const disk = new SimulatedDisk({ records: false });
    const lab = await openLab({ fileSystem: disk });
    const { core } = lab;
    const archived = await archiveAgainAndAgain(lab, 3);
    core.space.refused(core.space.backedPage, core.space.backedPage + 1, true);
    expect(core.space.tight).toBe(true);
    const before = core.published.currentBatch;
    const range = { after: before, until: undefined, signal: undefined };
    const entries = logEntries(core, range);
    const given: number[] = [];
    const following = (async () => {
      for await (const { batch } of entries) given.push(batch);
    })();
    await turns();
    expect(given).toEqual([]);

    // Only when the first step of the checkpoint has been published.
    disk.faultOf = (operation) => {
      if (operation.kind !== kind || core.published.currentBatch === before) return undefined;
      return { kind: 'error', code: 'EIO', done: 'nothing' };
    };
    const session = lab.session();
    session.checkpointTo(archived);
    await expect(session.commit()).rejects.toMatchObject({ code });
    disk.faultOf = undefined;
    const published = core.published.currentBatch;
    expect(published).toBeGreaterThan(before);

    await turns();
    expect(given.at(-1)).toBe(published);
    await entries.return?.();
    await following;
    await lab.kill();
  },
);
