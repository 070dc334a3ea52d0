/**
 * Deletes the folders named on the command line, each a build output directly below the
 * repository, so that no output of a source file that is gone survives a build.
 * It refuses any other name, and does not mind a folder that is not there.
 */
import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const outputFolders = new Set(['build', 'coverage', 'dist']);

for (const folder of process.argv.slice(2)) {
  if (!outputFolders.has(folder)) {
    throw new Error(`clean: '${folder}' is none of ${[...outputFolders].join(', ')}`);
  }
  rmSync(fileURLToPath(new URL(`../${folder}`, import.meta.url)), { recursive: true, force: true });
}
