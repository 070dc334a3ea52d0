/**
 * Backups of a store that is open read-only: without a writer, beside one that commits and settles,
 * and beside one whose checkpoints free what the copy needs. The copy is of the reader's batch, or
 * there is none.
 */

import { describe, expect, it } from 'vitest';
import { isVarveError } from '../../../src/errors.ts';
import type { GrainId } from '../../../src/index.ts';
import { BackupGround, copyPath, type GroundSettings, sourcePath } from './backup-ground.ts';

const lengths = [5, 80, 300, 2000, 20_000, 300_000];

async function grown(settings: Partial<GroundSettings> = {}): Promise<BackupGround> {
  const ground = new BackupGround({ lengths, seed: 1, settleBytes: 700, ...settings });
  await ground.open();
  for (let at = 0; at < 20; at++) ground.commit();
  return ground;
}

const seeds = [1, 2, 3, 4, 5, 6];

describe('a backup of a store that is open read-only', () => {
  it('is of its batch, if no writer has the store', async () => {
    const ground = await grown();
    await ground.store.close();
    const reader = await ground.openReader();
    const { batch, values } = await reader.backupTo(copyPath, { fileSystem: ground.disk });
    expect(batch).toBe(reader.currentBatch);
    await reader.close();
    await ground.expectCopy(batch, values);
  });

  it('is of its batch, if the last process was killed', async () => {
    const ground = await grown({ settleBytes: 1_000_000 });
    const reader = await ground.openReader();
    const { batch, values } = await reader.backupTo(copyPath, { fileSystem: ground.disk });
    await reader.close();
    await ground.expectCopy(batch, values);
    await ground.store.close();
  });

  it.each(seeds)(
    'is of its batch, though a writer commits at every call, seed %i',
    async (seed) => {
      const ground = await grown({ seed, checkpoints: false });
      const reader = await ground.openReader();
      const from = reader.currentBatch;
      for (let at = 0; at < seed * 5; at++) ground.commit();
      // A read follows the log: what came before the backup is known only from the retained log.
      if (seed % 2 === 0) await reader.getAsync([...ground.ids][0] as GrainId);
      const end = ground.commitAtCalls(0.3);
      const { batch, values } = await reader.backupTo(copyPath, { fileSystem: ground.disk });
      expect(end()).toBeGreaterThan(5);
      expect(batch).toBe(from);
      await ground.expectCopy(batch, values);
      expect(await reader.refresh()).toBe(ground.store.currentBatch);
      const next = await reader.backupTo(copyPath, { fileSystem: ground.disk, overwrite: true });
      expect(next.batch).toBe(ground.store.currentBatch);
      await ground.expectCopy(next.batch, next.values);
      await reader.close();
      await ground.store.close();
    },
  );

  it('is VARVE_SNAPSHOT_GONE if a checkpoint has passed its batch, until refresh', async () => {
    const ground = await grown({ checkpoints: false });
    const reader = await ground.openReader();
    ground.commit();
    ground.commit();
    await ground.store.checkpointTo(reader.currentBatch);
    const first = await reader.backupTo(copyPath, { fileSystem: ground.disk });
    await ground.expectCopy(first.batch, first.values);
    await ground.store.checkpointTo(reader.currentBatch + 1);
    ground.contents.push(...ground.contents.slice(-1), ...ground.contents.slice(-1));
    const gone = reader.backupTo('gone', { fileSystem: ground.disk });
    const facts = { code: 'VARVE_SNAPSHOT_GONE', batch: reader.currentBatch };
    await expect(gone).rejects.toMatchObject(facts);
    await reader.refresh();
    const { batch, values } = await reader.backupTo('gone', { fileSystem: ground.disk });
    await ground.expectCopy(batch, values, 'gone');
    await reader.close();
    await ground.store.close();
  });

  it('is whole or VARVE_SNAPSHOT_GONE beside checkpoints at any call', async () => {
    let gone = 0;
    let whole = 0;
    for (let seed = 1; seed <= 40; seed++) {
      const ground = await grown({ seed });
      const reader = await ground.openReader();
      const end = ground.commitAtCalls(seed / 400);
      const backup = reader.backupTo(copyPath, { fileSystem: ground.disk });
      const [outcome] = await Promise.allSettled([backup]);
      end();
      if (outcome?.status === 'fulfilled') {
        whole += 1;
        await ground.expectCopy(outcome.value.batch, outcome.value.values);
      } else {
        gone += 1;
        const reason: unknown = outcome?.reason;
        if (!isVarveError(reason, 'VARVE_SNAPSHOT_GONE')) throw reason;
      }
      await reader.close();
      await ground.store.close();
    }
    expect(gone).toBeGreaterThan(3);
    expect(whole).toBeGreaterThan(3);
  });

  it('is VARVE_SNAPSHOT_GONE if other values have taken the ids while it read them', async () => {
    const ground = await grown({ lengths: [5000, 50_000], checkpoints: false });
    const reader = await ground.openReader();
    const { store } = ground;
    const lengths = [...(ground.contents.at(-1)?.live ?? [])].map(([id, { length }]) => {
      return { id, length };
    });
    let isReplaced = false;
    ground.disk.before = ({ operation, sync, path }) => {
      if (isReplaced || operation !== 'read' || sync || path !== sourcePath) return;
      isReplaced = true;
      const archiving = store.session();
      for (const { id } of lengths) archiving.archive(id);
      archiving.commitSync();
      const freeing = store.session();
      freeing.checkpointTo(store.currentBatch);
      freeing.commitSync();
      const pushing = store.session();
      const again = lengths.map(({ length }) => pushing.push(new Uint8Array(length).fill(99)));
      pushing.commitSync();
      expect(again.some((id) => lengths.some((one) => one.id === id))).toBe(true);
    };
    const gone = reader.backupTo(copyPath, { fileSystem: ground.disk });
    await expect(gone).rejects.toMatchObject({ code: 'VARVE_SNAPSHOT_GONE' });
    expect(isReplaced).toBe(true);
    await reader.close();
    await store.close();
  });

  it('ends with VARVE_CLOSED if the reader is closed', async () => {
    const ground = await grown();
    const reader = await ground.openReader();
    const gate = ground.disk.hold('write');
    const backup = reader.backupTo(copyPath, { fileSystem: ground.disk });
    const outcome = Promise.allSettled([backup]);
    await gate.reached();
    const closing = reader.close();
    gate.open();
    await closing;
    expect((await outcome)[0]).toMatchObject({ reason: { code: 'VARVE_CLOSED' } });
    await ground.store.close();
  });
});
