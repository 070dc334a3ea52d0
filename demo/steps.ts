/**
 * What the demo does with a store: stores files, compares them with the disk, archives and frees
 * them.
 *
 * Invariant: a file that could not be read is skipped and named, one that changed on the disk
 * meanwhile is named too; any other difference between a value and its file is a `Difference`.
 * Nothing is printed here: `Watch` is told what was done.
 */

import { GrainId, type Session, type Store } from '../src/index.ts';
import { firstDifference, readWhole } from './file-contents.ts';
import { type FoundFile, hasChanged, reasonOf, type SkippedFile } from './found-files.ts';
import { runRounds, sessionsAtOnce } from './rounds.ts';

/** The longest value that a store takes: 4 GiB - 1 KiB. */
const valueBytesMax = 4 * 1024 ** 3 - 1024;

/** A file and the value that holds it. */
export interface StoredFile {
  readonly file: FoundFile;
  readonly id: GrainId;
}

/** Is told of each file that is done. */
export type Watch = (file: FoundFile) => void;

/** A value that is not what its file is. */
export class Difference extends Error {
  constructor(path: string, what: string) {
    super(`${path}: ${what}`);
    this.name = 'Difference';
  }
}

export interface Storing {
  readonly stored: readonly StoredFile[];
  readonly skipped: readonly SkippedFile[];
}

/** Stores every file: small ones many to a session, large ones by `put`. */
export async function storeFiles(
  store: Store,
  files: readonly FoundFile[],
  watch: Watch,
): Promise<Storing> {
  const stored: StoredFile[] = [];
  const skipped: SkippedFile[] = [];
  const read = async (file: FoundFile): Promise<Uint8Array | undefined> => {
    const bytes = await readOrSkip(file, skipped);
    watch(file);
    return bytes;
  };
  const fill = async (share: readonly { file: FoundFile }[]): Promise<Session> => {
    const session = store.session();
    for (const { file } of share) {
      const bytes = await read(file);
      if (bytes !== undefined) stored.push({ file, id: session.push(bytes) });
    }
    return session;
  };
  await runRounds(
    files.map((file) => ({ file })),
    {
      round: async (shares) => {
        const sessions = await Promise.all(shares.map(fill));
        await Promise.all(sessions.map((session) => session.commit()));
      },
      large: async ({ file }) => {
        const bytes = await read(file);
        if (bytes !== undefined) stored.push({ file, id: (await store.put(bytes)).id });
      },
    },
  );
  return { stored, skipped };
}

async function readOrSkip(
  file: FoundFile,
  skipped: SkippedFile[],
): Promise<Uint8Array | undefined> {
  try {
    if (file.bytes <= valueBytesMax) return await readWhole(file);
    skipped.push({ path: file.path, reason: 'longer than a value can be (4 GiB)' });
  } catch (error) {
    skipped.push({ path: file.path, reason: reasonOf(error) });
  }
  return undefined;
}

/** Holds every value against its file; gives the files that have changed on the disk since. */
export async function compareFiles(
  store: Store,
  stored: readonly StoredFile[],
  watch: Watch,
): Promise<readonly SkippedFile[]> {
  const changed: SkippedFile[] = [];
  const compare = async (
    { file, id }: StoredFile,
    bytes: Uint8Array | undefined,
  ): Promise<void> => {
    if (bytes === undefined) throw new Difference(file.path, `no value ${GrainId.format(id)}`);
    const place = await differenceOf(bytes, file);
    if (place === 'changed') changed.push({ path: file.path, reason: 'changed on the disk' });
    else if (place !== undefined) {
      throw new Difference(file.path, `the stored bytes differ from the file at byte ${place}`);
    }
    watch(file);
  };
  const share = async (list: readonly StoredFile[]): Promise<void> => {
    for (const one of list) await compare(one, store.get(one.id));
  };
  await runRounds(stored, {
    round: async (shares) => void (await Promise.all(shares.map(share))),
    large: async (one) => await compare(one, await store.getAsync(one.id)),
  });
  return changed;
}

async function differenceOf(
  bytes: Uint8Array,
  file: FoundFile,
): Promise<number | 'changed' | undefined> {
  let place: number | undefined;
  try {
    place = await firstDifference(bytes, file.path);
    if (place === undefined) return undefined;
  } catch (error) {
    if (!(await hasChanged(file))) throw error;
  }
  // Somebody may have written to the file since it was stored.
  return (await hasChanged(file)) ? 'changed' : place;
}

/** Archives the values, several sessions at a time, then frees them with a checkpoint. */
export async function freeFiles(
  store: Store,
  stored: readonly StoredFile[],
  watch: Watch,
): Promise<void> {
  const share = Math.ceil(stored.length / sessionsAtOnce);
  const commits: Promise<number>[] = [];
  for (let at = 0; at < stored.length; at += share) {
    const session = store.session();
    for (const { file, id } of stored.slice(at, at + share)) {
      session.archive(id);
      watch(file);
    }
    commits.push(session.commit());
  }
  await Promise.all(commits);
  await store.checkpointTo(store.currentBatch);
  for (const { file, id } of stored) {
    if (store.has(id)) throw new Difference(file.path, 'its value is there after it was freed');
  }
}
