/**
 * Which copy of the file header is believed: of two sound ones that with the higher generation, in
 * whichever place it is; of one that is damaged the other, which says so.
 */

import { describe, expect, it } from 'vitest';
import { encodeFileHeader, type FileHeader } from '../../../src/format/file-header.ts';
import { newStorePages, pageBytes, sectorBytes } from '../../../src/format/layout.ts';
import { memoryFileSystem } from '../../../src/index.ts';
import { FileReader } from '../../../src/store/file/file-reader.ts';
import { chooseHeader, type HeaderChoice } from '../../../src/store/open/header-choice.ts';

const older: FileHeader = {
  salt: Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8]),
  generation: 6,
  epoch: 2,
  clean: false,
  base: 3,
  confirmed: 5,
  checkpoint: 0,
  embeddedHeader: 0n,
  root: { page: 40, capacityPages: 1, generation: 2, length: 100, crc: 7 },
  retainedLogBytes: 0,
  laneSectors: [16, 80],
  segments: [{ page: 2, pages: 16 }],
};
const newer: FileHeader = { ...older, generation: 7, confirmed: 8 };
const damaged = new Uint8Array(sectorBytes);
damaged.set(encodeFileHeader(newer));
damaged[100] = 0x55;

async function chosen(...sectors: readonly Uint8Array[]): Promise<HeaderChoice | undefined> {
  const options = { create: true, exclusive: false, readOnly: false };
  const file = await memoryFileSystem().open('store', options);
  file.truncateSync(newStorePages * pageBytes);
  for (const [copy, sector] of sectors.entries()) file.writeSync([sector], copy * pageBytes);
  return chooseHeader(new FileReader(file, 'store'));
}

describe('the choice between two copies of the file header', () => {
  it('takes the one with the higher generation, in either place', async () => {
    const [low, high] = [encodeFileHeader(older), encodeFileHeader(newer)];
    expect(await chosen(low, high)).toMatchObject({ copy: 1, header: newer, other: older });
    expect(await chosen(high, low)).toMatchObject({ copy: 0, header: newer, other: older });
  });

  it('finds that copies that differ in more than generation and confirmed batch do not agree', async () => {
    const high = encodeFileHeader(newer);
    expect(await chosen(encodeFileHeader(older), high)).toMatchObject({ agreed: true });
    const other = encodeFileHeader({ ...older, epoch: 1 });
    expect(await chosen(other, high)).toMatchObject({ agreed: false, header: newer });
  });

  it('takes the other if one is damaged, and reports the damage', async () => {
    for (const copy of [0, 1]) {
      const sectors =
        copy === 0 ? [damaged, encodeFileHeader(older)] : [encodeFileHeader(older), damaged];
      const choice = await chosen(...sectors);
      expect(choice).toMatchObject({ copy: 1 - copy, header: older, other: undefined });
      expect(choice?.healed).toEqual([expect.stringContaining(`copy ${copy} of the file header`)]);
    }
  });

  it('takes a blank one for damage unless it is copy 1 and creation was cut before it', async () => {
    const blank = new Uint8Array(sectorBytes);
    const copyOf = (generation: number) => encodeFileHeader({ ...older, generation });
    expect((await chosen(copyOf(1), blank))?.healed).toEqual([]);
    for (const sectors of [
      [blank, copyOf(1)],
      [blank, copyOf(2)],
      [copyOf(2), blank],
    ]) {
      expect((await chosen(...sectors))?.healed).toEqual([expect.stringContaining('was damaged')]);
    }
  });

  it('refuses copies of different files as VARVE_CORRUPT', async () => {
    const foreign = encodeFileHeader({ ...newer, salt: new Uint8Array(8).fill(9) });
    await expect(chosen(encodeFileHeader(older), foreign)).rejects.toMatchObject({
      code: 'VARVE_CORRUPT',
    });
  });
});
