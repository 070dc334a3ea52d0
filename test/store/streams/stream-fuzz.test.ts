/**
 * Random programs with many sessions, pushed streams and readers in flight, against a plain model
 * (`stream-trial.ts`): on a sound disk, and on one where a call fails.
 *
 * VARVE_CRASH_SCALE multiplies the number of programs.
 */

import { afterAll, expect, it } from 'vitest';
import { memoryFileSystem } from '../../../src/index.ts';
import { crashScale } from '../../support/crash-scale.ts';
import { SimulatedDisk } from '../../support/disks/simulated-disk.ts';
import { StreamTrial } from './stream-trial.ts';

const counts = new Map<string, number>();

function noted(trial: StreamTrial): void {
  for (const [what, count] of trial.counts) counts.set(what, (counts.get(what) ?? 0) + count);
}

it.each(Array.from({ length: 30 * crashScale }, (_, at) => at + 1))(
  'program %i reads what the model has, whatever is in flight',
  async (seed) => {
    const trial = new StreamTrial(seed, memoryFileSystem());
    await trial.run(200);
    noted(trial);
  },
);

it.each(Array.from({ length: 30 * crashScale }, (_, at) => at + 1))(
  'program %i loses only what a refused call was for',
  async (seed) => {
    const disk = new SimulatedDisk({ seed, records: false });
    let writes = 0;
    let reads = 0;
    const trial = new StreamTrial(seed, disk, true);
    disk.faultOf = ({ kind }) => {
      if (!trial.isOpen || kind !== 'write' || ++writes % 23 !== seed % 23) return undefined;
      return { kind: 'error', code: seed % 2 === 0 ? 'EIO' : 'EDQUOT' };
    };
    disk.readFaultOf = ({ kind }) => {
      if (!trial.isOpen || kind !== 'read' || ++reads % 41 !== seed % 41) return undefined;
      return { kind: 'error', code: 'EIO' };
    };
    await trial.run(130);
    noted(trial);
  },
);

afterAll(() => {
  for (const what of [
    'push',
    'read',
    'gone',
    'stopped',
    'withdrawn',
    'adopted',
    'VARVE_BUSY',
    'reader read',
    'reader gone',
  ]) {
    expect([what, counts.get(what) ?? 0]).not.toEqual([what, 0]);
  }
  console.log(Object.fromEntries(counts));
});
