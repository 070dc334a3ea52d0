/**
 * The file cut short at each sector, and grown by zeros or by garbage: what is cut off is missed,
 * what is added means nothing.
 *
 * An empty file alone counts as a creation that was cut, as the contract says: it is not found.
 */

import { afterAll, describe, expect, it } from 'vitest';
import { pageBytes, sectorBytes } from '../../src/format/layout.ts';
import { patternOf } from '../support/bytes.ts';
import { GivenFile } from '../support/disks/given-file.ts';
import { openOn } from './damage-trial.ts';
import { patience, strideOf } from './scale.ts';
import { Campaign, patientOf } from './wounds.ts';

const reports: string[] = [];

async function cutAt(campaign: Campaign, length: number): Promise<void> {
  const { bytes, tried } = campaign;
  const damage = { ranges: [{ from: length, to: bytes.length }], bytes: bytes.subarray(0, length) };
  await campaign.suffer(`cut to ${length} bytes`, damage, {
    deep: tried % strideOf(40) === 0,
    liveOn: tried % strideOf(20) === 0,
    readOnly: tried % strideOf(60) === 0,
  });
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

const kinds = [
  { closed: true },
  { closed: false },
  { closed: false, large: true },
  { closed: false, checkpoint: true },
  { closed: false, carrying: true },
];

describe.each(kinds)('a store, %o', patience, (kind) => {
  it('reports every value that a truncation at any sector removed', async () => {
    const campaign = new Campaign(await patientOf(kind));
    const stride = strideOf(kind.large ? 8 : 3) * sectorBytes;
    const { pieces } = campaign.patient.anatomy;
    const ends = pieces.flatMap(({ ranges }) => ranges.flatMap(({ from, to }) => [from, to]));
    const edges = new Set(ends.map((at) => Math.ceil(at / sectorBytes) * sectorBytes));
    for (let length = sectorBytes; length < campaign.bytes.length; length += sectorBytes) {
      if (length % stride === 0 || edges.has(length)) await cutAt(campaign, length);
    }
    expect(campaign.refused).toBeGreaterThan(0);
    expect(campaign.unnoticed).toBeGreaterThan(0);
    reports.push(campaign.report());
  });

  it('is the same store if the file has grown', async () => {
    const campaign = new Campaign(await patientOf(kind));
    const { bytes } = campaign;
    for (const length of [1, sectorBytes, pageBytes, 200_000]) {
      for (const added of [new Uint8Array(length), patternOf(length), bytes.slice(0, length)]) {
        const ranges = [{ from: bytes.length, to: bytes.length + added.length }];
        const depth = { deep: true, liveOn: true, readOnly: true };
        const damage = { ranges, bytes: joined(bytes, added) };
        await campaign.suffer(`${length} bytes more`, damage, depth);
      }
    }
    expect(campaign.unnoticed).toBe(campaign.tried);
    reports.push(campaign.report());
  });
});

it('a store is not found if nothing of the file is left', async () => {
  const disk = new GivenFile(new Uint8Array(0));
  for (const readOnly of [false, true]) {
    await expect(openOn(disk, { readOnly })).rejects.toMatchObject({ code: 'VARVE_NOT_FOUND' });
  }
  expect(disk.changes).toBe(0);
});

afterAll(() => {
  console.log(reports.join('\n'));
});
