/**
 * The files that the demo stores: every regular file below a folder, with what was seen of it.
 *
 * Invariant: a symbolic link is never followed, so nothing is found twice and no circle is walked;
 * what cannot be looked at is named, not passed over in silence. It reads no contents.
 */

import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** One regular file, as it was when it was found. */
export interface FoundFile {
  readonly path: string;
  readonly bytes: number;
  readonly modified: number;
}

/** Something that is not stored, and why. */
export interface SkippedFile {
  readonly path: string;
  readonly reason: string;
}

export interface FoundFiles {
  readonly files: readonly FoundFile[];
  readonly bytes: number;
  readonly links: number;
  /** Sockets, devices and pipes. */
  readonly others: number;
  readonly skipped: readonly SkippedFile[];
}

/** Every regular file below `folder`, neighbours next to each other. */
export async function findFiles(folder: string): Promise<FoundFiles> {
  const found = { files: [] as FoundFile[], bytes: 0, links: 0, others: 0 };
  const skipped: SkippedFile[] = [];
  const folders = [folder];
  for (let path = folders.pop(); path !== undefined; path = folders.pop()) {
    const entries = await readdir(path, { withFileTypes: true }).catch((error: unknown) => {
      skipped.push({ path: path as string, reason: reasonOf(error) });
      return [];
    });
    entries.sort((one, other) => (one.name < other.name ? -1 : 1));
    for (const entry of entries) {
      const place = join(path, entry.name);
      if (entry.isDirectory()) folders.push(place);
      else if (entry.isSymbolicLink()) found.links += 1;
      else if (!entry.isFile()) found.others += 1;
      else {
        const file = await lookAt(place, skipped);
        if (file === undefined) continue;
        found.files.push(file);
        found.bytes += file.bytes;
      }
    }
  }
  return { ...found, skipped };
}

async function lookAt(path: string, skipped: SkippedFile[]): Promise<FoundFile | undefined> {
  try {
    const { size, mtimeMs } = await lstat(path);
    return { path, bytes: size, modified: mtimeMs };
  } catch (error) {
    skipped.push({ path, reason: reasonOf(error) });
    return undefined;
  }
}

/** Whether the file is no longer what it was when it was found. */
export async function hasChanged(file: FoundFile): Promise<boolean> {
  try {
    const { size, mtimeMs } = await lstat(file.path);
    return size !== file.bytes || mtimeMs !== file.modified;
  } catch {
    return true;
  }
}

/** An operating system's error in a few words. */
export function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'EACCES' || code === 'EPERM') return 'not permitted to read it';
  if (code === 'ENOENT') return 'gone since it was found';
  return error instanceof Error ? error.message : String(error);
}
