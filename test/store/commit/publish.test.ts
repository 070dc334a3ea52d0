/**
 * Publishing: the batch is durable by then, so nothing that the disk refuses may fail it.
 */

import { expect, it, vi } from 'vitest';
import { ioError } from '../../../src/errors.ts';
import { openLab } from '../../support/fixtures/core-lab.ts';

it('a batch is published though the length of the file cannot be had for its statistics', async () => {
  const lab = await openLab();
  const session = lab.session();
  const ids = Array.from({ length: 100 }, (_, at) => session.push(new Uint8Array(at)));
  const length = vi.spyOn(lab.core.reader, 'length').mockImplementation(() => {
    throw ioError('reading the length', 'lab', new Error('made for the test'));
  });
  expect(await session.commit()).toBe(1);
  expect(length).toHaveBeenCalled();
  length.mockRestore();
  expect(lab.core.poisoned).toBe(false);
  expect(ids.map((id) => lab.core.read(id)?.length)).toEqual(ids.map((_, at) => at));
  expect(await lab.findings()).toEqual([]);
  await lab.close();
});
