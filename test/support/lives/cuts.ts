/**
 * Cuts the power at every operation of a life that has ended, with the fates of what was not synced.
 *
 * Invariant: the same life and the same bounds give the same cuts, in the same order. What is tried
 * after a cut is for the test.
 */

import { type DiskState, powerCut, restarted } from '../disks/disk-state.ts';
import { type FateBounds, fatesOf } from '../disks/fates.ts';
import type { SimulatedDisk } from '../disks/simulated-disk.ts';

export interface CutSettings {
  readonly bounds: FateBounds;
  /** One of so many fates is tried. */
  readonly stride: number;
  /** Of the history, for the message of a failure. */
  readonly name: string;
}

/** The number of cuts that were tried; `aside`: operations that are not the subject of the life. */
export async function cutEverywhere(
  { disk, aside }: { readonly disk: SimulatedDisk; readonly aside?: ReadonlySet<number> },
  { bounds, stride, name }: CutSettings,
  hold: (state: DiskState, at: number) => Promise<unknown>,
): Promise<number> {
  const { before, operations } = disk;
  const states = [...before, disk.state];
  let tried = 0;
  let number = 0;
  for (const [at, state] of states.entries()) {
    if (aside?.has(at)) continue;
    const last = aside?.has(at - 1) ? undefined : states[at - 1];
    const known = last?.durable === state.durable ? last.unsynced.length : 0;
    for (const fate of fatesOf(state, known, bounds, at)) {
      number += 1;
      if (number % stride !== 0) continue;
      tried += 1;
      try {
        await hold(restarted(powerCut(state, fate.keeps)), at);
      } catch (error) {
        const operation = operations[at]?.kind ?? 'end';
        const place = `cut before operation ${at} (${operation}) of '${name}'`;
        throw new Error(`${place}, ${fate.name}: ${error}`, { cause: error });
      }
    }
  }
  return tried;
}
