/**
 * Either copy of the file header, with the log, gives the present: after every sync of every history
 * one copy is lost, the newer or the older, and opening finds everything that was acknowledged.
 */

import { afterAll, describe, expect, it, vi } from 'vitest';
import { headerCopies, pageBytes, sectorBytes } from '../../../src/format/layout.ts';
import { crashScale, ticking } from '../../support/crash-scale.ts';
import type { DiskImage } from '../../support/disks/disk-image.ts';
import { restarted } from '../../support/disks/disk-state.ts';
import { headersOf } from '../../support/disks/named-ranges.ts';
import { SimulatedDisk } from '../../support/disks/simulated-disk.ts';
import { type History, histories } from '../../support/lives/histories.ts';
import { Life } from '../../support/lives/life.ts';
import { acknowledgedBefore, reopened } from '../../support/lives/trial.ts';
import { documentsThatMove, placesThatChange, settleOverCommits } from './settle-histories.ts';

let tried = 0;

/** The disk with one copy of the header overwritten: by zeros, or by what is no header. */
function withoutCopy(durable: DiskImage, copy: number, byte: number): DiskImage {
  const editor = durable.edit();
  editor.write(new Uint8Array(sectorBytes).fill(byte), copy * pageBytes);
  return editor.image();
}

async function loseCopies(history: History, stride: number): Promise<number> {
  const life = new Life(new SimulatedDisk(), history.settings);
  await history.run(life);
  const before = tried;
  let last: DiskImage | undefined;
  let syncs = 0;
  for (const [at, { durable }] of [...life.disk.before, life.disk.state].entries()) {
    if (durable === last) continue;
    last = durable;
    syncs += 1;
    const written = headersOf(durable).every((header) => header !== undefined);
    if (!written || life.aside.has(at) || syncs % stride !== 0) continue;
    for (let copy = 0; copy < headerCopies; copy++) {
      tried += 1;
      const state = restarted(withoutCopy(durable, copy, (at % 2) * 0xff));
      try {
        await reopened(state, life, acknowledgedBefore(life, at - 1));
      } catch (error) {
        const place = `copy ${copy} is lost at operation ${at} of '${history.name}'`;
        throw new Error(`${place}: ${error}`, { cause: error });
      }
    }
  }
  return tried - before;
}

/** Histories with many syncs, or whose stores take long to look through. */
const strides = new Map([
  ['roll-over of the commit log', 5],
  ['settle in chunks', 4],
  [settleOverCommits.name, 3],
]);

describe('no durable batch is lost with one copy of the file header, after any sync of', () => {
  ticking(vi);

  const all = [...histories, settleOverCommits, documentsThatMove, placesThatChange];

  it.each(all.map((history) => [history.name, history] as const))('%s', async (_, history) => {
    const stride = Math.ceil((strides.get(history.name) ?? 1) / crashScale);
    expect(await loseCopies(history, stride)).toBeGreaterThan(0);
  });

  afterAll(() => {
    console.log(`copies of the file header lost: ${tried}`);
  });
});
