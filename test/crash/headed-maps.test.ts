/**
 * The histories and workloads that are about a map with a head have one: how large maps are made is
 * the business of `map-growth.ts`, and when that changes they must not go on without.
 *
 * Invariant: a head counts where it was written to the disk. What is done to it is for the other
 * tests.
 */

import { expect, it, vi } from 'vitest';
import { kindMap } from '../../src/format/layout.ts';
import { getU32 } from '../../src/util/little-endian.ts';
import { ticking } from '../support/crash-scale.ts';
import { type DiskOperation, SimulatedDisk } from '../support/disks/simulated-disk.ts';
import { headedLimits, openLab } from '../support/fixtures/core-lab.ts';
import { callsOf } from '../support/lives/disk-aftermath.ts';
import { workloads } from '../support/lives/disk-workload.ts';
import { histories } from '../support/lives/histories.ts';
import { Life } from '../support/lives/life.ts';

ticking(vi);

const noBytes = new Uint8Array(0);

/** Those whose name says that they are about one, with it. */
function named<T extends { readonly name: string }>(all: readonly T[]): [string, T][] {
  return all.filter(({ name }) => name.includes('a map with a head')).map((one) => [one.name, one]);
}

function headsWritten(operations: readonly DiskOperation[]): number {
  const writes = operations.filter(({ kind }) => kind === 'write');
  return writes.filter(({ first = noBytes }) => first.length > 4 && getU32(first, 0) === kindMap)
    .length;
}

it.each(named(histories))('the history of %s writes heads', async (_, history) => {
  const life = new Life(new SimulatedDisk({ records: false }), history.settings);
  await history.run(life);
  expect(headsWritten(life.disk.operations)).toBeGreaterThanOrEqual(2);
});

it.each(named(workloads))('the workload of %s writes heads', async (_, workload) => {
  const { operations } = await callsOf(workload);
  expect(headsWritten(operations)).toBeGreaterThanOrEqual(2);
});

it('a history and a workload that write heads exist', () => {
  expect([named(histories).length, named(workloads).length]).toEqual([1, 1]);
});

it('the limits for a map with a head give the first small value one', async () => {
  const lab = await openLab({ limits: headedLimits });
  lab.session().push(new Uint8Array(60));
  const maps = [...lab.core.atlas.strata()].flatMap((stratum) => stratum.maps);
  expect(maps.map(({ hasHead, grains }) => [hasHead, grains])).toEqual([[true, 17_408]]);
  await lab.kill();
});
