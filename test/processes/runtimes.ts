/**
 * The runtimes that varve runs on, as commands: this Node, and the Bun and Deno of the development
 * dependencies.
 *
 * Their binaries come in packages for one platform each, which `bun` and `deno` name as optional
 * dependencies. Where install scripts run, Bun's moves its binary out of that package, in the place
 * of the command that `bun` names; where they do not, that command is a placeholder. Throws where
 * this platform has no binary.
 */

import { existsSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** A program and the arguments before those of its caller. */
export type Command = readonly [string, ...string[]];

const here = createRequire(import.meta.url);

function binaryOf(runtime: 'bun' | 'deno'): string {
  const manifest = here.resolve(`${runtime}/package.json`);
  const { bin = {}, optionalDependencies = {} } = here(manifest) as {
    bin?: Record<string, string>;
    optionalDependencies?: Record<string, string>;
  };
  const file = process.platform === 'win32' ? `${runtime}.exe` : runtime;
  for (const name of Object.keys(optionalDependencies)) {
    const folder = join(dirname(manifest), '..', name);
    const path = [join(folder, 'bin', file), join(folder, file)].find(existsSync);
    if (path !== undefined) return path;
  }
  const moved = join(dirname(manifest), bin[runtime] ?? '');
  if (isBinary(moved)) return moved;
  throw new Error(`${runtime} has no binary for this platform: is it installed?`);
}

/** Whether `path` is more than the few bytes of a placeholder or of a script that calls Node. */
function isBinary(path: string): boolean {
  const status = statSync(path, { throwIfNoEntry: false });
  return status?.isFile() === true && status.size > 1_000_000;
}

export const node: Command = [process.execPath];
/** Without the addon, as where it has no prebuild or was not installed. */
export const nodeWithoutAddons: Command = [process.execPath, '--no-addons'];
export const bun: Command = [binaryOf('bun')];
/** With the permissions that the README asks for, and with all of them. */
export const deno: Command = [
  binaryOf('deno'),
  'run',
  '--no-prompt',
  '--allow-read',
  '--allow-write',
  '--allow-net',
];
export const denoWithAll: Command = [binaryOf('deno'), 'run', '--allow-all'];
