/**
 * Commits of one 16-byte value each on a memory file system, and the same work bare: what varve's
 * own code costs, without a disk.
 *
 * Invariant: one `run` is a thousand commits, because one is too short for a clock. The bare
 * session does the least that a durable commit has to do in JavaScript: copy the value, build a
 * record of one sector with the checksums of its body and of the sector, write both, mark a grain.
 */

import { Forest } from '../../src/forest/index.ts';
import { sectorBytes } from '../../src/format/layout.ts';
import { memoryFileSystem, Store } from '../../src/index.ts';
import { crc32 } from '../../src/util/crc.ts';
import { setU32, setU48 } from '../../src/util/little-endian.ts';
import type { Contestant } from './contestant.ts';
import { keysOf, randomNumbers } from './random-entries.ts';

const operations = 1_000;
/** The keys that there are; after the last one they are put again. */
const keysMade = 50_000;
const grainBytes = 32;
const regionBytes = 1024 * 1024;
const bodyStart = 32;
const bodyBytes = 60;
/** Entries of 8 + 16 bytes in a full leaf of 4 KiB. */
const leafEntriesMax = 128;

const value = new Uint8Array(16).fill(7);

/** The names of the contestants. */
export const inMemory = {
  bareSession: 'a bare session',
  bareLeaf: 'a bare session with a copy of one leaf',
  storeCommitSync: 'varve commitSync',
  storeCommit: 'varve commit',
  treePut: 'varve transactionSync, one put',
} as const;

/** Two regions of memory in which values and records go round. */
class BareSession {
  readonly #values = new Uint8Array(regionBytes);
  readonly #log = new Uint8Array(regionBytes);
  readonly #marks = new Uint32Array(regionBytes / grainBytes / 32);
  #batch = 0;

  commit(bytes: Uint8Array): number {
    const batch = this.#batch++;
    const grain = batch % (regionBytes / grainBytes);
    const staged = new Uint8Array(grainBytes);
    staged.set(bytes, 8);
    const record = recordOf(batch, grain, staged);
    this.#values.set(staged, grain * grainBytes);
    this.#log.set(record, (batch * sectorBytes) % regionBytes);
    const word = grain >>> 5;
    this.#marks[word] = (this.#marks[word] as number) | (1 << (grain & 31));
    return batch;
  }
}

function recordOf(batch: number, grain: number, staged: Uint8Array): Uint8Array {
  const record = new Uint8Array(sectorBytes);
  setU48(record, bodyStart, batch);
  setU48(record, bodyStart + 6, grain);
  setU32(record, bodyStart + 12, crc32(staged));
  setU48(record, 8, batch);
  setU32(record, 16, crc32(record.subarray(bodyStart, bodyStart + bodyBytes)));
  setU32(record, 0, crc32(record.subarray(4)));
  return record;
}

/** A leaf that is never changed: a put makes another one. A full one goes on with its upper half. */
class BareLeaf {
  #keys: readonly Buffer[] = [];
  #values: readonly Uint8Array[] = [];

  put(key: Buffer, bytes: Uint8Array): void {
    const from = this.#keys.length === leafEntriesMax ? leafEntriesMax / 2 : 0;
    const keys = this.#keys.slice(from);
    const values = this.#values.slice(from);
    const at = placeOf(keys, key);
    keys.splice(at, 0, key);
    values.splice(at, 0, bytes.slice());
    this.#keys = keys;
    this.#values = values;
  }
}

/** The index of the first key that is not less than `key`. */
function placeOf(keys: readonly Buffer[], key: Buffer): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (Buffer.compare(keys[middle] as Buffer, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Each key is made when it is asked for: keys made before would be moved as garbage is collected. */
function turningKeys(): () => Buffer {
  const numbers = randomNumbers(keysMade);
  let next = 0;
  return () => {
    const at = next++ % keysMade;
    return keysOf(numbers.subarray(at, at + 1))[0] as Buffer;
  };
}

function thousand(work: () => unknown): () => void {
  return () => {
    for (let done = 0; done < operations; done++) work();
  };
}

const bareSession: Contestant = {
  name: inMemory.bareSession,
  kind: 'floor',
  operations,
  open() {
    const session = new BareSession();
    return { run: thousand(() => session.commit(value)) };
  },
};

const bareLeaf: Contestant = {
  name: inMemory.bareLeaf,
  kind: 'floor',
  operations,
  open() {
    const session = new BareSession();
    const leaf = new BareLeaf();
    const key = turningKeys();
    const put = (): void => {
      leaf.put(key(), value);
      session.commit(value);
    };
    return { run: thousand(put) };
  },
};

const commitSync: Contestant = {
  name: inMemory.storeCommitSync,
  kind: 'varve',
  floor: inMemory.bareSession,
  operations,
  async open() {
    const store = await Store.open('bench.varve', { fileSystem: memoryFileSystem() });
    const commit = (): number => {
      const session = store.session();
      session.push(value);
      return session.commitSync();
    };
    return { run: thousand(commit), close: () => store.close() };
  },
};

const commit: Contestant = {
  name: inMemory.storeCommit,
  kind: 'varve',
  floor: inMemory.bareSession,
  operations,
  async open() {
    const store = await Store.open('bench.varve', { fileSystem: memoryFileSystem() });
    const run = async (): Promise<void> => {
      for (let done = 0; done < operations; done++) {
        const session = store.session();
        session.push(value);
        await session.commit();
      }
    };
    return { run, close: () => store.close() };
  },
};

const treePut: Contestant = {
  name: inMemory.treePut,
  kind: 'varve',
  floor: inMemory.bareLeaf,
  operations,
  async open() {
    const forest = await Forest.open('bench.varve', { fileSystem: memoryFileSystem() });
    const tree = forest.tree('entries');
    const key = turningKeys();
    const put = (): void => forest.transactionSync((tx) => tx.tree(tree).put(key(), value));
    return { run: thousand(put), close: () => forest.close() };
  },
};

export const inMemoryContestants: readonly Contestant[] = [
  bareSession,
  bareLeaf,
  commitSync,
  commit,
  treePut,
];
