/**
 * The two header copies against a disk of two sectors: a write goes to the copy that lags, the
 * other stays, and a change counts as made when both are durable with it.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { noDocument } from '../../../src/format/document.ts';
import { decodeFileHeader, type FileHeader } from '../../../src/format/file-header.ts';
import { pageBytes } from '../../../src/format/layout.ts';
import type { FileWrite } from '../../../src/store/file/effects.ts';
import {
  type HeaderContent,
  HeaderCopies,
  type SettledState,
} from '../../../src/store/settle/header-copies.ts';

const salt = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]);
const settled: SettledState = {
  base: 0,
  checkpoint: 0,
  embeddedHeader: 0n,
  root: noDocument,
  retainedLogBytes: 0,
  laneSectors: [16, 80],
};
const content: HeaderContent = {
  settled,
  segments: [{ page: 2, pages: 16 }],
  epoch: 1,
  clean: false,
};

function headerIn(write: FileWrite): FileHeader {
  const copy = decodeFileHeader(write.chunks[0] as Uint8Array, write.offset);
  expect(copy.state).toBe('valid');
  return (copy as { header: FileHeader }).header;
}

/** What each copy may say after a power cut: one header, or one of two while a write is unsure. */
type Sector = readonly FileHeader[];

const command = fc.constantFrom('change', 'plan', 'plan', 'fail', 'sync');

describe('header copies', () => {
  it('leave a copy that has the newest durable content alone, whatever fails when', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
        const copies = new HeaderCopies(salt, content, [5, 6]);
        const { segments, clean } = content;
        const said = { ...settled, segments, clean, salt, epoch: 1, confirmed: 0 };
        const disk: [Sector, Sector] = [[{ ...said, generation: 5 }], [{ ...said, generation: 6 }]];
        let epoch = 1;
        let pending: { copy: number; header: FileHeader } | undefined;
        let generation = 6;
        for (const one of commands) {
          if (one === 'change') {
            epoch += 1;
            copies.change({ epoch });
          } else if (one === 'plan') {
            const write = copies.plan(epoch * 10);
            const wanted = pending === undefined && !copies.agreed;
            expect(write !== undefined).toBe(wanted);
            if (write === undefined) continue;
            const header = headerIn(write);
            expect(header).toMatchObject({ epoch, confirmed: epoch * 10, salt });
            expect(header.generation).toBeGreaterThan(generation);
            generation = header.generation;
            const copy = write.offset / 4096;
            // The other one is sure, and no older than the one that is given up.
            const other = disk[1 - copy] as Sector;
            expect(other.length).toBe(1);
            const oldest = Math.min(...(disk[copy] as Sector).map((one) => one.epoch));
            expect((other[0] as FileHeader).epoch).toBeGreaterThanOrEqual(oldest);
            disk[copy] = [...(disk[copy] as Sector), header];
            pending = { copy, header };
          } else if (one === 'sync') {
            copies.synced();
            if (pending !== undefined) disk[pending.copy] = [pending.header];
            pending = undefined;
          } else if (pending !== undefined) {
            copies.failed();
            pending = undefined;
          }
          const durable = disk.every((sector) => sector.length === 1 && sector[0]?.epoch === epoch);
          expect(copies.agreed).toBe(durable);
          expect(copies.content.epoch).toBe(epoch);
        }
        for (let round = 0; round < 4; round++) {
          copies.plan(0);
          copies.synced();
        }
        expect(copies.agreed).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it('write one copy, then the other, then none', () => {
    const copies = new HeaderCopies(salt, content, [2, 1]);
    expect(copies.plan(0)).toBe(undefined);
    copies.change({ clean: true });
    const offsets: (number | undefined)[] = [];
    for (let round = 0; round < 3; round++) {
      offsets.push(copies.plan(0)?.offset);
      copies.synced();
    }
    expect(offsets).toEqual([4096, 0, undefined]);
  });

  it.each([0, 1])('write copy %i first if it is in doubt, then the other, then none', (copy) => {
    const copies = new HeaderCopies(salt, content, [2, 1]);
    copies.doubt(copy);
    copies.change({ epoch: 2 });
    const offsets: (number | undefined)[] = [];
    for (let round = 0; round < 3; round++) {
      expect(copies.agreed).toBe(round > 1);
      offsets.push(copies.plan(0)?.offset);
      copies.synced();
    }
    expect(offsets).toEqual([copy * pageBytes, (1 - copy) * pageBytes, undefined]);
  });

  it('continue with the copy whose write failed', () => {
    const copies = new HeaderCopies(salt, content, [1, 2]);
    copies.change({ clean: true });
    for (let round = 0; round < 3; round++) {
      expect(copies.plan(0)?.offset).toBe(0);
      copies.failed();
    }
  });

  it('count no change as written that came after the plan', () => {
    const copies = new HeaderCopies(salt, content, [1, 2]);
    copies.change({ epoch: 2 });
    copies.plan(0);
    copies.change({ epoch: 3 });
    copies.synced();
    const second = copies.plan(0) as FileWrite;
    expect([second.offset, headerIn(second).epoch]).toEqual([4096, 3]);
    copies.synced();
    expect(copies.agreed).toBe(false);
    expect(copies.plan(0)?.offset).toBe(0);
    copies.synced();
    expect(copies.agreed).toBe(true);
  });

  it('say the generation and the batch of this write, whatever was read at opening', () => {
    const read = { ...settled, generation: 99, confirmed: 98, salt: new Uint8Array(8) };
    const copies = new HeaderCopies(salt, { ...content, settled: read }, [1, 2]);
    copies.change({ clean: true });
    const header = headerIn(copies.plan(7) as FileWrite);
    expect(header).toMatchObject({ generation: 3, confirmed: 7, salt });
  });

  it('of a new store are both written at once, of generations 1 and 2', () => {
    const writes = new HeaderCopies(salt, content, [0, 0]).planBoth(0);
    expect(writes.map(({ offset }) => offset)).toEqual([0, 4096]);
    expect(writes.map((write) => headerIn(write).generation)).toEqual([1, 2]);
  });

  it('ignore a sync with nothing planned', () => {
    const copies = new HeaderCopies(salt, content, [1, 2]);
    copies.change({ epoch: 2 });
    copies.synced();
    expect(copies.agreed).toBe(false);
  });
});
