/**
 * A store that is killed while it compacts: maps are at two places, parts of them have no marks of
 * their own yet, and the log before the base has gone.
 */

import { describe, expect, it } from 'vitest';
import type { GrainId } from '../../../src/index.ts';
import { BackupGround, sourcePath } from '../backup/backup-ground.ts';
import { withoutHeaders, withoutOldLog } from './damage.ts';
import { bytesOf, differences, salvageBytes } from './salvage-ground.ts';

const nothing = { missing: [], other: [], extra: [] };
const lengths = [0, 20, 90, 200, 511, 1500, 5000, 30_000];

/** Leaves every eighth value, and frees the others. */
async function archiveMost(ground: BackupGround): Promise<void> {
  const { live, header } = ground.contents.at(-1) as (typeof ground.contents)[number];
  const left = new Map(live);
  const session = ground.store.session();
  for (const [at, id] of [...live.keys()].entries()) {
    if (at % 8 === 0 || id === header) continue;
    session.archive(id);
    left.delete(id);
  }
  await ground.store.checkpointTo(await session.commit());
  ground.contents.push({ live: left, header });
}

describe('a store that is killed while it compacts', () => {
  it.each([1, 2])('at any call, is salvaged to its live values, seed %i', async (seed) => {
    const settings = { lengths, seed, settleBytes: 2000 };
    const ground = new BackupGround(settings);
    await ground.open();
    for (let at = 0; at < 60; at++) ground.commit(30);
    await archiveMost(ground);
    const killed: Promise<Uint8Array>[] = [];
    let calls = 0;
    ground.disk.before = ({ operation }) => {
      if (operation !== 'write' && operation !== 'truncate') return;
      if (calls++ % 3 === 0) killed.push(bytesOf(ground.disk.inner, sourcePath));
    };
    const { movedBytes } = await ground.store.compact();
    expect(movedBytes).toBeGreaterThan(0);
    ground.disk.before = undefined;
    expect(killed.length).toBeGreaterThan(3);
    const { live } = ground.contents.at(-1) as (typeof ground.contents)[number];
    const history = new Map<GrainId, Uint8Array[]>([...ground.ids].map((id) => [id, []]));
    const specimen = { history, settings: { ...settings, commits: 0, end: 'killed' as const } };
    for (const bytes of (await Promise.all(killed)).map(withoutOldLog)) {
      const salvaged = await salvageBytes(bytes, specimen);
      expect(differences({ live }, salvaged)).toEqual(nothing);
      expect(salvaged.report).toMatchObject({ lostCount: 0, unlistedCount: 0 });
      const bare = await salvageBytes(withoutHeaders(bytes), specimen);
      expect(differences({ live }, bare)).toEqual(nothing);
    }
    await ground.store.close();
  });
});
