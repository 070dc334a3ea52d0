/**
 * Every structure that has a twin: damaged, it is made good, and opening or the first access says
 * so, just where the twin is whole and the log since is kept; else it is corruption with the place.
 *
 * What was made good stays good: over a close, and over a process that ends without one.
 */

import { afterAll, describe, expect, it } from 'vitest';
import { sectorBytes } from '../../src/format/layout.ts';
import { expectSameBytes, patternOf } from '../support/bytes.ts';
import { GivenFile } from '../support/disks/given-file.ts';
import { check } from '../support/fixtures/store-checks.ts';
import type { Piece, Range } from './anatomy.ts';
import { type Damage, type Outcome, openOn, Trial } from './damage-trial.ts';
import { patience, strideOf } from './scale.ts';
import type { SpecimenKind } from './specimens.ts';
import { Campaign, patientOf } from './wounds.ts';

const reports: string[] = [];

const kinds: readonly SpecimenKind[] = [
  { closed: true },
  { closed: false },
  { closed: true, large: true },
  { closed: true, checkpoint: true },
  { closed: false, checkpoint: true },
  { closed: false, large: true, checkpoint: true },
  { closed: false, carrying: true },
  { closed: true, compacted: true },
  { closed: false, compacted: true },
  { closed: false, carrying: true, compacted: true },
];

/** Ways to damage it: its kind, its CRC, its place, its middle, its end, all of it. */
function* woundsOf(
  { ranges }: Piece,
  file: Uint8Array,
): Generator<{ at: number; bytes: Uint8Array }> {
  const { from, to } = ranges[0] as { from: number; to: number };
  for (const within of [0, 4, 8, 12, 16, 22, 28, Math.floor((to - from) / 2), to - from - 1]) {
    yield { at: from + within, bytes: Uint8Array.of((file[from + within] as number) ^ 0x55) };
  }
  yield { at: from, bytes: new Uint8Array(to - from) };
  yield { at: from, bytes: new Uint8Array(to - from).fill(0xff) };
}

/** By the letter of the spec. */
function canHeal({ kind, twin }: Piece, checkpoint: number): boolean {
  if (kind === 'header') return true;
  return kind !== 'root' && twin !== undefined && twin.stamp >= checkpoint;
}

function expectHealed(piece: Piece, outcome: Outcome): void {
  const from = piece.ranges[0]?.from;
  expect(outcome.healed.join(), piece.name).toContain(`at byte ${from}, was damaged`);
  expect(outcome.failed.size + Number(outcome.takenBack), piece.name).toBe(0);
  expect([outcome.refused, outcome.logError], piece.name).toEqual([undefined, undefined]);
}

function expectCorrupt(
  { name, kind }: Piece,
  { refused, failed, healed, findings }: Outcome,
): void {
  expect(healed, name).toEqual([]);
  const said = [refused, ...failed.values()].filter((error) => error !== undefined);
  expect(said.length, name).toBeGreaterThan(0);
  for (const error of said) expect(error.code).toBe('VARVE_CORRUPT');
  if (kind === 'root' || kind === 'basin') expect(refused, name).toBeDefined();
  if (refused === undefined) expect(findings.length, name).toBeGreaterThan(0);
}

/** A commit, and the process ends: what was made good is so again, and once more after a close. */
async function dieAndReturn(campaign: Campaign, damage: Damage): Promise<void> {
  const { patient } = campaign;
  const trial = new Trial(patient, damage);
  const store = await trial.open();
  if (store === undefined) throw new Error('it was healed before');
  const died = await trial.goOn(store, 'die');
  const again = await died.open();
  if (again === undefined) throw new Error('after the end of the process it is refused');
  await died.examine(again);
  expect(died.outcome.failed.size).toBe(0);
  const closed = await died.goOn(again, 'close');
  const sound = await closed.open();
  if (sound === undefined) throw new Error('after the close it is refused');
  await closed.examine(sound);
  const { failed, healed, findings, logError } = closed.outcome;
  expect([failed.size, healed, findings, logError]).toEqual([0, [], [], undefined]);
}

describe.each(kinds)('a store, %o', patience, (kind) => {
  it('heals structures that have a twin and a log; all others are corrupt', async () => {
    const campaign = new Campaign(await patientOf(kind));
    const { pieces, checkpoint } = campaign.patient.anatomy;
    const structures = pieces.filter(({ kind: one }) => one !== 'record' && one !== 'value');
    const healable = structures.filter((piece) => canHeal(piece, checkpoint));
    expect(structures.map((piece) => piece.kind)).toEqual(
      expect.arrayContaining(['header', 'root', 'basin', 'map head', 'mark page']),
    );
    for (const piece of structures) {
      const wounds = [...woundsOf(piece, campaign.bytes)];
      for (const [at, wound] of wounds.entries()) {
        // The first and the last of them all the way.
        const all = at === 0 || at === wounds.length - 1;
        if (!all && !kinds.slice(0, 2).includes(kind) && at % strideOf(3) > 0) continue;
        const depth = { deep: true, readOnly: all, liveOn: all || at % strideOf(4) === 0 };
        const outcome = await campaign.patch(`a wound of ${piece.name}`, [wound], depth);
        if (outcome === undefined) continue;
        if (healable.includes(piece)) expectHealed(piece, outcome);
        else expectCorrupt(piece, outcome);
      }
    }
    reports.push(`${healable.length} of ${structures.length} structures; ${campaign.report()}`);
  });

  it('keeps structures healed, though the process ends', async () => {
    const campaign = new Campaign(await patientOf(kind));
    const { pieces, checkpoint } = campaign.patient.anatomy;
    for (const piece of pieces) {
      if (piece.kind === 'record' || piece.kind === 'value' || !canHeal(piece, checkpoint))
        continue;
      const bytes = campaign.bytes.slice();
      const ranges = piece.ranges.slice(0, 1);
      for (const { from, to } of ranges) bytes.fill(0xa5, from, to);
      await dieAndReturn(campaign, { ranges, bytes });
    }
  });
});

describe.each([true, false])('a larger store, closed: %s', patience, (closed) => {
  it('heals a structure that is first read after another settle', async () => {
    const campaign = new Campaign(await patientOf({ closed, large: true }));
    const { specimen, anatomy } = campaign.patient;
    const marks = anatomy.pieces.filter((piece) => piece.kind === 'mark page');
    let late = 0;
    for (const piece of marks.filter((one) => canHeal(one, anatomy.checkpoint))) {
      const disk = new GivenFile(campaign.bytes.slice());
      const { from, to } = piece.ranges[0] as Range;
      disk.writeSync([new Uint8Array(to - from).fill(0xa5)], from);
      const store = await openOn(disk, { settleBytes: sectorBytes });
      late += Number(store.recovery.healed.length === 0);
      for (let at = 0; at < 12; at++) await store.put(patternOf(20, at));
      for (const [id, { bytes }] of specimen.expected.current.values) {
        expectSameBytes(store.get(id) as Uint8Array, bytes);
      }
      expect(store.recovery.healed.join()).toContain(`at byte ${from}, was damaged`);
      await store.close();
      const sound = await openOn(disk);
      await check.sound(sound);
      for (const [id, { bytes }] of specimen.expected.current.values) {
        expectSameBytes(sound.get(id) as Uint8Array, bytes);
      }
    }
    expect(late).toBeGreaterThan(0);
  });
});

afterAll(() => {
  console.log(reports.join('\n'));
});
