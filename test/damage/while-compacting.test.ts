/**
 * Structures damaged in stores whose process ended at some operation of a compaction, or of what
 * follows: their twins name maps that have been replaced since, and places that other maps have now.
 * Right bytes or an error, and the store lives on.
 */

import { afterAll, describe, expect, it, vi } from 'vitest';
import type { GrainId } from '../../src/index.ts';
import { takingTurns, ticking } from '../support/crash-scale.ts';
import type { DiskState } from '../support/disks/disk-state.ts';
import { powerCut } from '../support/disks/disk-state.ts';
import { GivenFile } from '../support/disks/given-file.ts';
import { SimulatedDisk } from '../support/disks/simulated-disk.ts';
import { compactions } from '../support/lives/compaction-histories.ts';
import { Life } from '../support/lives/life.ts';
import { anatomyOf } from './anatomy.ts';
import { openOn } from './damage-trial.ts';
import { patience, strideOf } from './scale.ts';
import type { Specimen } from './specimens.ts';
import { Campaign } from './wounds.ts';

const counts = { stores: 0, damages: 0, healed: 0, refused: 0 };
/** Of the operations after which the process ends. */
const stride = strideOf(40);

/** The store of a process that ended just then. */
async function endedAt(life: Life, state: DiskState): Promise<Specimen | undefined> {
  const image = powerCut(state, () => true);
  const bytes = new Uint8Array(image.length);
  image.read(bytes, 0);
  const store = await openOn(new GivenFile(bytes));
  const { currentBatch: batch, recovery } = store;
  await store.close();
  const expected = life.expected.upTo(batch);
  if (recovery.revertedBatch !== undefined || expected.current.batch !== batch) return undefined;
  const ids = new Set<GrainId>();
  for (const { changes } of expected.current.log) for (const { id } of changes) ids.add(id);
  const name = `a store that ended with batch ${batch}`;
  return { name, bytes, closed: false, expected, ids: [...ids], disk: life.disk };
}

async function damageStructures(specimen: Specimen): Promise<void> {
  const campaign = new Campaign({ specimen, anatomy: anatomyOf(specimen) });
  const { pieces } = campaign.patient.anatomy;
  for (const { kind, name, ranges } of pieces) {
    if (kind === 'record' || kind === 'value' || kind === 'header' || kind === 'root') continue;
    const patches = ranges.map(({ from, to }) => ({
      at: from,
      bytes: new Uint8Array(to - from).fill(0xa5),
    }));
    await campaign.patch(`a wound of ${name}`, patches, { deep: true, liveOn: true });
  }
  counts.stores += 1;
  counts.damages += campaign.tried;
  counts.healed += campaign.healed;
  counts.refused += campaign.refused;
}

describe('structures are damaged in stores that were being compacted', patience, () => {
  ticking(vi);
  takingTurns(vi);

  // Its hundreds of maps, each with marks of its own, take too long.
  const few = compactions.filter(({ name }) => name !== 'compaction beside a settle in chunks');

  it.each(few.map((history) => [history.name, history] as const))('%s', async (name, history) => {
    const life = new Life(new SimulatedDisk(), history.settings);
    await history.run(life);
    const { before, state } = life.disk;
    const states = [...before, state];
    let tried = 0;
    for (let at = states.length - 1; at > 0 && !life.aside.has(at); at -= stride) {
      const specimen = await endedAt(life, states[at] as DiskState);
      if (specimen === undefined) continue;
      tried += 1;
      try {
        await damageStructures(specimen);
      } catch (error) {
        throw new Error(`ended at operation ${at} of '${name}': ${error}`, { cause: error });
      }
    }
    expect(tried).toBeGreaterThan(0);
  });

  afterAll(() => {
    console.log(counts);
  });
});
