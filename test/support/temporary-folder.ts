/**
 * A folder on a real disk for the tests of one file, removed afterwards.
 *
 * It lies in the system's folder for temporary files, unless that is in memory (tmpfs): what holds
 * of files on disk would not be tested there. Then it lies in the project's own `build/`.
 */

import { mkdirSync, mkdtempSync, realpathSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const tmpfsType = 0x01021994;
const buildFolder = fileURLToPath(new URL('../../build', import.meta.url));

/** True where the folder's files live in memory and are lost with the machine's power. */
export function isTmpfs(folder: string): boolean {
  return process.platform === 'linux' && statfsSync(folder).type === tmpfsType;
}

/** Makes a new, empty folder; its real path. */
export function makeTemporaryFolder(): string {
  const parent = isTmpfs(tmpdir()) ? buildFolder : tmpdir();
  mkdirSync(parent, { recursive: true });
  return realpathSync(mkdtempSync(join(parent, 'varve-test-')));
}

export function removeTemporaryFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}
