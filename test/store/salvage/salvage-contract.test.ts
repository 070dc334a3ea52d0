/**
 * The contract of `salvage`: what it refuses, what it leaves alone, what stops it, and what it says
 * on the way.
 */

import { describe, expect, it } from 'vitest';
import { type GrainId, memoryFileSystem, Store, salvage } from '../../../src/index.ts';
import { WrappedFileSystem } from '../../support/disks/wrapped-file-system.ts';
import { pageBytes, pageKinds } from './damage.ts';
import {
  bytesOf,
  differences,
  diskWith,
  type Specimen,
  salvageBytes,
  specimenOf,
  targetPath,
} from './salvage-ground.ts';

const from = 'source';
const partialPath = `${targetPath}.partial`;

async function specimen(): Promise<Specimen> {
  return await specimenOf({ lengths: [10, 300, 5000], commits: 20, seed: 1, end: 'closed' });
}

async function disk(bytes?: Uint8Array): Promise<WrappedFileSystem> {
  return new WrappedFileSystem(await diskWith(bytes ?? (await specimen()).bytes));
}

async function exists(fileSystem: WrappedFileSystem, path: string): Promise<boolean> {
  return await bytesOf(fileSystem.inner, path).then(
    () => true,
    () => false,
  );
}

describe('a salvage rejects', () => {
  it('with VARVE_EXISTS if there is a file of that name, the damaged one too', async () => {
    const fileSystem = await disk();
    await Store.open(targetPath, { fileSystem }).then((store) => store.close());
    const bytes = await bytesOf(fileSystem.inner, targetPath);
    for (const to of [targetPath, from]) {
      await expect(salvage(from, to, { fileSystem })).rejects.toMatchObject({
        code: 'VARVE_EXISTS',
      });
    }
    expect(await bytesOf(fileSystem.inner, targetPath)).toEqual(bytes);
  });

  it('with VARVE_INVALID_ARGUMENT if its unfinished file would be the damaged one', async () => {
    const { bytes } = await specimen();
    const fileSystem = await diskWith(bytes, partialPath);
    await expect(salvage(partialPath, targetPath, { fileSystem })).rejects.toMatchObject({
      code: 'VARVE_INVALID_ARGUMENT',
    });
    expect(await bytesOf(fileSystem, partialPath)).toEqual(bytes);
  });

  it('with VARVE_NOT_FOUND without a file', async () => {
    const fileSystem = memoryFileSystem();
    await expect(salvage(from, targetPath, { fileSystem })).rejects.toMatchObject({
      code: 'VARVE_NOT_FOUND',
    });
  });

  it.each([
    ['an empty file', new Uint8Array(0)],
    ['zeros', new Uint8Array(300_000)],
    ['text', new TextEncoder().encode('varve '.repeat(40_000))],
  ])('with VARVE_NOT_A_STORE for %s, and leaves no file', async (_, bytes) => {
    const fileSystem = await disk(bytes);
    await expect(salvage(from, targetPath, { fileSystem })).rejects.toMatchObject({
      code: 'VARVE_NOT_A_STORE',
    });
    expect(await exists(fileSystem, targetPath)).toBe(false);
    expect(await exists(fileSystem, partialPath)).toBe(false);
  });

  it('with VARVE_INVALID_ARGUMENT for unknown options and paths that are none', async () => {
    const fileSystem = await disk();
    const wrong = { fileSystem, overwrite: true } as object;
    for (const call of [
      () => salvage(from, targetPath, wrong),
      () => salvage('', targetPath, { fileSystem }),
      () => salvage(from, targetPath, { fileSystem, bytesPerSecond: 0 }),
      () => salvage(from, targetPath, { fileSystem: { open: fileSystem.open } as never }),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: 'VARVE_INVALID_ARGUMENT' });
    }
  });
});

describe('a new store without values', () => {
  it('is salvaged to one', async () => {
    const fileSystem = memoryFileSystem();
    const store = await Store.open(from, { fileSystem });
    await store.close();
    const report = await salvage(from, targetPath, { fileSystem });
    expect(report).toMatchObject({ values: 0, bytes: 0, embeddedHeader: undefined });
    await Store.open(targetPath, { fileSystem, create: false }).then((it) => it.close());
  });
});

describe('a salvage beside a writer', () => {
  it('takes no lock', async () => {
    const fileSystem = memoryFileSystem();
    const store = await Store.open(from, { fileSystem });
    const { id } = await store.put(new Uint8Array(300));
    await salvage(from, targetPath, { fileSystem });
    const copy = await Store.open(targetPath, { fileSystem });
    expect(copy.get(id)).toEqual(new Uint8Array(300));
    await copy.close();
    await store.close();
  });
});

describe('pages that the disk refuses', () => {
  it('are reported, and only what is in them is lost', async () => {
    const one = await specimen();
    const kinds = pageKinds(one.bytes);
    const refused = [...kinds.keys()].filter((page) => kinds[page] === 'other').slice(-9, -6);
    const fileSystem = await disk(one.bytes);
    const isRefused = (position: number, bytes: number): boolean =>
      refused.some(
        (page) => position < (page + 1) * pageBytes && page * pageBytes < position + bytes,
      );
    fileSystem.fail('read', 'EIO', {
      when: ({ path, position, bytes }) => path === from && isRefused(position, bytes),
    });
    const report = await salvage(from, targetPath, { fileSystem });
    const [first] = refused as [number];
    expect(report.unreadable).toEqual([{ offset: first * pageBytes, length: 3 * pageBytes }]);
    const zeroed = one.bytes.slice();
    zeroed.fill(0, first * pageBytes, (first + 3) * pageBytes);
    const same = await salvageBytes(zeroed, one);
    const { unreadable, ...rest } = report;
    expect({ ...rest, unreadable: [] }).toEqual(same.report);
    expect(report.values + report.lostCount).toBe(one.live.size);
    expect(unreadable).toHaveLength(1);
  });
});

describe('stopping a salvage', () => {
  it('by the signal at any call rejects with its reason and leaves no file', async () => {
    const { bytes } = await specimen();
    let calls = Number.POSITIVE_INFINITY;
    for (let at = 0; at < calls; at++) {
      const fileSystem = await disk(bytes);
      const controller = new AbortController();
      const reason = new Error('enough');
      let count = 0;
      let isRenamed = false;
      fileSystem.before = ({ operation }) => {
        isRenamed ||= operation === 'rename';
        if (count++ === at) controller.abort(reason);
      };
      const { signal } = controller;
      const salvaging = salvage(from, targetPath, { fileSystem, signal });
      const error = await salvaging.then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      fileSystem.before = undefined;
      calls = count;
      expect(await exists(fileSystem, partialPath)).toBe(false);
      expect(await exists(fileSystem, targetPath)).toBe(error === undefined);
      if (error === undefined) expect(isRenamed).toBe(true);
      else expect(error).toBe(reason);
    }
    expect(calls).toBeGreaterThan(10);
  });

  it.each(['write', 'truncate', 'datasync', 'rename'] as const)(
    'by a failing %s of the copy rejects with VARVE_IO and leaves no file',
    async (operation) => {
      const { bytes } = await specimen();
      const fileSystem = await disk(bytes);
      fileSystem.fail(operation, 'ENOSPC', { when: ({ path }) => path === partialPath });
      await expect(salvage(from, targetPath, { fileSystem })).rejects.toMatchObject({
        code: 'VARVE_IO',
      });
      expect(await exists(fileSystem, targetPath)).toBe(false);
      expect(await exists(fileSystem, partialPath)).toBe(false);
      expect(await bytesOf(fileSystem.inner, from)).toEqual(bytes);
    },
  );
});

describe('onValue', () => {
  it('is called with each value that is copied, and whether it is listed', async () => {
    const one = await specimen();
    for (const isWhole of [true, false]) {
      const bytes = one.bytes.slice();
      for (const [page, kind] of pageKinds(bytes).entries()) {
        const isGone = !isWhole && (kind === 'mark' || kind === 'log');
        if (isGone) bytes.fill(0, page * pageBytes, (page + 1) * pageBytes);
      }
      const listed = new Map<GrainId, boolean>();
      const fileSystem = await disk(bytes);
      const onValue = (id: GrainId, isListed: boolean): void => void listed.set(id, isListed);
      const report = await salvage(from, targetPath, { fileSystem, onValue });
      expect(listed.size).toBe(report.values);
      for (const id of one.live.keys()) expect(listed.get(id)).toBe(isWhole);
      expect(report.unlistedCount).toBe(isWhole ? 0 : report.values);
    }
    const fileSystem = await disk(one.bytes);
    const wrong = new Error('no');
    const onValue = (): void => {
      throw wrong;
    };
    await expect(salvage(from, targetPath, { fileSystem, onValue })).rejects.toBe(wrong);
  });
});

describe('progress', () => {
  it('begins before the file is opened, and an error of onProgress ends the salvage', async () => {
    const fileSystem = await disk();
    const phases: string[] = [];
    await salvage(from, targetPath, {
      fileSystem,
      onProgress: ({ phase }) => {
        if (phases.length === 0) expect(fileSystem.count('open')).toBe(0);
        phases.push(phase);
      },
    });
    expect(phases[0]).toBe('scan');
    const wrong = new Error('no');
    const fail = (): void => {
      throw wrong;
    };
    await expect(salvage(from, 'other', { fileSystem, onProgress: fail })).rejects.toBe(wrong);
  });
});

describe('marks of more pages than one group has', () => {
  it('give the same', async () => {
    for (const end of ['closed', 'killed'] as const) {
      const settings = { lengths: [10, 300, 5000, 70_000], commits: 40, seed: 2, end };
      const one = await specimenOf({ ...settings, moves: true, limits: { strataPerBasin: 3 } });
      const salvaged = await salvageBytes(one.bytes, one, { groupPagesMax: 1 });
      expect(differences(one, salvaged)).toEqual({ missing: [], other: [], extra: [] });
      expect(salvaged.report.embeddedHeader).toBe(one.header);
    }
  });
});
