/**
 * What a store takes on the disk: the lengths of the files in its folder, and in those within.
 *
 * Invariant: every file counts, logs and locks too; a length is what the file system says, holes
 * included.
 */

import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

export function folderBytes(folder: string): number {
  return readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return sum + folderBytes(path);
    // A peer may delete a log of its own between the listing and the look at it.
    return sum + (statSync(path, { throwIfNoEntry: false })?.size ?? 0);
  }, 0);
}
