/**
 * Transactions beside a commit that fails a few values at a time. The clock takes a step of 10 ms
 * whenever it is read, so every pause is a turn.
 */

import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { codecs, Forest } from '../../src/forest/index.ts';
import { SimulatedDisk } from '../support/disks/simulated-disk.ts';

let time = 0;

beforeEach(() => {
  vi.spyOn(performance, 'now').mockImplementation(() => (time += 10));
});

afterEach(() => {
  vi.restoreAllMocks();
});

it('a body that reads a value pushed by the failing commit gets the error of the commit', async () => {
  const fileSystem = new SimulatedDisk({ records: false });
  const forest = await Forest.open('store', { fileSystem, journalBytes: 0 });
  const tree = forest.tree('long', { key: codecs.uint, value: codecs.utf8 });
  const longValue = (key: number): string => 'value'.repeat(1000) + key;
  let isOver = false;
  fileSystem.faultOf = ({ kind, bytes }) => {
    // The record, but not what takes it back.
    const isRecord = kind === 'write' && bytes > 512 && bytes < 65_536;
    if (!isRecord || !forest.store.committing) return undefined;
    return { kind: 'error', code: 'EIO', done: 'nothing' };
  };
  const failing = forest.transaction((tx) => {
    for (let key = 0; key < 600; key++) tx.tree(tree).put(key, longValue(key));
  });
  const failed = expect(failing).rejects.toMatchObject({ code: 'VARVE_IO' });
  void failed.finally(() => {
    isOver = true;
  });
  let reads = 0;
  let seen: unknown;
  const beside = forest.transaction(async (tx) => {
    while (!isOver) {
      const key = (reads++ * 7) % 600;
      try {
        expect(tx.tree(tree).get(key)).toBe(longValue(key));
      } catch (error) {
        seen = error;
        throw error;
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  });
  await expect(beside).rejects.toMatchObject({ code: 'VARVE_IO' });
  await failed;
  expect(reads).toBeGreaterThan(20);
  // Never that the store is damaged.
  expect(seen).toMatchObject({ code: 'VARVE_IO' });
  fileSystem.faultOf = undefined;
  await forest.close();
});
