/** Thousands who wait for one commit are told of it in the order of their writes, turn by turn. */

import { describe, expect, it } from 'vitest';
import { Notifier } from '../../../src/forest/commits/notifier.ts';
import { codecs, Forest } from '../../../src/forest/index.ts';
import { SimulatedDisk } from '../../support/disks/simulated-disk.ts';
import { check } from '../../support/fixtures/store-checks.ts';

const options = { key: codecs.uint, value: codecs.uint };

/** Counts what happens between two turns of the event loop. */
class Turns {
  readonly counts: number[] = [];
  #count = 0;
  #timer = setImmediate(() => this.#next());

  note(): void {
    this.#count += 1;
  }

  #next(): void {
    if (this.#count > 0) this.counts.push(this.#count);
    this.#count = 0;
    this.#timer = setImmediate(() => this.#next());
  }

  end(): void {
    clearImmediate(this.#timer);
    if (this.#count > 0) this.counts.push(this.#count);
  }
}

describe('a caller that waits for a commit', () => {
  it('gets its result with at most a thousand others in one turn, in the order of the puts', async () => {
    const forest = await Forest.inMemory();
    const tree = forest.tree('t', options);
    const turns = new Turns();
    const told: number[] = [];
    const puts = Array.from({ length: 4500 }, (_, key) =>
      tree.put(key, key).then(() => {
        told.push(key);
        turns.note();
      }),
    );
    await Promise.all(puts);
    turns.end();
    expect(told).toEqual(Array.from({ length: 4500 }, (_, key) => key));
    expect(Math.max(...turns.counts)).toBeLessThanOrEqual(1000);
    await forest.close();
  });

  it('gets it before those of a later commit, and listeners get the commits in order', async () => {
    const forest = await Forest.inMemory();
    const tree = forest.tree('t', options);
    const told: string[] = [];
    const commits: number[] = [];
    forest.onCommit(({ batch }) => commits.push(batch));
    const first = Array.from({ length: 2500 }, (_, key) => tree.put(key, key));
    const last = first.at(-1)?.then(() => told.push('first commit'));
    // It is durable, and most of its puts do not know yet.
    const durable = await first[0];
    expect(commits).toEqual([]);
    const batch = await tree.put(9999, 1).finally(() => told.push('second commit'));
    await last;
    expect(told).toEqual(['first commit', 'second commit']);
    await forest.close();
    expect(commits).toEqual([durable, batch]);
  });

  it('finds the commit in flight until every caller has its result', async () => {
    const forest = await Forest.inMemory();
    const tree = forest.tree('t', options);
    const puts = Array.from({ length: 2500 }, (_, key) => tree.put(key, key));
    await puts[0];
    const write = (): void => forest.transactionSync((tx) => tx.tree(tree).put(0, 1));
    expect(write).toThrow(expect.objectContaining({ code: 'VARVE_BUSY' }));
    await Promise.all(puts);
    write();
    expect(tree.get(0)).toBe(1);
    await forest.close();
  });

  it('gets a failure with at most a thousand others in one turn', async () => {
    const disk = new SimulatedDisk({ records: false });
    const forest = await Forest.open('forest', { fileSystem: disk });
    const tree = forest.tree('t', options);
    disk.faultOf = ({ kind }) => {
      return kind === 'datasync' ? undefined : { kind: 'error', code: 'ENOSPC', done: 'nothing' };
    };
    const turns = new Turns();
    const puts = Array.from({ length: 2500 }, (_, key) =>
      check.rejects('VARVE_IO', async () => {
        await tree.put(key, key).finally(() => turns.note());
      }),
    );
    await Promise.all(puts);
    turns.end();
    expect(turns.counts.reduce((sum, count) => sum + count, 0)).toBe(2500);
    expect(Math.max(...turns.counts)).toBeLessThanOrEqual(1000);
    disk.faultOf = undefined;
    await tree.put(1, 1);
    await forest.close();
  });
});

describe('Notifier', () => {
  const many = Array.from({ length: 2500 }, (_, at) => at);

  it('reports few results at once, and calls its callback at the end', () => {
    const said: string[] = [];
    const notifier = new Notifier<string>();
    notifier.add(
      ['a', 'b'],
      (one) => said.push(one),
      () => said.push(`over, under way: ${notifier.underWay}`),
    );
    expect(said).toEqual(['a', 'b', 'over, under way: false']);
  });

  it('reports to every caller once, also if callers add results meanwhile', async () => {
    const notifier = new Notifier<number>();
    const said: string[] = [];
    await new Promise<void>((resolve) => {
      const tell = (news: string) => (one: number) => said.push(`${news} ${one}`);
      notifier.add([0], tell('first'), () => notifier.add(many, tell('second'), () => undefined));
      notifier.add(many, tell('third'), () => notifier.add([0], tell('fourth'), resolve));
    });
    const expected = ['first', 'second', 'third', 'fourth'].flatMap((news) =>
      (news === 'second' || news === 'third' ? many : [0]).map((one) => `${news} ${one}`),
    );
    expect(said).toEqual(expected);
    expect(notifier.underWay).toBe(false);
  });
});
