/**
 * The block cache: whatever was read and written through it, it reads as the file does, in no more
 * memory than it was given.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockCache, blockBytes } from '../../../src/store/values/block-cache.ts';
import { MemoryBudget } from '../../../src/util/memory-budget.ts';
import { patternOf } from '../../support/bytes.ts';

const smallest = 32;
/** A cell of the table, which is at least a quarter full, and the block's number. */
const indexBytesMax = 4 * 32 + 16;

/** A file that is an array, and counts its reads. */
class ArrayFile {
  bytes: Uint8Array;
  reads = 0;
  failing = false;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  readSync(target: Uint8Array, position: number): number {
    this.reads += 1;
    if (this.failing) {
      target.fill(0xbb);
      throw new Error('the disk is unplugged');
    }
    const part = this.bytes.subarray(position, position + target.length);
    target.set(part);
    return part.length;
  }

  write(chunks: readonly Uint8Array[], position: number): void {
    const length = chunks.reduce((sum, chunk) => sum + chunk.length, position);
    if (length > this.bytes.length) {
      const grown = new Uint8Array(length);
      grown.set(this.bytes);
      this.bytes = grown;
    }
    let at = position;
    for (const chunk of chunks) {
      this.bytes.set(chunk, at);
      at += chunk.length;
    }
  }
}

/** Room for the blocks and their index. */
function budgetOf(blocks: number): MemoryBudget {
  return new MemoryBudget(blocks * (blockBytes + indexBytesMax));
}

interface Bed {
  readonly file: ArrayFile;
  readonly cache: BlockCache;
  readonly budget: MemoryBudget;
}

function cacheOf(blocks: number, fileBlocks: number): Bed {
  const file = new ArrayFile(patternOf(fileBlocks * blockBytes - 100, 5));
  const budget = budgetOf(blocks);
  return { file, cache: new BlockCache(file, budget), budget };
}

function copied(cache: BlockCache, offset: number, length: number): Uint8Array {
  const target = new Uint8Array(length + 2).fill(0xcc);
  cache.copy(offset, length, target, 1);
  expect([target[0], target[length + 1]]).toEqual([0xcc, 0xcc]);
  return target.subarray(1, length + 1);
}

/** As the file: zeros past its end. */
function expectAsFile(cache: BlockCache, file: ArrayFile, offset: number, length: number): void {
  const expected = new Uint8Array(length);
  expected.set(file.bytes.subarray(offset, offset + length));
  const same = Buffer.compare(copied(cache, offset, length), expected) === 0;
  if (!same) expect(`${length} bytes at ${offset}`).toBe('those of the file');
}

describe('a block cache', () => {
  const fileBlocks = 80;
  const offset = fc.oneof(
    fc.nat(fileBlocks * blockBytes),
    fc
      .tuple(fc.nat(fileBlocks), fc.integer({ min: -2, max: 2 }))
      .map(([n, d]) => Math.max(0, n * blockBytes + d)),
  );
  const part = fc.double({ min: 0, max: 1, noNaN: true });
  const command = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constant('read' as const), offset, length: fc.nat(20_000) }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constantFrom('write' as const, 'failed write' as const),
        offset,
        lengths: fc.array(fc.nat(6000), { minLength: 1, maxLength: 3 }),
        seed: fc.nat(250),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('failed read' as const), offset }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('pass' as const), part }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('other' as const), part }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('clear' as const) }) },
  );

  it('reads as the file does after any reads, writes, failures, and memory given to others', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: smallest, max: 90 }),
        fc.array(command, { maxLength: 80 }),
        (blocks, commands) => {
          const { file, cache, budget } = cacheOf(blocks, fileBlocks);
          const other = budget.join('nodes', { entryCount: 0, pass: () => undefined });
          for (const one of commands) {
            expect(budget.bytes('blocks')).toBeLessThan(budget.bytesMax * 1.05);
            if (one.kind === 'read') {
              expectAsFile(cache, file, one.offset, one.length);
            } else if (one.kind === 'pass') {
              cache.pass(Math.ceil(one.part * cache.entryCount));
            } else if (one.kind === 'other') {
              other.hold(0, { reservedBytes: one.part * budget.bytesMax });
              if (!budget.makeRoom()) expect(cache.entryCount).toBe(0);
            } else if (one.kind === 'clear') {
              cache.clear();
              expect(cache.entryCount).toBe(0);
            } else if (one.kind === 'failed read') {
              file.failing = true;
              try {
                cache.copy(one.offset, 1, new Uint8Array(1), 0);
              } catch (error) {
                expect((error as Error).message).toBe('the disk is unplugged');
              }
              file.failing = false;
            } else {
              const chunks = one.lengths.map((length, at) => patternOf(length, one.seed + at));
              const length = one.lengths.reduce((sum, part) => sum + part, 0);
              if (one.kind === 'write') {
                file.write(chunks, one.offset);
                cache.written(chunks, one.offset);
              } else {
                file.write(chunks.slice(1), one.offset);
                cache.forget(one.offset, length);
              }
            }
          }
          expectAsFile(cache, file, 0, file.bytes.length + 5000);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('holds no more blocks than its bound, in slabs that are no larger together', () => {
    for (const blocks of [smallest, 255, 256, 257, 700]) {
      const { cache, budget } = cacheOf(blocks, 1000);
      let highest = 0;
      for (let block = 0; block < 1000; block++) {
        highest = Math.max(highest, cache.slotFor((block * 37) % 1000));
        expect(budget.bytes()).toBeLessThan(budget.bytesMax * 1.03);
      }
      expect(highest).toBeLessThan(blocks * 1.03);
      expect(cache.entryCount).toBeGreaterThanOrEqual(blocks * 0.95 - 1);
      const slots = Array.from({ length: cache.entryCount }, (_, slot) => cache.slab(slot));
      const bytes = [...new Set(slots)].reduce((sum, slab) => sum + slab.length, 0);
      expect(bytes).toBe(cache.entryCount * blockBytes);
      // The index is less than a thirtieth of it.
      expect(budget.bytes() - bytes).toBeLessThan(bytes / 30 + 4096);
    }
  });

  it('gives whole slabs back if its blocks are not used, and keeps those that are', () => {
    const { file, cache } = cacheOf(1024, 512);
    for (let block = 0; block < 512; block++) cache.slotFor(block);
    const all = cache.entryCount;
    for (let block = 0; block < 40; block++) cache.slotFor(block * 6);
    cache.pass(all);
    expect(cache.entryCount).toBeLessThanOrEqual(96);
    const { reads } = file;
    for (let block = 0; block < 40; block++) expectAsFile(cache, file, block * 6 * blockBytes, 9);
    expect(file.reads).toBe(reads);
    cache.pass(all);
    cache.pass(all);
    expect(cache.entryCount).toBe(0);
    expectAsFile(cache, file, 0, 100_000);
  });

  it('takes the slot of a block that is not used before it takes memory of others', () => {
    const { cache, budget } = cacheOf(256, 512);
    let passed = 0;
    const other = budget.join('nodes', {
      entryCount: 1000,
      pass: (count) => {
        passed += count;
      },
    });
    for (let block = 0; block < 100; block++) cache.slotFor(block);
    other.hold(budget.bytesMax - budget.bytes(), { reservedBytes: 0 });
    const slots = cache.entryCount;
    for (let block = 100; block < 200; block++) cache.slotFor(block);
    expect(cache.entryCount).toBe(slots);
    // Its hand has gone round once or twice, and the other one has gone as far.
    expect(passed).toBeGreaterThan(900);
    expect(passed).toBeLessThan(2200);
  });

  it('reads a block once while it has room for it', () => {
    const { file, cache } = cacheOf(40, 40);
    for (let round = 0; round < 3; round++) {
      for (let block = 0; block < 40; block++) cache.slotFor(block);
    }
    expect(file.reads).toBe(40);
  });

  it('keeps blocks that are read repeatedly while others pass through', () => {
    const { file, cache } = cacheOf(smallest, 1000);
    let again = 0;
    for (let block = 10; block < 500; block++) {
      cache.slotFor(block);
      const before = file.reads;
      // Another block in between: the last one found is not even looked up.
      cache.slotFor(block - 1);
      cache.slotFor(5);
      again += file.reads - before;
    }
    expect(again).toBeLessThan(50);
  });

  it('reads forgotten blocks again, and no others', () => {
    const { file, cache } = cacheOf(smallest, 20);
    for (let block = 0; block < 20; block++) cache.slotFor(block);
    cache.forget(3 * blockBytes - 1, 2);
    cache.forget(7 * blockBytes, 0);
    file.reads = 0;
    for (let block = 0; block < 20; block++) cache.slotFor(block);
    expect(file.reads).toBe(2);
  });

  it('does not find the block found last after its eviction', () => {
    const { file, cache } = cacheOf(smallest, 200);
    expectAsFile(cache, file, 0, 10);
    expectAsFile(cache, file, 0, 10);
    for (let block = 1; block < 100; block++) cache.slotFor(block);
    expectAsFile(cache, file, 0, 10);
  });

  it('keeps a block that was read again when the place that it had before is used', () => {
    const { file, cache } = cacheOf(smallest, 200);
    // One after another, so that the next to make way is known: the places go round.
    for (let block = 0; block <= smallest; block++) cache.slotFor(block);
    cache.forget(10 * blockBytes, 1);
    for (let round = 0; round < 2; round++) cache.slotFor(10);
    for (let block = 100; block < 115; block++) cache.slotFor(block);
    file.reads = 0;
    cache.slotFor(10);
    expect(file.reads).toBe(0);
  });

  it('ignores writes to blocks that it does not hold', () => {
    const { file, cache } = cacheOf(smallest, 20);
    cache.written([patternOf(3 * blockBytes)], 0);
    cache.forget(0, 5 * blockBytes);
    expect(file.reads).toBe(0);
    expectAsFile(cache, file, 0, 3 * blockBytes);
  });

  it('keeps the note of a checked value until its block is written or evicted, or it is cleared', () => {
    const { cache } = cacheOf(smallest, 200);
    const at = 5 * blockBytes + 96;
    cache.check(at);
    expect(cache.slotOfChecked(at)).toBe(-1);
    const slot = cache.slotFor(5);
    expect(cache.slotOfChecked(at)).toBe(-1);
    const changes: readonly (() => void)[] = [
      () => cache.uncheck(at),
      () => cache.written([patternOf(1)], 6 * blockBytes - 1),
      () => cache.forget(5 * blockBytes, 1),
      () => {
        for (let block = 100; block < 100 + 2 * smallest; block++) cache.slotFor(block);
        cache.slotFor(5);
      },
    ];
    for (const change of changes) {
      cache.slotFor(5);
      cache.check(at);
      expect(cache.slotOfChecked(at)).toBe(cache.slotFor(5));
      expect(cache.slotOfChecked(at + 32)).toBe(-1);
      change();
      expect(cache.slotOfChecked(at)).toBe(-1);
    }
    expect(slot).toBe(0);
  });

  it('is not usable if it has less room than the longest value that is read through it', () => {
    const isUsable = (bytes: number): boolean =>
      new BlockCache(new ArrayFile(new Uint8Array(0)), new MemoryBudget(bytes)).usable;
    const bytes = [0, smallest * blockBytes - 1, smallest * blockBytes];
    expect(bytes.map(isUsable)).toEqual([false, false, true]);
  });
});
