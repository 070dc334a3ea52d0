/**
 * A batch whose values the disk refused is written again session by session. A session whose own
 * write fails then, after its bytes were in the file and in the cache, leaves nothing behind: what
 * is read beside it, and later in its grains, is what was written.
 */

import { expect, it } from 'vitest';
import { split, splitGrainId } from '../../../src/format/grain-id.ts';
import { memoryFileSystem } from '../../../src/io/memory-file-system.ts';
import { patternOf } from '../../support/bytes.ts';
import { WrappedFileSystem } from '../../support/disks/wrapped-file-system.ts';
import { openLab } from '../../support/fixtures/core-lab.ts';

it('a session fails alone, and the cache forgets what it had of the bytes', async () => {
  const fileSystem = new WrappedFileSystem(memoryFileSystem());
  const lab = await openLab({ fileSystem });
  const { core } = lab;
  const offsetOf = (id: bigint): number => {
    if (!splitGrainId(id)) throw new Error('the id names grains');
    return core.atlas.stratum(split.basin, split.stratum)?.offsetOf(split.index) ?? 0;
  };
  const first = lab.session();
  const neighbour = first.push(patternOf(100, 1));
  first.push(patternOf(3000, 2));
  first.commitSync();
  expect(core.read(neighbour)).toEqual(patternOf(100, 1));

  const refused = lab.session();
  const lost = refused.push(patternOf(100, 3));
  // The grains between them are of a third session: they are two writes.
  const between = lab.session();
  between.push(patternOf(100, 6));
  const other = lab.session();
  const kept = other.push(patternOf(3000, 4));
  const [at, otherAt] = [offsetOf(lost), offsetOf(kept)];
  expect(Math.floor(at / 4096)).toBe(Math.floor(offsetOf(neighbour) / 4096));
  expect(at).toBeLessThan(otherAt);
  // The bytes of the first are written with the batch; when they are written alone, half are.
  let writes = 0;
  fileSystem.fail('write', 'EIO', { times: 1, when: ({ position }) => position === otherAt });
  fileSystem.fail('write', 'EIO', {
    partialBytes: 50,
    when: ({ position }) => position === at && ++writes === 2,
  });
  const settled = await Promise.allSettled([refused.commit(), other.commit()]);
  expect(settled).toMatchObject([
    { status: 'rejected', reason: { code: 'VARVE_IO' } },
    { status: 'fulfilled' },
  ]);
  expect(writes).toBe(2);
  expect(core.space.tight).toBe(false);

  between.abandon();
  const before = core.reader.reads;
  expect(core.read(neighbour)).toEqual(patternOf(100, 1));
  expect(core.reader.reads).toBe(before + 1);
  expect(core.read(lost)).toBe(undefined);
  expect(core.read(kept)).toEqual(patternOf(3000, 4));
  const again = lab.session();
  const pushed: bigint[] = [];
  while (!pushed.includes(lost) && pushed.length < 5000) pushed.push(again.push(patternOf(90, 5)));
  again.commitSync();
  expect(core.read(lost)).toEqual(patternOf(90, 5));
  expect(await lab.findings()).toEqual([]);
  await lab.close();

  const reopened = await openLab({ fileSystem });
  expect(reopened.core.read(neighbour)).toEqual(patternOf(100, 1));
  expect(reopened.core.read(lost)).toEqual(patternOf(90, 5));
  expect(reopened.core.read(kept)).toEqual(patternOf(3000, 4));
  expect(await reopened.findings()).toEqual([]);
  await reopened.close();
});
