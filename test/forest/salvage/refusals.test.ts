/**
 * What a salvage of a forest refuses, what stops it, and that it leaves no file then.
 */

import { describe, expect, it } from 'vitest';
import { codecs, salvageForest } from '../../../src/forest/index.ts';
import { Store } from '../../../src/index.ts';
import { aesGcm } from '../../../src/vault/index.ts';
import { bytesOf, diskWith } from '../../store/salvage/salvage-ground.ts';
import { WrappedFileSystem } from '../../support/disks/wrapped-file-system.ts';
import { from, grown, optionsOf, to, without } from './forest-ground.ts';

describe('a salvage of a forest rejects', () => {
  const workPath = `${to}.rebuilding`;

  it('with VARVE_EXISTS, VARVE_NOT_A_FOREST, VARVE_VAULT, VARVE_INVALID_ARGUMENT', async () => {
    const { fileSystem } = await grown({ closed: true });
    const store = await Store.open('plain', { fileSystem });
    await store.put(new Uint8Array(300));
    await store.close();
    const vault = aesGcm({ key: new Uint8Array(32) });
    for (const [call, code] of [
      [() => salvageForest(from, 'plain', { fileSystem }), 'VARVE_EXISTS'],
      [() => salvageForest(from, from, { fileSystem }), 'VARVE_EXISTS'],
      [() => salvageForest('plain', to, { fileSystem }), 'VARVE_NOT_A_FOREST'],
      [() => salvageForest('none', to, { fileSystem }), 'VARVE_NOT_FOUND'],
      [() => salvageForest(from, to, { fileSystem, vault }), 'VARVE_VAULT'],
      [() => salvageForest(from, to, { fileSystem, codecs } as object), 'VARVE_INVALID_ARGUMENT'],
      [() => salvageForest(from, '', { fileSystem }), 'VARVE_INVALID_ARGUMENT'],
    ] as const) {
      await expect(call()).rejects.toMatchObject({ code });
      for (const path of [to, workPath]) {
        await expect(bytesOf(fileSystem, path)).rejects.toMatchObject({ code: 'ENOENT' });
      }
    }
  });

  it('with VARVE_TREE_MISMATCH for a damaged tree with a reducer without its options', async () => {
    const grove = await grown({ closed: true });
    let mismatches = 0;
    for (const id of grove.ids.filter((_, at) => at % 16 === 0)) {
      const fileSystem = await without(grove, [id]);
      const given = await salvageForest(from, to, { fileSystem, trees: optionsOf });
      const isHit = (given.trees.find(({ name }) => name === 'sums')?.lost.length ?? 0) > 0;
      if (!isHit) continue;
      mismatches += 1;
      await expect(salvageForest(from, 'other', { fileSystem })).rejects.toMatchObject({
        code: 'VARVE_TREE_MISMATCH',
      });
      await expect(bytesOf(fileSystem, 'other')).rejects.toMatchObject({ code: 'ENOENT' });
    }
    expect(mismatches).toBeGreaterThan(0);
  });

  it('with the reason of its signal, and leaves nothing', async () => {
    const { fileSystem } = await grown({ closed: true });
    const bytes = await bytesOf(fileSystem, from);
    let isDone = false;
    let stopped = 0;
    for (let at = 0; !isDone; at += 7) {
      const disk = new WrappedFileSystem(await diskWith(bytes, from));
      const controller = new AbortController();
      const reason = new Error('enough');
      let count = 0;
      disk.before = () => {
        if (count++ === at) controller.abort(reason);
      };
      const { signal } = controller;
      const error = await salvageForest(from, to, { fileSystem: disk, signal }).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      disk.before = undefined;
      isDone = error === undefined;
      await expect(bytesOf(disk.inner, workPath)).rejects.toMatchObject({ code: 'ENOENT' });
      if (isDone) continue;
      stopped += 1;
      expect(error).toBe(reason);
      await expect(bytesOf(disk.inner, to)).rejects.toMatchObject({ code: 'ENOENT' });
    }
    expect(stopped).toBeGreaterThan(2);
  });
});

describe('progress', () => {
  it('begins before a file is opened, and its error leaves nothing', async () => {
    const { fileSystem } = await grown({ closed: true });
    const disk = new WrappedFileSystem(fileSystem);
    const opened: number[] = [];
    const onProgress = (): void => void opened.push(disk.count('open'));
    await salvageForest(from, to, { fileSystem: disk, onProgress });
    expect(opened[0]).toBe(0);
    const wrong = new Error('no');
    const fail = (): void => {
      throw wrong;
    };
    const salvaging = salvageForest(from, 'other', { fileSystem: disk, onProgress: fail });
    await expect(salvaging).rejects.toBe(wrong);
    await expect(bytesOf(fileSystem, 'other.rebuilding')).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
