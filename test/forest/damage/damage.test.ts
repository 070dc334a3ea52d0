/**
 * Rot in a forest: each value that it has stored (its root, nodes of every tree, long values, the
 * user's own) has a bit flipped in the file, so that the store's checksum of it fails.
 *
 * Reads that need it throw VARVE_CORRUPT, and others answer as they should; `verify` names it and
 * does not throw; a transaction that needs it rejects and leaves nothing half done. When the bit is
 * put right again the forest is whole: what was acknowledged meanwhile is there, the rest is not.
 */

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { isVarveError } from '../../../src/errors.ts';
import { GrainId, Session } from '../../../src/index.ts';
import { type Damage, damaged } from '../../support/disks/disk-damage.ts';
import type { DiskState } from '../../support/disks/disk-state.ts';
import { SimulatedDisk } from '../../support/disks/simulated-disk.ts';
import { expectNoLeak, findingsOf } from '../../support/fixtures/forest-checks.ts';
import { check } from '../../support/fixtures/store-checks.ts';
import { forestHistories, furtherWork } from '../crash/crash-histories.ts';
import { ForestLife } from '../crash/crash-life.ts';
import type { ForestStep } from '../crash/crash-steps.ts';

const counts = { values: 0, reads: 0, lost: 0, refused: 0 };

/** Histories that leave forks, histories, long values and the user's own values behind. */
const planted: readonly ForestStep[] = forestHistories
  .filter(({ name }) => name.includes('ends well') || name.includes('trimmed'))
  .flatMap(({ steps }) => steps)
  .concat(furtherWork);

/** Work that needs every value sooner or later; each of them alone in its transaction. */
const work: readonly ForestStep[] = ['rag', 'rag2', 'log', 'log2', 'sum', 'rag9', 'ver'].flatMap(
  (tree) =>
    (
      [
        [{ do: 'puts', tree, key: 3, step: 31, count: 14 }],
        [
          { do: 'deleteRange', tree, range: { gte: 20, lt: 90 } },
          { do: 'fork', tree, to: `${tree}x` },
        ],
        [
          { do: 'trim', tree: tree === 'log' ? tree : 'log2', share: 5 },
          { do: 'drop', tree },
        ],
      ] as const
    ).map((changes): ForestStep => ({ step: 'together', parts: [changes] })),
);

/** A value of the forest, and where its bytes are in the file. */
interface Stored {
  readonly id: GrainId;
  readonly bytes: Buffer;
  readonly place: number;
}

let life: ForestLife;
let state: DiskState;
let root: GrainId | undefined;
let blobs: Set<bigint>;
const stored: Stored[] = [];

function contentOf({ durable }: DiskState): Buffer {
  const bytes = Buffer.alloc(durable.length);
  durable.read(bytes, 0);
  return bytes;
}

beforeAll(async () => {
  const pushes = vi.spyOn(Session.prototype, 'push');
  life = new ForestLife(new SimulatedDisk({ records: false }));
  await life.run(planted);
  const ids = new Set(pushes.mock.results.map(({ value }) => value as GrainId));
  pushes.mockRestore();
  await life.close();
  ({ state } = life.disk);
  await life.open();
  const { store } = life.forest;
  root = store.embeddedHeader;
  blobs = new Set(life.blobs.values());
  const content = contentOf(state);
  for (const id of ids) {
    const value = store.get(id);
    if (value === undefined) continue;
    const bytes = Buffer.from(value);
    const place = content.indexOf(bytes);
    // What stands there twice may be a copy that was freed.
    if (content.indexOf(bytes, place + 1) < 0) stored.push({ id, bytes, place });
  }
  await life.close();
});

/** How many entries of a tree cannot be read; those that can be are right. */
async function lostIn(one: ForestLife, index: number, name: string): Promise<number> {
  const { entries } = one.models.get(index)?.get(name) ?? {};
  const tree = one.tree(name);
  let lost = 0;
  for (const [key, value] of entries ?? []) {
    counts.reads += 1;
    try {
      expect(tree.get(key)).toBe(value);
      expect(await tree.getAsync(key)).toBe(value);
    } catch (error) {
      if (!isVarveError(error, 'VARVE_CORRUPT')) throw error;
      lost += 1;
    }
  }
  counts.lost += lost;
  return lost;
}

/** The trees of which something cannot be read; all of them where not even their names can. */
async function damagedTrees(one: ForestLife, index: number): Promise<string[]> {
  const names = [...(one.models.get(index)?.keys() ?? [])].filter((name) => name !== 'blobs');
  const damagedOnes: string[] = [];
  for (const name of names) {
    try {
      if ((await lostIn(one, index, name)) > 0) damagedOnes.push(name);
    } catch (error) {
      // Its record cannot be read.
      if (!isVarveError(error, 'VARVE_CORRUPT')) throw error;
      damagedOnes.push(name);
    }
  }
  return damagedOnes;
}

/** The file with the bit put right again, unless other values stand there by now. */
function healed(after: DiskState, { bytes, place }: Stored, flipped: Buffer): DiskState {
  const there = contentOf(after).subarray(place, place + bytes.length);
  return there.equals(flipped) ? damaged(after, flipOf({ bytes, place })) : after;
}

function flipOf({ bytes, place }: Pick<Stored, 'bytes' | 'place'>): Damage {
  return { kind: 'bit', byte: place + (bytes.length >>> 1), bit: place % 8 };
}

async function rot(one: Stored): Promise<void> {
  const from = damaged(state, flipOf(one));
  const flipped = contentOf(from).subarray(one.place, one.place + one.bytes.length);
  const heir = new ForestLife(new SimulatedDisk({ state: from, records: false }), life);
  counts.values += 1;
  if (one.id === root) {
    await check.rejects('VARVE_CORRUPT', () => heir.open());
    await check.rejects('VARVE_CORRUPT', () => heir.open());
    return;
  }
  await heir.open();
  heir.tolerates = ['VARVE_CORRUPT'];
  const before = await damagedTrees(heir, life.count);
  const findings = await findingsOf(heir.forest);
  // Of the user's own values only the store knows.
  const told = blobs.has(one.id) ? 'a value fails its checksum' : 'cannot be read';
  expect(findings.join()).toContain(told);
  for (const step of work) await heir.step(step);
  counts.refused += heir.refused.length;
  const index = heir.acknowledged.at(-1)?.index ?? life.count;
  const after = await damagedTrees(heir, index);
  // What cannot be read has its name from what it was forked from.
  const origin = (name: string): string => (name === 'fix' ? name : name.replace(/x$/, ''));
  expect(after.filter((name) => !before.includes(origin(name)))).toEqual([]);
  await heir.close();
  const mended = healed(heir.disk.state, one, flipped);
  const last = new ForestLife(new SimulatedDisk({ state: mended, records: false }), heir);
  await last.open();
  last.compare(index);
  expect(await findingsOf(last.forest)).toEqual([]);
  for (const step of furtherWork) await last.step(step);
  await expectNoLeak(last.forest, last.blobCount);
  await last.close();
}

describe('a value of the forest that has rotted', () => {
  it('breaks only the operations that need it', async () => {
    expect(stored.length).toBeGreaterThan(40);
    for (const [at, one] of stored.entries()) {
      try {
        await rot(one);
      } catch (error) {
        const what = `${GrainId.format(one.id)}, ${one.bytes.length} bytes`;
        throw new Error(`value ${at} (${what}) rots: ${error}`, { cause: error });
      }
    }
    expect(counts.lost).toBeLessThan(counts.reads / 3);
    expect(counts.refused).toBeGreaterThan(counts.values);
  });

  afterAll(() => {
    const { values, reads, lost, refused } = counts;
    console.log(`${values} values rotted: ${lost} of ${reads} entries lost, ${refused} refused`);
  });
});
