/**
 * Turns of the event loop during long asynchronous reads whose nodes are all in memory.
 *
 * Invariant: turns are counted by a clock that only the test moves: each entry that is read takes as
 * long as its codec or reducer says, whatever the machine is. `verify` works node by node.
 */

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Codec, codecs, Forest } from '../../src/forest/index.ts';
import { code, endSound } from '../support/fixtures/forest-checks.ts';

/** Milliseconds of the test's clock. */
let time = 0;
beforeEach(() => {
  time = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => time);
});
afterEach(() => vi.restoreAllMocks());

/** Runs, and gives the milliseconds of work between turns of the event loop. */
async function workBetweenTurns(run: () => Promise<void>): Promise<number[]> {
  const spans: number[] = [];
  let from = time;
  const note = (): void => {
    if (time > from) spans.push(time - from);
    from = time;
    timer = setImmediate(note);
  };
  let timer = setImmediate(note);
  await run();
  clearImmediate(timer);
  return spans;
}

/** Numbers whose decoding takes a millisecond. */
const slow = {
  name: 'slow',
  encode: (value: number) => codecs.uint.encode(value),
  decode(bytes: Uint8Array) {
    time += 1;
    return codecs.uint.decode(bytes);
  },
};

async function filled(count: number, value: Codec<number> = slow) {
  const forest = await Forest.inMemory({ nodeBytes: 500 });
  let mapMs = 0;
  const reducer = {
    name: 'one',
    map() {
      time += mapMs;
      return 1;
    },
    reduce: (parts: readonly number[]) => parts.reduce((sum, part) => sum + part, 0),
    encode: (value: number) => codecs.uint.encode(value),
    decode: (bytes: Uint8Array) => codecs.uint.decode(bytes),
  };
  const tree = forest.tree('t', { key: codecs.uint, value, reducer });
  await forest.transaction((tx) => {
    for (let key = 0; key < count; key++) tx.tree(tree).put(key, key);
  });
  return {
    forest,
    tree,
    slowMap: () => {
      mapMs = 0.05;
    },
  };
}

describe('while all nodes are in memory', () => {
  it('rangeAsync gives the event loop a turn within 10 ms of work, in both directions', async () => {
    const { forest, tree } = await filled(400);
    for (const reverse of [false, true]) {
      let entries = 0;
      const spans = await workBetweenTurns(async () => {
        for await (const _ of tree.rangeAsync({ reverse })) entries += 1;
      });
      expect(entries).toBe(400);
      expect(Math.max(...spans)).toBeLessThan(10);
      expect(spans.length).toBeGreaterThanOrEqual(400 / 10);
    }
    await endSound(forest);
  });

  it('verify gives the event loop a turn within 10 ms of work, too', async () => {
    const { forest, slowMap } = await filled(3000, codecs.uint);
    slowMap();
    const spans = await workBetweenTurns(async () => {
      for await (const { message } of forest.verify()) expect(message).toBe('nothing');
    });
    expect(Math.max(...spans)).toBeLessThan(10);
    expect(spans.length).toBeGreaterThan((3000 * 0.05) / 10);
    await endSound(forest);
  });

  it('short reads take no turn at all', async () => {
    const { forest, tree } = await filled(3);
    const turn = vi.spyOn(globalThis, 'setImmediate');
    for await (const _ of tree.rangeAsync());
    expect(turn).not.toHaveBeenCalled();
    await endSound(forest);
  });
});

describe('a turn in the middle of a read', () => {
  it('may close the forest: rangeAsync and verify then throw', async () => {
    const reads: readonly ((filled: Awaited<ReturnType<typeof open>>) => Promise<void>)[] = [
      async ({ tree }) => {
        for await (const _ of tree.rangeAsync());
      },
      async ({ forest }) => {
        for await (const { message } of forest.verify()) expect(message).toBe('nothing');
      },
    ];
    const open = () => filled(3000);
    for (const read of reads) {
      const home = await open();
      home.slowMap();
      let closed: Promise<void> | undefined;
      const timer = setImmediate(() => {
        closed = home.forest.close();
      });
      await expect(read(home)).rejects.toEqual(code('CLOSED'));
      clearImmediate(timer);
      await closed;
    }
  });

  it('may commit: both go on with the state that they began with', async () => {
    const { forest, tree, slowMap } = await filled(1000);
    slowMap();
    const found: number[] = [];
    const walk = async (): Promise<void> => {
      for await (const [key] of tree.rangeAsync()) {
        found.push(key);
        if (key % 100 === 0) await tree.put(5000 + key, 1);
      }
    };
    const check = async (): Promise<void> => {
      for await (const { message } of forest.verify()) expect(message).toBe('nothing');
    };
    await Promise.all([walk(), check()]);
    expect(found).toEqual(Array.from({ length: 1000 }, (_, key) => key));
    expect(tree.count()).toBe(1010);
    await endSound(forest);
  });
});
