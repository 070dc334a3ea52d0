/**
 * Whole stores against any change: one or two structures of a small real store are changed, with
 * every checksum on the way up to the file header made right, so that what reads them is reached;
 * or any bytes of the file are, or its length.
 *
 * Opening gives a store or the right kind of error and then has written nothing; reading,
 * verification and closing end, in memory that the file's length bounds.
 */

import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { GrainId, Session, Store } from '../../../src/index.ts';
import { defaultLimits } from '../../../src/store/grains/atlas.ts';
import { checkOptions } from '../../../src/store/open/store-options.ts';
import { openStore } from '../../../src/store/store.ts';
import { patternOf } from '../../support/bytes.ts';
import { crashScale } from '../../support/crash-scale.ts';
import { GivenFile } from '../../support/disks/given-file.ts';
import { headedLimits } from '../../support/fixtures/core-lab.ts';
import { anyMutation } from './mutations.ts';
import { type Structure, structuresOf } from './store-image.ts';
import { TrialCount, tryImage } from './store-trial.ts';

interface Specimen {
  readonly image: Uint8Array;
  /** Some of its ids: large and small values, archived and freed ones. */
  readonly ids: readonly GrainId[];
  /** By kind, deepest kind first. */
  readonly structures: readonly (readonly Structure[])[];
}

const runs = 1200 * crashScale;
/** Ends only what hangs. */
const patience = { timeout: 120_000 * crashScale };
const count = new TrialCount();
let specimens: readonly Specimen[] = [];

beforeAll(async () => {
  specimens = await Promise.all([
    makeStore(true, false),
    makeStore(false, false),
    makeStore(true, true),
    makeStore(false, true),
  ]);
});

afterAll(() => {
  console.log(`stores fuzzed: ${count}`);
});

/** A store with one of everything; `headed`: with a map that has a head. */
async function makeStore(closed: boolean, headed: boolean): Promise<Specimen> {
  const fileSystem = new GivenFile(new Uint8Array(0));
  const limits = { ...defaultLimits, ...(headed ? headedLimits : {}) };
  const options = { fileSystem, settleBytes: 3000, cacheBytes: 128 * 1024 };
  const store = await openStore(checkOptions('store', options, limits));
  const ids = await fillStore(store, headed ? [90, 60] : [5000, 70_000]);
  if (closed) await store.close();
  const image = fileSystem.bytes;
  const all = structuresOf(image);
  const kinds = [...new Set(all.map(({ kind }) => kind))];
  expect(kinds.includes('map head')).toBe(headed);
  return { image, ids, structures: kinds.map((kind) => all.filter((one) => one.kind === kind)) };
}

async function fillStore(store: Store, [large, larger]: [number, number]): Promise<GrainId[]> {
  const ids: GrainId[] = [];
  const commit = async (change: (session: Session) => void): Promise<void> => {
    const session = store.session();
    change(session);
    await session.commit();
  };
  const push = (...lengths: number[]): Promise<void> =>
    commit((session) => {
      for (const length of lengths) ids.push(session.push(patternOf(length, ids.length)));
      session.setEmbeddedHeader(ids.at(-1) ?? null);
    });
  const archive = (...at: number[]): Promise<void> =>
    commit((session) => {
      for (const index of at) session.archive(ids[index] as GrainId);
    });
  await push(10, 20, 90, large);
  await push(larger);
  await archive(0, 3);
  await store.checkpointTo(store.currentBatch);
  await push(17, large);
  await archive(1);
  // A record whose body does not fit into its lane.
  await push(...Array.from({ length: 500 }, (_, at) => 1 + ((at * 7919) % 97)));
  await push(larger);
  await push(1);
  await push(2);
  return [...ids.slice(0, 8), ...ids.slice(-4)];
}

/** A structure, by numbers taken modulo what there is, and what is done to it. */
const change = fc.record({ kind: fc.nat(), at: fc.nat(), mutate: anyMutation });

it(
  'a store whose structures are replaced by equal bytes is unchanged, and opens',
  patience,
  async () => {
    for (const { image, ids, structures } of specimens) {
      const same = image.slice();
      for (const one of structures.flat()) one.replace(same, one.bytes(same));
      expect(Buffer.compare(same, image)).toBe(0);
      expect(await tryImage(image, { ids })).toBe('opened');
    }
  },
);

it(
  'a store with structures changed and their checksums made right costs no more than it has',
  patience,
  async () => {
    const property = fc.asyncProperty(
      fc.nat(3),
      fc.array(change, { minLength: 1, maxLength: 2 }),
      async (which, changes) => {
        const { image, ids, structures } = specimens[which] as Specimen;
        const changed = image.slice();
        const order = structures.flat();
        const chosen = changes.map(({ kind, at, mutate }) => {
          const alike = structures[kind % structures.length] as readonly Structure[];
          return { structure: alike[at % alike.length] as Structure, mutate };
        });
        chosen.sort((one, other) => order.indexOf(one.structure) - order.indexOf(other.structure));
        for (const { structure, mutate } of chosen) {
          structure.replace(changed, mutate(structure.bytes(changed)));
        }
        count.add(await tryImage(changed, { ids }));
      },
    );
    await fc.assert(property, { numRuns: runs });
  },
);

it(
  'a store with bytes changed, cut off or added is refused, healed or opened',
  patience,
  async () => {
    const property = fc.asyncProperty(
      fc.nat(3),
      fc.nat(2 ** 21),
      anyMutation,
      fc.boolean(),
      async (which, from, mutate, cuts) => {
        const { image, ids } = specimens[which] as Specimen;
        const start = from % image.length;
        const part = mutate(image.slice(start, start + 4096));
        const rest = cuts ? new Uint8Array(0) : image.subarray(start + part.length);
        const changed = Uint8Array.from(Buffer.concat([image.subarray(0, start), part, rest]));
        count.add(await tryImage(changed, { ids }));
      },
    );
    await fc.assert(property, { numRuns: runs / 4 });
  },
);
