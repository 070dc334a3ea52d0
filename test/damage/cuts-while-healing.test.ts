/**
 * The power is cut while what was made good is being written: at each write of the opening that made
 * it good, and of the close that writes it anew.
 *
 * Whatever was acknowledged is there after it, made good once more where it has to be.
 */

import { afterAll, describe, expect, it } from 'vitest';
import { pageBytes } from '../../src/format/layout.ts';
import { defaultLimits } from '../../src/store/grains/atlas.ts';
import { checkOptions } from '../../src/store/open/store-options.ts';
import { openStore } from '../../src/store/store.ts';
import { patternOf } from '../support/bytes.ts';
import { DiskImage } from '../support/disks/disk-image.ts';
import { type DiskState, powerCut, restarted } from '../support/disks/disk-state.ts';
import { SimulatedDisk } from '../support/disks/simulated-disk.ts';
import { Random } from '../support/random.ts';
import type { Piece } from './anatomy.ts';
import { type Damage, type Patient, Trial } from './damage-trial.ts';
import { damageScale, patience } from './scale.ts';
import { Campaign, patientOf } from './wounds.ts';

let cuts = 0;

function diskOf(bytes: Uint8Array): SimulatedDisk {
  const pages = new Map<number, Uint8Array>();
  for (let at = 0; at < bytes.length; at += pageBytes) {
    pages.set(at / pageBytes, bytes.slice(at, at + pageBytes));
  }
  return new SimulatedDisk({ state: restarted(new DiskImage(pages, bytes.length)) });
}

/** Opens the file that a cut has left: everything is there. */
async function survives(patient: Patient, damage: Damage, image: DiskImage): Promise<void> {
  const bytes = new Uint8Array(image.length);
  image.read(bytes, 0);
  cuts += 1;
  const trial = new Trial(patient, { ...damage, bytes });
  const store = await trial.open();
  if (store === undefined) throw new Error('it is refused', { cause: trial.outcome.refused });
  await trial.examine(store);
  if (trial.outcome.failed.size + Number(trial.outcome.takenBack) === 0) return;
  throw new Error('something is not there any more');
}

async function cutAt(patient: Patient, damage: Damage, states: readonly DiskState[]) {
  const random = new Random(3);
  for (const state of states) {
    await survives(
      patient,
      damage,
      powerCut(state, () => true),
    );
    await survives(
      patient,
      damage,
      powerCut(state, () => false),
    );
    for (let seed = 0; seed < damageScale; seed++) {
      const image = powerCut(state, () => random.chance(0.5));
      await survives(patient, damage, image);
    }
  }
}

async function healAndCut(campaign: Campaign, damage: Damage & { bytes: Uint8Array }) {
  const { specimen } = campaign.patient;
  const disk = diskOf(damage.bytes);
  const options = { fileSystem: disk, cacheBytes: 0 };
  const store = await openStore(checkOptions('healing', options, defaultLimits));
  const opened = [...disk.before, disk.state];
  await cutAt(campaign.patient, damage, opened);
  for (const id of specimen.ids) store.get(id);
  expect(store.recovery.healed).toHaveLength(1);
  const data = patternOf(50, 3);
  const { id, batch } = await store.put(data);
  const later = specimen.expected.upTo(specimen.expected.current.batch);
  later.add(batch, { operations: [{ operation: 'allocate', id, bytes: data }] });
  const from = disk.before.length;
  await store.close();
  const ids = [...specimen.ids, id];
  const patient = { ...campaign.patient, specimen: { ...specimen, expected: later, ids } };
  await cutAt(patient, damage, [...disk.before.slice(from), disk.state]);
}

/** The smaller ones first: all of them have a twin. */
function isHealable({ kind, twin }: Piece, checkpoint: number): boolean {
  return kind !== 'root' && (kind === 'header' || (twin?.stamp ?? -1) >= checkpoint);
}

describe.each([{ closed: true }, { closed: false }, { closed: false, carrying: true }])(
  'a store, %o,',
  patience,
  (kind) => {
    it('keeps everything if the power is cut during healing', async () => {
      const campaign = new Campaign(await patientOf(kind));
      const { pieces, checkpoint } = campaign.patient.anatomy;
      const structures = pieces.filter(({ kind }) => kind !== 'record' && kind !== 'value');
      for (const piece of structures.filter((one) => isHealable(one, checkpoint))) {
        const bytes = campaign.bytes.slice();
        for (const { from, to } of piece.ranges) bytes.fill(0xa5, from, to);
        await healAndCut(campaign, { ranges: piece.ranges, bytes });
      }
    });
  },
);

afterAll(() => {
  console.log(`power cuts while a store is made good: ${cuts}`);
});
