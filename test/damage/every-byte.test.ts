/**
 * Every byte of the used pages damaged, one at a time, of a store that was closed and of one that
 * was not: right bytes, or an error with the place.
 *
 * And what nobody notices is in bytes that mean nothing: those that no piece of the anatomy has.
 * VARVE_DAMAGE_SCALE tries more of the bytes that are alike.
 */

import { afterAll, describe, expect, it } from 'vitest';
import { pageBytes } from '../../src/format/layout.ts';
import { Random } from '../support/random.ts';
import type { Piece, PieceKind, Range } from './anatomy.ts';
import { type Outcome, type Patient, tryDamage, wasNoticed } from './damage-trial.ts';
import { damageScale, patience, strideOf } from './scale.ts';
import type { SpecimenKind } from './specimens.ts';
import { patientOf } from './wounds.ts';

let tried = 0;

/** Of bytes that are alike, after the first so many, one in so many is tried. */
const strides: Readonly<Record<PieceKind, { readonly dense: number; readonly stride: number }>> = {
  header: { dense: 128, stride: 6 },
  root: { dense: 200, stride: 1 },
  basin: { dense: 400, stride: 1 },
  'map head': { dense: 96, stride: 48 },
  'mark page': { dense: 96, stride: 48 },
  record: { dense: 64, stride: 16 },
  value: { dense: 9, stride: 64 },
};

function chosenOf({ kind, ranges }: Piece, random: Random): number[] {
  const chosen: number[] = [];
  const stride = strideOf(strides[kind].stride);
  for (const { from, to } of ranges) {
    for (let at = from; at < to; ) {
      chosen.push(at);
      const isDense = stride === 1 || at < from + strides[kind].dense;
      at += isDense ? 1 : 1 + random.below(2 * stride - 1);
    }
  }
  return chosen;
}

/** Bytes that no piece has: of the unnamed slots, of the log, and between the values. */
function meaninglessOf({ anatomy, specimen }: Patient, count: number, random: Random): number[] {
  const { pieces, slots, log } = anatomy;
  const means = new Uint8Array(specimen.bytes.length);
  for (const { ranges } of pieces) for (const { from, to } of ranges) means.fill(1, from, to);
  const ends = pieces.flatMap(({ ranges }) => ranges.map(({ to }) => ({ from: to, to: to + 24 })));
  const places = [slots, log, ends, [{ from: 0, to: 2 * pageBytes }]];
  const chosen = new Set<number>();
  for (let tries = 0; tries < count; tries++) {
    const ranges = places[tries % places.length] as readonly Range[];
    const { from, to } = ranges[random.below(ranges.length)] as Range;
    const at = from + random.below(to - from);
    if (at < means.length && means[at] === 0) chosen.add(at);
  }
  return [...chosen];
}

async function tryByte(patient: Patient, at: number, mask: number): Promise<Outcome> {
  const { bytes } = patient.specimen;
  tried += 1;
  bytes[at] = (bytes[at] as number) ^ mask;
  try {
    const depth = tried % strideOf(50) === 0 ? 'deep' : 'quick';
    return await tryDamage(patient, { ranges: [{ from: at, to: at + 1 }] }, depth);
  } catch (error) {
    throw new Error(`byte ${at} with ${mask.toString(16)}: ${error}`, { cause: error });
  } finally {
    bytes[at] = (bytes[at] as number) ^ mask;
  }
}

/** What the spec says of a damage there; undefined where the log and the twin decide. */
function toBeSeen(patient: Patient, piece: Piece, at: number): keyof typeof seen | undefined {
  const { specimen, anatomy } = patient;
  const isLast = !specimen.closed && piece.batch === specimen.expected.current.batch;
  switch (piece.kind) {
    case 'header':
      return 'healed';
    case 'root':
      return 'refused';
    case 'value':
      return isLast ? 'takenBack' : 'failed';
    case 'record': {
      if ((piece.batch as number) <= anatomy.base) return 'logError';
      // Its first sector is rotten; with others it is not whole.
      const isFirst = at < (piece.ranges[0]?.to as number);
      return isLast && !isFirst ? 'takenBack' : 'refused';
    }
    default:
      return undefined;
  }
}

const seen = {
  healed: ({ healed }: Outcome): boolean => healed.length === 1,
  refused: ({ refused }: Outcome): boolean => refused?.code === 'VARVE_CORRUPT',
  takenBack: ({ takenBack }: Outcome): boolean => takenBack,
  failed: ({ failed }: Outcome): boolean => failed.size === 1,
  logError: ({ logError }: Outcome): boolean => logError !== undefined,
};

const masks = [0xff, 0x01, 0x80, 0x10] as const;

/** More of them where there is time for it. */
const kinds: readonly SpecimenKind[] = [
  { closed: true },
  { closed: false },
  { closed: false, carrying: true },
  ...(damageScale > 1
    ? [
        { closed: false, checkpoint: true },
        { closed: false, large: true },
        { closed: false, rolled: true },
      ]
    : []),
];

describe.each(kinds)('a store, %o', patience, (kind) => {
  it('never returns wrong bytes for a damaged byte that has a meaning, and reports it', async () => {
    const patient = await patientOf(kind);
    const random = new Random(1);
    const unnoticed: string[] = [];
    for (const piece of patient.anatomy.pieces) {
      for (const at of chosenOf(piece, random)) {
        const outcome = await tryByte(patient, at, masks[at % 4] as number);
        if (!wasNoticed(outcome)) unnoticed.push(`${piece.name}, byte ${at}`);
        const how = toBeSeen(patient, piece, at);
        if (how === undefined || seen[how](outcome)) continue;
        throw new Error(`${piece.name}, byte ${at}, is not seen to be ${how}`);
      }
    }
    expect(unnoticed).toEqual([]);
  });

  it('is the same store if a byte without meaning is damaged', async () => {
    const patient = await patientOf(kind);
    const { log } = patient.anatomy;
    let refused = 0;
    for (const at of meaninglessOf(patient, 320 * damageScale, new Random(2))) {
      const outcome = await tryByte(patient, at, masks[at % 4] as number);
      if (!wasNoticed(outcome)) continue;
      // What the log goes on with has to be blank: a record may have been there.
      refused += 1;
      expect(
        log.some(({ from, to }) => at >= from && at < to),
        `byte ${at}`,
      ).toBe(true);
      expect(outcome.refused, `byte ${at}`).toBeDefined();
    }
    expect(refused).toBeLessThan(20 * damageScale);
  });
});

afterAll(() => {
  console.log(`bytes damaged: ${tried}`);
});
