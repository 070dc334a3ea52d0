/**
 * Whole sectors and pages damaged: zeroed, filled with 0xFF, with something else's right bytes; and
 * values of one length that have changed places.
 *
 * VARVE_DAMAGE_SCALE tries more of the free grains, and looks at more of them in every way.
 */

import { afterAll, describe, expect, it } from 'vitest';
import { magic, pageBytes, sectorBytes } from '../../src/format/layout.ts';
import type { Piece, Range } from './anatomy.ts';
import type { Patient } from './damage-trial.ts';
import { patience, strideOf } from './scale.ts';
import type { SpecimenKind } from './specimens.ts';
import { Campaign, type Depth, patientOf } from './wounds.ts';

const reports: string[] = [];

/** Stretches of `unit` bytes: those with anything in them, and some of the others. */
function* stretches({ specimen, anatomy }: Patient, unit: number): Generator<number> {
  const { pieces, slots, log } = anatomy;
  const used = [...pieces.flatMap(({ ranges }) => ranges), ...slots];
  const meets = (ranges: readonly Range[], at: number): boolean =>
    ranges.some(({ from, to }) => from < at + unit && to > at);
  for (let at = 0, others = 0; at < specimen.bytes.length; at += unit) {
    const isUsed = meets(used, at);
    if (!isUsed) others += 1;
    if (isUsed || others % strideOf(meets(log, at) ? 4 : 30) === 0) yield at;
  }
}

/** Every so often more than a glance. */
function depthOf(tried: number): Depth {
  return {
    deep: tried % strideOf(13) === 0,
    readOnly: tried % strideOf(17) === 0,
    liveOn: tried % strideOf(19) === 0,
  };
}

async function fill(campaign: Campaign, unit: number, value: number): Promise<void> {
  const bytes = new Uint8Array(unit).fill(value);
  for (const at of stretches(campaign.patient, unit)) {
    const what = `${unit} bytes of ${value} at byte ${at}`;
    const depth = unit === pageBytes ? { deep: true, liveOn: true } : depthOf(campaign.tried);
    await campaign.patch(what, [{ at, bytes }], depth);
  }
}

function startOf({ ranges }: Piece): number {
  return ranges[0]?.from as number;
}

/** Everything that has just so many bytes, over everything else that has. */
async function misdirect(campaign: Campaign, places: readonly number[], unit: number) {
  const stride = strideOf(3);
  for (const [at, from] of places.entries()) {
    for (const to of places.filter((_, other) => (at + other) % stride === 0)) {
      const bytes = campaign.bytes.slice(from, from + unit);
      const what = `the ${unit} bytes at byte ${from} written to byte ${to}`;
      // The copies of the file header say the same.
      const alike = from <= pageBytes && to <= pageBytes;
      await campaign.patch(what, [{ at: to, bytes }], { alike, ...depthOf(campaign.tried) });
    }
  }
}

/** Pairs of values whose places have the same length, each pair once. */
function pairs(values: readonly Piece[]): [Piece, Piece][] {
  const found: [Piece, Piece][] = [];
  const lengthOf = ({ ranges }: Piece) => ranges.map(({ from, to }) => to - from).join();
  for (const [at, one] of values.entries()) {
    for (const other of values.slice(at + 1)) {
      if (lengthOf(one) === lengthOf(other)) found.push([one, other]);
    }
  }
  return found;
}

async function swap(campaign: Campaign, [one, other]: [Piece, Piece], depth: Depth) {
  const places = [one, other].map(startOf) as [number, number];
  const [first, second] = [one, other].map(({ ranges }) =>
    campaign.bytes.slice(ranges[0]?.from, ranges[0]?.to),
  ) as [Uint8Array, Uint8Array];
  const patches = [
    { at: places[0], bytes: second },
    { at: places[1], bytes: first },
  ];
  const outcome = await campaign.patch(`${one.name} and ${other.name} swapped`, patches, depth);
  if (outcome?.takenBack !== false) return;
  expect([...outcome.failed.keys()].sort()).toEqual([one.id, other.id].sort());
}

const small: readonly SpecimenKind[] = [
  { closed: true },
  { closed: false },
  { closed: true, carrying: true },
  { closed: false, carrying: true },
];

describe.each(small)('a small store, %o', patience, (kind) => {
  it.each([
    ['page zeroed', pageBytes, 0],
    ['sector zeroed', sectorBytes, 0],
    ['sector filled with 0xff', sectorBytes, 0xff],
  ])('returns right bytes or reports the damage, with each %s', async (_, unit, value) => {
    const campaign = new Campaign(await patientOf(kind));
    await fill(campaign, unit, value);
    expect(campaign.tried).toBeGreaterThan(20);
    reports.push(campaign.report());
  });
});

describe.each([true, false])('a small store, closed: %s', patience, (closed) => {
  it('is refused, and not written to, if both header copies have the same damage', async () => {
    const campaign = new Campaign(await patientOf({ closed }));
    const { bytes } = campaign;
    for (let at = 0; at < sectorBytes; at += at < 110 ? 1 : strideOf(10)) {
      const patches = [at, pageBytes + at].map((place) => ({
        at: place,
        bytes: Uint8Array.of((bytes[place] as number) ^ 0x24),
      }));
      const outcome = await campaign.patch(`both bytes ${at}`, patches, { readOnly: at % 9 === 0 });
      const isMagic = at < magic.length;
      expect(outcome?.refused?.code).toBe(isMagic ? 'VARVE_NOT_A_STORE' : 'VARVE_CORRUPT');
    }
    const zeros = [0, pageBytes].map((at) => ({ at, bytes: new Uint8Array(pageBytes) }));
    const outcome = await campaign.patch('both header pages zeroed', zeros, { readOnly: true });
    expect(outcome?.refused?.code).toBe('VARVE_NOT_A_STORE');
    reports.push(campaign.report());
  });

  it('returns right bytes or reports the damage if two values have changed places', async () => {
    const campaign = new Campaign(await patientOf({ closed }));
    const values = campaign.patient.anatomy.pieces.filter(({ kind }) => kind === 'value');
    for (const [at, pair] of pairs(values).entries()) await swap(campaign, pair, depthOf(at));
    expect(campaign.tried).toBeGreaterThan(20);
    reports.push(campaign.report());
  });
});

describe.each([true, false])('a larger store, closed: %s', patience, (closed) => {
  it('returns right bytes or reports the damage with each page filled with 0xff', async () => {
    const campaign = new Campaign(await patientOf({ closed, large: true }));
    const { pieces } = campaign.patient.anatomy;
    const bytes = new Uint8Array(pageBytes).fill(0xff);
    const starts = pieces.flatMap(({ ranges }) => ranges.map(({ from }) => from));
    for (const page of new Set(starts.map((at) => at - (at % pageBytes)))) {
      const what = `page at byte ${page} filled with 0xff`;
      await campaign.patch(what, [{ at: page, bytes }], { ...depthOf(campaign.tried), deep: true });
    }
    expect(campaign.tried).toBeGreaterThan(20);
    reports.push(campaign.report());
  });

  it('returns right bytes or reports the damage if two values have changed places', async () => {
    const campaign = new Campaign(await patientOf({ closed, large: true }));
    const values = campaign.patient.anatomy.pieces.filter(({ kind }) => kind === 'value');
    const found = pairs(values);
    const stride = strideOf(Math.ceil(found.length / 60));
    for (const [at, pair] of found.entries()) {
      if (at % stride === 0) await swap(campaign, pair, depthOf(at / stride));
    }
    reports.push(campaign.report());
  });

  it('returns right bytes or reports the damage if a page went to another place', async () => {
    const campaign = new Campaign(await patientOf({ closed, large: true }));
    const { slots } = campaign.patient.anatomy;
    const pages = slots.flatMap(({ from, to }) =>
      to - from === 2 * pageBytes ? [from, from + pageBytes] : [],
    );
    await misdirect(campaign, [0, pageBytes, ...pages], pageBytes);
    reports.push(campaign.report());
  });

  it('returns right bytes or reports the damage if a log sector went to another place', async () => {
    const campaign = new Campaign(await patientOf({ closed, large: true }));
    const sectors = campaign.patient.anatomy.pieces
      .filter(({ kind }) => kind === 'record')
      .flatMap(({ ranges }) => ranges.map(({ from }) => from))
      .slice(-9);
    // Where the next record would be.
    const ends = sectors.slice(-3).map((at) => at + sectorBytes);
    await misdirect(campaign, [0, ...new Set([...sectors, ...ends])], sectorBytes);
    reports.push(campaign.report());
  });
});

describe.each(small)('a log of two segments, %o', patience, (kind) => {
  it.each([
    ['page zeroed', pageBytes, 0],
    ['sector zeroed', sectorBytes, 0],
    ['sector filled with 0xff', sectorBytes, 0xff],
  ])('is read correctly or reported as damaged, with each %s', async (_, unit, value) => {
    const campaign = new Campaign(await patientOf({ ...kind, rolled: true }));
    const { log, base } = campaign.patient.anatomy;
    const bytes = new Uint8Array(unit).fill(value);
    const unsettled = campaign.patient.anatomy.pieces.filter(({ batch }) => (batch ?? 0) > base);
    const ends = [...unsettled.map(startOf), ...log.map(({ from }) => from)];
    const isNear = (at: number) => ends.some((end) => Math.abs(end - at) < pageBytes);
    for (const { from, to } of log) {
      for (let at = from; at < to; at += unit) {
        if (!isNear(at) && (at / unit) % strideOf(20) > 0) continue;
        const what = `${unit} bytes of ${value} at byte ${at}`;
        await campaign.patch(what, [{ at, bytes }], depthOf(campaign.tried));
      }
    }
    expect(campaign.tried).toBeGreaterThan(1);
    reports.push(campaign.report());
  });
});

afterAll(() => {
  console.log(reports.join('\n'));
});
