/**
 * The memory that sessions share for what they push: nothing is given out twice while somebody
 * holds it, and what nobody holds is used again.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StagingMemory, type StagingSlab } from '../../../src/store/values/staging-memory.ts';
import { patternOf } from '../../support/bytes.ts';
import { openLab } from '../../support/fixtures/core-lab.ts';

const mebibyte = 1024 * 1024;

describe('staging memory', () => {
  it('keeps the bytes of every holder until its release, whatever the others do', () => {
    const step = fc.record({
      holder: fc.nat(5),
      take: fc.option(fc.oneof(fc.nat(300), fc.integer({ min: 200_000, max: mebibyte })), {
        freq: 4,
      }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const memory = new StagingMemory();
        const holders = Array.from({ length: 6 }, () => ({
          slabs: [] as StagingSlab[],
          parts: [] as { bytes: Uint8Array; mark: number }[],
        }));
        for (const [at, { holder, take }] of steps.entries()) {
          const one = holders[holder] as (typeof holders)[number];
          if (take === null) {
            memory.release(one.slabs);
            one.parts.length = 0;
          } else {
            const bytes = memory.take(take, one.slabs);
            expect(bytes.length).toBe(take);
            bytes.fill(at % 251);
            one.parts.push({ bytes, mark: at % 251 });
          }
          for (const { parts } of holders) {
            for (const { bytes, mark } of parts) {
              if (bytes[0] !== mark && bytes.length > 0)
                expect(`byte 0 at step ${at}`).toBe('kept');
              if (bytes.length > 0 && bytes.at(-1) !== mark) expect(`end at ${at}`).toBe('kept');
            }
          }
        }
      }),
      { numRuns: 100 },
    );
  });

  it('is used again after its release', () => {
    const memory = new StagingMemory();
    const buffers = new Set<unknown>();
    for (let round = 0; round < 50; round++) {
      const slabs = [] as StagingSlab[];
      for (let at = 0; at < 3; at++) buffers.add(memory.take(mebibyte / 2 - 7, slabs).buffer);
      memory.release(slabs);
      expect(slabs.length).toBe(0);
    }
    expect(buffers.size).toBe(2);
  });

  it('comes back from sessions that commit, are abandoned, or have nothing left to commit', async () => {
    const lab = await openLab({});
    const buffers = new Set<unknown>();
    const slabs = [] as StagingSlab[];
    for (let round = 0; round < 40; round++) {
      const committed = lab.session();
      committed.push(patternOf(300_000));
      await committed.commit();
      const abandoned = lab.session();
      abandoned.push(patternOf(300_000));
      abandoned.abandon();
      const emptied = lab.session();
      emptied.archive(emptied.push(patternOf(300_000)));
      emptied.commitSync();
      buffers.add(lab.core.staging.take(1, slabs).buffer);
      lab.core.staging.release(slabs);
    }
    expect(buffers.size).toBeLessThan(4);
    await lab.close();
  });
});
