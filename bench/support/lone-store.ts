/**
 * One store as the children of `open`, `memory` and `scaling` use it: values under numbers, one of
 * which can be found again after opening.
 *
 * Invariant: a process that opens one of them loads nothing of the others. In varve the value that
 * is found again is the embedded header; others know it by its number.
 */

import { join } from 'node:path';
import { numberedValues } from './numbered-values.ts';

export interface LoneStore {
  /** Stores values under the numbers from `first` on, in one durable commit. */
  put(first: number, values: readonly Uint8Array[]): void | Promise<void>;
  /** The value under the number `marked`. */
  getMarked(): Uint8Array | undefined;
  /** What its own cache holds at most, as far as that can be told. */
  cachedBytesMost?(): number;
  close(): void | Promise<void>;
}

/** Opens or makes the store in `folder`; what it needs is loaded already. */
export type LoneStoreOpener = (folder: string) => Promise<LoneStore>;

/** Of varve, where it is not told otherwise. */
const defaultCacheBytes = 64 * 1024 * 1024;

async function varveOpener(marked: number, cacheBytes: number): Promise<LoneStoreOpener> {
  const { nodeFileSystem, Store } = await import('../../src/index.ts');
  const { CountingFileSystem } = await import('./counting-file-system.ts');
  return async (folder) => {
    const fileSystem = new CountingFileSystem(nodeFileSystem);
    const store = await Store.open(join(folder, 'bench.varve'), { cacheBytes, fileSystem });
    return {
      // What was never read is not in it.
      cachedBytesMost: () => Math.min(fileSystem.bytesRead, cacheBytes),
      async put(first, values) {
        const session = store.session();
        for (const [at, value] of values.entries()) {
          const id = session.push(value);
          if (first + at === marked) session.setEmbeddedHeader(id);
        }
        await session.commit();
      },
      getMarked() {
        const { embeddedHeader } = store;
        return embeddedHeader === undefined ? undefined : store.get(embeddedHeader);
      },
      close: () => store.close(),
    };
  };
}

/** Loads varve or one of the peers; throws where that is not installed. */
export async function loneStoreOpener(
  name: string,
  marked: number,
  cacheBytes: number = defaultCacheBytes,
): Promise<LoneStoreOpener> {
  if (name === 'varve') return await varveOpener(marked, cacheBytes);
  const { loadPeer } = await import('./peers/peer-packages.ts');
  const { open } = loadPeer(name);
  return async (folder) => {
    const peer = await open(folder);
    const put = peer.putSync ?? peer.put;
    return { put, getMarked: () => peer.get?.(marked), close: () => peer.close() };
  };
}

/** Loads the values below `count`. */
export async function loadNumbered(
  store: LoneStore,
  count: number,
  together: number,
): Promise<void> {
  for (let first = 0; first < count; first += together) {
    await store.put(first, numberedValues(first, Math.min(together, count - first)));
  }
}
