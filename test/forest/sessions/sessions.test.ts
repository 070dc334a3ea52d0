/**
 * `Forest.session` and `Transaction.adopt`: every sentence of their contract.
 */

import { afterEach, describe, expect, it } from 'vitest';
import {
  codecs,
  Forest,
  type ForestOptions,
  type ForestSession,
  type Transaction,
  type Vault,
} from '../../../src/forest/index.ts';
import { type GrainId, memoryFileSystem } from '../../../src/index.ts';
import { aesGcm } from '../../../src/vault/index.ts';
import { FedSource } from '../../store/streams/fed-source.ts';
import { expectSameBytes, inChunks, patternOf } from '../../support/bytes.ts';
import { code, expectNoLeak, findingsOf } from '../../support/fixtures/forest-checks.ts';

const key = new Uint8Array(32).fill(9);
const blobs = { key: codecs.utf8, value: codecs.u64 };
const vaults: readonly (readonly [string, () => Vault | undefined])[] = [
  ['without a vault', () => undefined],
  ['in aesGcm', () => aesGcm({ key })],
];

const opened: Forest[] = [];

async function forestOf(options: ForestOptions = {}): Promise<Forest> {
  const forest = await Forest.inMemory(options);
  opened.push(forest);
  return forest;
}

afterEach(async () => {
  for (const forest of opened.splice(0)) await forest.close();
});

/** The session is open and has this value. */
function expectOpen(session: ForestSession, id: GrainId, data: Uint8Array): void {
  expectSameBytes(session.get(id) as Uint8Array, data);
  const other = session.push(data);
  session.archive(other);
}

async function expectNothingLeft(forest: Forest, others = 0): Promise<void> {
  expect(await findingsOf(forest)).toEqual([]);
  await expectNoLeak(forest, others);
}

/** Grains that no value has and that cannot be given out: reserved ones. */
function freeBytes({ store }: Forest): number {
  return store.statistics().freeBytes;
}

describe.each(vaults)('a session of a forest %s', (_name, vaultOf) => {
  it('is committed with the entry that names its value', async () => {
    const fileSystem = memoryFileSystem();
    const forest = await Forest.open('a.varve', { fileSystem, vault: vaultOf() });
    const tree = forest.tree('blobs', blobs);
    const lengths = [0, 1, 65_535, 65_536, 65_537, 600_000, 2_100_000];
    for (const length of lengths) {
      const data = patternOf(length, length + 1);
      const session = forest.session();
      const id = await session.pushStream(inChunks(data, 7001), { length });
      const ids = [id, session.push(data), await session.pushAsync(data)];
      for (const one of ids) {
        expectSameBytes(session.get(one) as Uint8Array, data);
        expect(forest.get(one)).toBe(undefined);
      }
      await forest.transaction((tx) => {
        tx.adopt(session);
        for (const [at, one] of ids.entries()) {
          expectSameBytes(tx.get(one) as Uint8Array, data);
          tx.tree(tree).put(`${length} ${at}`, one);
        }
      });
    }
    await forest.close();
    const again = await Forest.open('a.varve', { fileSystem, vault: vaultOf() });
    for (const [name, id] of again.tree('blobs', blobs).range()) {
      const length = Number(name.split(' ')[0]);
      expectSameBytes(again.get(id as GrainId) as Uint8Array, patternOf(length, length + 1));
      const part = await again.readRangeAsync(id as GrainId, 10, 70_000);
      expectSameBytes(part as Uint8Array, patternOf(length, length + 1).slice(10, 70_000));
    }
    await expectNothingLeft(again, lengths.length * 3);
    await again.close();
  });

  it('is abandoned with the transaction that adopted it', async () => {
    const forest = await forestOf({ vault: vaultOf() });
    const tree = forest.tree('blobs', blobs);
    const kept = await forest.transaction((tx) => tx.push(patternOf(50, 1)));
    const before = freeBytes(forest);
    for (const waits of [false, true]) {
      const session = forest.session();
      const id = session.push(patternOf(5000, 3));
      session.archive(kept);
      const failing = forest.transaction((tx) => {
        tx.adopt(session);
        tx.tree(tree).put('a', id);
        const fail = (): never => {
          throw new Error('no');
        };
        return waits ? Promise.resolve().then(fail) : fail();
      });
      await expect(failing).rejects.toThrow('no');
      expect(() => session.push(patternOf(1))).toThrow(code('SESSION_ENDED'));
      expect(forest.get(id)).toBe(undefined);
      // The claim on the value that it archives is gone too.
      const other = forest.session();
      other.archive(kept);
      other.abandon();
    }
    expect(freeBytes(forest)).toBe(before);
    expect(tree.get('a')).toBe(undefined);
    await expectNothingLeft(forest, 1);
  });

  it('works with transactionSync, and with several sessions in one transaction', async () => {
    const forest = await forestOf({ vault: vaultOf() });
    const sessions = [forest.session(), forest.session(), forest.session()] as const;
    const ids = sessions.map((session, at) => session.push(patternOf(100 * at, at + 1)));
    sessions[1].adopt(sessions[2]);
    expect(() => sessions[2].push(patternOf(1))).toThrow(code('SESSION_ENDED'));
    forest.transactionSync((tx) => {
      tx.adopt(sessions[0]);
      tx.adopt(sessions[1]);
      for (const [at, id] of ids.entries()) {
        expectSameBytes(tx.get(id) as Uint8Array, patternOf(100 * at, at + 1));
      }
    });
    for (const [at, id] of ids.entries()) {
      expectSameBytes(forest.get(id) as Uint8Array, patternOf(100 * at, at + 1));
    }
    expect(() =>
      forest.transactionSync((tx) => {
        const session = forest.session();
        session.push(patternOf(10, 1));
        tx.adopt(session);
        throw new Error('no');
      }),
    ).toThrow('no');
    await expectNothingLeft(forest, 3);
  });

  it('gives values that its transaction and later ones read and archive', async () => {
    const forest = await forestOf({ vault: vaultOf() });
    const session = forest.session();
    const ids = Array.from({ length: 5 }, (_, at) => session.push(patternOf(40 + at, at + 1)));
    const [one, two, three, four, five] = ids as [GrainId, GrainId, GrainId, GrainId, GrainId];
    session.archive(five);
    expect(session.get(five)).toBe(undefined);
    const first = forest.transaction((tx) => {
      tx.adopt(session);
      tx.archive(one);
      expect(tx.get(one)).toBe(undefined);
      expect(() => tx.archive(one)).toThrow(code('ALREADY_ARCHIVED'));
    });
    const second = forest.transaction((tx) => {
      expectSameBytes(tx.get(two) as Uint8Array, patternOf(41, 2));
      tx.archive(two);
    });
    await Promise.all([first, second]);
    expectSameBytes(forest.get(three) as Uint8Array, patternOf(42, 3));
    // The other ids may have been given to other values.
    await forest.transaction((tx) => tx.archive(three));
    await expectNothingLeft(forest, 1);
    expectSameBytes(forest.get(four) as Uint8Array, patternOf(43, 4));
  });

  it('archives when it is adopted, and is excluded from what others archive', async () => {
    const forest = await forestOf({ vault: vaultOf() });
    const [one, two] = (await forest.transaction((tx) =>
      [1, 2].map((seed) => tx.push(patternOf(60, seed))),
    )) as [GrainId, GrainId];
    const session = forest.session();
    session.archive(one);
    await forest.transaction((tx) => {
      expect(() => tx.archive(one)).toThrow(code('ALREADY_ARCHIVED'));
      tx.archive(two);
      expect(() => session.archive(two)).toThrow(code('ALREADY_ARCHIVED'));
      tx.adopt(session);
    });
    expect(() => forest.session().archive(two)).toThrow(/archived|committed value/);
    expect(() => forest.session().archive(forest.store.embeddedHeader as GrainId)).toThrow(
      code('INVALID_ARGUMENT'),
    );
    await expectNothingLeft(forest, 0);
  });

  it('does not archive what a running transaction pushed and archives', async () => {
    const forest = await forestOf({ vault: vaultOf() });
    let go = (): void => undefined;
    const goes = new Promise<void>((resolve) => {
      go = resolve;
    });
    let pushed = 0n as GrainId;
    const first = forest.transaction((tx) => {
      pushed = tx.push(patternOf(77, 1));
    });
    const second = forest.transaction(async (tx) => {
      tx.archive(pushed);
      await goes;
    });
    await first;
    // The value is durable now, and the second transaction has no claim on it in the store.
    const session = forest.session();
    expect(() => session.archive(pushed)).toThrow(code('ALREADY_ARCHIVED'));
    go();
    await second;
    expect(() => session.archive(pushed)).toThrow();
    session.abandon();
    await expectNothingLeft(forest);
  });

  it('is refused, and left as it was, by adopt', async () => {
    const forest = await forestOf({ vault: vaultOf() });
    const other = await forestOf({ vault: vaultOf() });
    const session = forest.session();
    const data = patternOf(300, 7);
    const id = session.push(data);
    const invalid = code('INVALID_ARGUMENT');
    const raw = forest.store.session();
    let ended: Transaction | undefined;
    await other.transaction((tx) => expect(() => tx.adopt(session)).toThrow(invalid));
    expectOpen(session, id, data);
    await forest.transaction((tx) => {
      ended = tx;
      for (const wrong of [raw, undefined, null, 1, 'a', {}, forest]) {
        expect(() => tx.adopt(wrong as never)).toThrow(invalid);
      }
    });
    expect(() => ended?.adopt(session)).toThrow(code('TRANSACTION_ENDED'));
    expectOpen(session, id, data);
    expect(() => session.adopt(session)).toThrow(invalid);
    expect(() => session.adopt(raw as never)).toThrow(invalid);
    expect(() => raw.adopt(session as never)).toThrow(invalid);
    raw.push(data);
    raw.abandon();
    const source = new FedSource(data);
    const pushing = session.pushStream(source.iterable, { length: data.length });
    await forest.transaction((tx) => expect(() => tx.adopt(session)).toThrow(code('BUSY')));
    expect(() => forest.session().adopt(session)).toThrow(code('BUSY'));
    source.feed(data.length);
    source.end();
    const streamed = await pushing;
    expectOpen(session, id, data);
    await forest.transaction((tx) => {
      tx.adopt(session);
      expect(() => tx.adopt(session)).toThrow(code('SESSION_ENDED'));
    });
    await forest.transaction((tx) => {
      expect(() => tx.adopt(session)).toThrow(code('SESSION_ENDED'));
    });
    expectSameBytes(forest.get(streamed) as Uint8Array, data);
    await expectNothingLeft(forest, 2);
  });

  it('cannot commit by itself', async () => {
    const forest = await forestOf({ vault: vaultOf() });
    const session = forest.session();
    const id = session.push(patternOf(9));
    const invalid = code('INVALID_ARGUMENT');
    await expect(session.commit()).rejects.toEqual(invalid);
    expect(() => session.commitSync()).toThrow(invalid);
    expect(() => session.setEmbeddedHeader(id)).toThrow(invalid);
    expect(() => session.checkpointTo(0)).toThrow(invalid);
    expectOpen(session, id, patternOf(9));
    session.abandon();
    session.abandon();
    const ended = code('SESSION_ENDED');
    expect(() => session.push(patternOf(1))).toThrow(ended);
    expect(() => session.get(id)).toThrow(ended);
    expect(() => session.archive(id)).toThrow(ended);
    await expect(session.pushAsync(patternOf(1))).rejects.toEqual(ended);
    await expect(session.pushStream(inChunks(patternOf(1)), { length: 1 })).rejects.toEqual(ended);
    await forest.transaction((tx) => expect(() => tx.adopt(session)).toThrow(ended));
    {
      using own = forest.session();
      own.push(patternOf(5));
    }
    await expectNothingLeft(forest);
  });

  it('that has done nothing is adopted without a commit', async () => {
    const forest = await forestOf({ vault: vaultOf() });
    await forest.tree('blobs', blobs).put('a', 1n);
    const { currentBatch } = forest.store;
    const session = forest.session();
    session.archive(session.push(patternOf(10)));
    await forest.transaction((tx) => tx.adopt(session));
    expect(forest.store.currentBatch).toBe(currentBatch);
    expect(() => session.push(patternOf(1))).toThrow(code('SESSION_ENDED'));
    await expectNothingLeft(forest);
  });

  it('does not make an upload durable with the commits of others', async () => {
    const fileSystem = memoryFileSystem();
    const forest = await Forest.open('a.varve', { fileSystem, vault: vaultOf() });
    const session = forest.session();
    const id = await session.pushStream(inChunks(patternOf(900_000)), { length: 900_000 });
    let go = (): void => undefined;
    const goes = new Promise<void>((resolve) => {
      go = resolve;
    });
    const earlier = forest.tree('blobs', blobs).put('a', 1n);
    const running = forest.transaction(async (tx) => {
      tx.adopt(session);
      await goes;
      throw new Error('no');
    });
    await earlier;
    expect(forest.store.has(id)).toBe(false);
    go();
    await expect(running).rejects.toThrow('no');
    expect(forest.store.has(id)).toBe(false);
    await expectNothingLeft(forest);
    await forest.close();
  });
});
