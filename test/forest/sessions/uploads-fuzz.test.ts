/**
 * Random programs of uploads: sessions that push, stream and archive while transactions adopt them,
 * fail, fork trees and delete, and while the store is compacted and checkpointed; each once with
 * every call of the disk that fails.
 *
 * Invariant: a plain map has what is acknowledged. After each program the forest has exactly that,
 * also after an opening, and no byte of an upload that was not committed. VARVE_UPLOAD_SEEDS: the
 * number of programs.
 */

import { afterAll, describe, expect, it } from 'vitest';
import { isVarveError } from '../../../src/errors.ts';
import {
  codecs,
  Forest,
  type ForestSession,
  type Snapshot,
  type Transaction,
  type Vault,
} from '../../../src/forest/index.ts';
import { type GrainId, memoryFileSystem } from '../../../src/index.ts';
import { aesGcm, compressed } from '../../../src/vault/index.ts';
import { expectSameBytes, inChunks, patternOf } from '../../support/bytes.ts';
import { type FileCall, WrappedFileSystem } from '../../support/disks/wrapped-file-system.ts';
import { expectNoLeak, findingsOf } from '../../support/fixtures/forest-checks.ts';
import { turns } from '../../support/fixtures/store-checks.ts';
import { Random } from '../../support/random.ts';

const options = { key: codecs.utf8, value: codecs.u64 };
const seedCount = Number(process.env['VARVE_UPLOAD_SEEDS'] ?? 6);

class GivenUp extends Error {}

interface Stored {
  readonly id: GrainId;
  readonly data: Uint8Array;
}

class Program {
  readonly disk = new WrappedFileSystem(memoryFileSystem());
  /** The writes of the run fail from this one on, once. */
  failAt: number | undefined;
  writes = 0;
  readonly #random: Random;
  readonly #vault: Vault | undefined;
  readonly #model = new Map<string, Stored>();
  /** Keys that no transaction in flight deletes. */
  readonly #free = new Set<string>();
  readonly #running: Promise<void>[] = [];
  readonly #snapshots: Snapshot[] = [];
  #forest: Forest | undefined;
  #keys = 0;
  refused = 0;

  constructor(seed: number, vault: Vault | undefined) {
    this.#random = new Random(seed);
    this.#vault = vault;
  }

  get forest(): Forest {
    if (this.#forest === undefined) throw new Error('it is open');
    return this.#forest;
  }

  async open(): Promise<void> {
    const settings = { nodeBytes: 512, cacheBytes: 100_000, settleBytes: 20_000 };
    this.#forest = await Forest.open('a.varve', {
      ...settings,
      fileSystem: this.disk,
      vault: this.#vault,
    });
  }

  async run(): Promise<void> {
    await this.open();
    const count = (call: FileCall): boolean => {
      if (call.operation !== 'write') return false;
      this.writes += 1;
      return this.writes - 1 === this.failAt;
    };
    const fault = this.disk.fail('write', 'EIO', { when: count });
    for (let step = 0; step < 14; step++) {
      this.#running.push(this.#step());
      if (this.#random.chance(0.4)) await this.#settled();
      else if (this.#random.chance(0.5)) await turns(1);
    }
    await this.#settled();
    fault.stop();
    for (const one of this.#snapshots) one.release();
    await this.#compare();
    await this.forest.close();
    await this.open();
    await this.#compare();
    await this.forest.close();
  }

  async #settled(): Promise<void> {
    await Promise.all(this.#running.splice(0));
  }

  async #compare(): Promise<void> {
    const { forest } = this;
    const tree = forest.tree('blobs', options);
    expect([...tree.keys()]).toEqual([...this.#model.keys()].sort());
    for (const [key, { id, data }] of this.#model) {
      expect(tree.get(key)).toBe(id);
      expectSameBytes(forest.get(id) as Uint8Array, data);
      const part = await forest.readRangeAsync(id, 3, 66_000);
      expectSameBytes(part as Uint8Array, data.slice(3, 66_000));
    }
    expect(await findingsOf(forest)).toEqual([]);
    await expectNoLeak(forest, this.#model.size);
  }

  async #step(): Promise<void> {
    const { store } = this.forest;
    switch (this.#random.below(10)) {
      case 0:
        await this.#tolerate(store.compact());
        return;
      case 1:
        await this.#tolerate(store.checkpointTo(store.currentBatch));
        return;
      case 2:
        this.#snapshots.push(this.forest.snapshot());
        return;
      case 3:
        await this.#tolerate(
          this.forest.transaction((tx) => {
            const to = `fork ${this.#random.below(3)}`;
            tx.drop(to);
            tx.fork('blobs', to);
            if (this.#random.chance(0.5)) tx.drop(to);
          }),
        );
        return;
      default:
        await this.#upload();
    }
  }

  /** An error that the failing write explains. */
  async #tolerate(promise: Promise<unknown>): Promise<boolean> {
    try {
      await promise;
      return true;
    } catch (error) {
      if (error instanceof GivenUp || isVarveError(error, 'VARVE_LOG_TRUNCATED')) return false;
      if (isVarveError(error, 'VARVE_BUSY')) return false;
      if (this.failAt === undefined || !isVarveError(error, 'VARVE_IO')) throw error;
      this.refused += 1;
      return false;
    }
  }

  /** Pushes some values in one or two sessions, and then adopts them or not. */
  async #upload(): Promise<void> {
    const random = this.#random;
    const ends = random.below(10);
    const waits = random.chance(0.4);
    const sessions = [
      this.forest.session(),
      ...(random.chance(0.3) ? [this.forest.session()] : []),
    ];
    const plans = Array.from({ length: 1 + random.below(3) }, () => this.#plan(sessions));
    const gone = random.chance(0.4) ? [...this.#free][random.below(8)] : undefined;
    const byTransaction = random.chance(0.5);
    const added = new Map<string, Stored>();
    try {
      for (const [key, one] of await Promise.all(plans)) added.set(key, one);
    } catch (error) {
      for (const one of sessions) one.abandon();
      await Promise.allSettled(plans);
      await this.#tolerate(Promise.reject(error));
      return;
    }
    if (ends === 0) return;
    if (ends === 1) {
      for (const one of sessions) one.abandon();
      return;
    }
    const dropped = gone !== undefined && this.#free.delete(gone) ? gone : undefined;
    const id = dropped === undefined ? undefined : (this.#model.get(dropped) as Stored).id;
    if (id !== undefined && !byTransaction) (sessions[0] as ForestSession).archive(id);
    const body = async (tx: Transaction): Promise<void> => {
      for (const one of sessions) tx.adopt(one);
      const tree = tx.tree(this.forest.tree('blobs', options));
      for (const [key, { id: own, data }] of added) {
        expectSameBytes(tx.get(own) as Uint8Array, data);
        tree.put(key, own);
      }
      if (waits) await turns(1);
      if (id !== undefined && byTransaction) tx.archive(id);
      if (dropped !== undefined) tree.delete(dropped);
      for (const [key, { id: own }] of [...added].slice(1)) {
        if (ends > 3) continue;
        tx.archive(own);
        tree.delete(key);
        added.delete(key);
      }
      if (ends === 9) throw new GivenUp('given up');
    };
    const isDone = await this.#tolerate(this.forest.transaction(body));
    for (const one of sessions) expect(() => one.push(patternOf(1))).toThrow();
    if (!isDone) {
      if (dropped !== undefined) this.#free.add(dropped);
      return;
    }
    if (dropped !== undefined) this.#model.delete(dropped);
    for (const [key, one] of added) {
      this.#model.set(key, one);
      this.#free.add(key);
    }
  }

  async #plan(sessions: readonly ForestSession[]): Promise<[string, Stored]> {
    const random = this.#random;
    const session = sessions[random.below(sessions.length)] as ForestSession;
    const key = `key ${++this.#keys}`;
    const length = random.chance(0.15) ? 500_000 + random.below(700_000) : random.below(3000);
    const data = patternOf(length, this.#keys);
    const kind = random.below(this.#vault?.overheadBytes === undefined && this.#vault ? 2 : 4);
    if (kind === 0) return [key, { id: session.push(data), data }];
    if (kind === 1) return [key, { id: await session.pushAsync(data), data }];
    const chunks = inChunks(data, 1 + random.below(90_000));
    return [key, { id: await session.pushStream(chunks, { length }), data }];
  }
}

const vaults: readonly (readonly [string, () => Vault | undefined])[] = [
  ['without a vault', () => undefined],
  ['in aesGcm', () => aesGcm({ key: new Uint8Array(32).fill(3) })],
  ['in compressed', () => compressed()],
];
/** Calls that failing writes made fail. */
let refused = 0;
const seeds = Array.from({ length: seedCount }, (_, at) => at + 1);

describe.each(vaults)('uploads %s', (_name, vaultOf) => {
  it.each(seeds)('are committed with their entries or leave nothing, seed %i', async (seed) => {
    const program = new Program(seed, vaultOf());
    await program.run();
    const stride = Math.max(1, Math.floor(program.writes / 12));
    for (let failAt = seed % stride; failAt < program.writes; failAt += stride) {
      const again = new Program(seed, vaultOf());
      again.failAt = failAt;
      await again.run();
      refused += again.refused;
    }
  });
});

afterAll(() => {
  expect(refused).toBeGreaterThan(10);
});
