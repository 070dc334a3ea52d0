/**
 * `npm run demo`: stores every file below a folder in a new store, reads every one back and
 * compares it with the disk, and shows how space is used again.
 *
 * Ends with 0 where everything was as it should be, 1 at any difference or error, 2 where it was
 * called wrongly. The store lies in a new temporary folder, which is removed in the end (at a
 * signal too) unless `--keep`; nothing of the folder that is read is ever written to.
 */

import { statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import {
  makeDiskFolder,
  projectFolder,
  removeAtSignals,
  removeFolder,
} from '../bench/support/disk-folder.ts';
import { bytesText, countText, plural } from '../bench/support/figures.ts';
import { type FoundFiles, findFiles } from './found-files.ts';
import { Screen } from './screen.ts';
import { Tour } from './tour.ts';

const help = `Usage: npm run demo -- [<folder>] [--keep]

Stores every regular file below <folder> (default: the project's node_modules) in a new
store, opens it again, reads every file back and compares it with the disk; then frees
half of the files, stores them again in the space that they left, compares and verifies.

  --keep    leave the store where it is, and say where
  --help    show this`;

interface Task {
  readonly folder: string;
  readonly keep: boolean;
}

class Misuse extends Error {}

/** What the command line asks for; undefined for help. */
function taskOf(args: readonly string[]): Task | undefined {
  const { values, positionals } = parse(args);
  if (values.help === true) return undefined;
  if (positionals.length > 1) throw new Misuse('one folder at a time, please');
  const [given] = positionals;
  // npm runs scripts in the project's folder and says here where it was called.
  const from = process.env['INIT_CWD'] ?? process.cwd();
  const folder = given === undefined ? join(projectFolder, 'node_modules') : resolve(from, given);
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new Misuse(`there is no folder ${folder}`);
  }
  return { folder, keep: values.keep === true };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { keep: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
    });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new Misuse(message, { cause: error });
  }
}

async function show(task: Task, screen: Screen): Promise<void> {
  screen.line(`varve stores every file below ${task.folder}`);
  const found = await findFiles(task.folder);
  screen.line(`${foundText(found)}\n`);
  if (found.files.length === 0) throw new Misuse('there is nothing to store');
  const { path, onDisk } = makeDiskFolder('varve-demo-');
  const leaveSignals = removeAtSignals(path, () => screen.leave());
  const tour = new Tour(screen, path);
  try {
    const sound = await tour.run(found);
    if (!onDisk) screen.line('\nThe store was in memory: the times say nothing of a disk.');
    screen.line(`\n${cameBackText(sound, found.files.length)}`);
  } finally {
    screen.leave();
    if (task.keep) screen.line(`The store is ${tour.storePath}`);
    else removeFolder(path);
    leaveSignals();
  }
}

function foundText({ files, bytes, links, others, skipped }: FoundFiles): string {
  const notes = [];
  if (links > 0) notes.push(`${plural(links, 'symbolic link')} left out`);
  if (others > 0) notes.push(`${plural(others, 'special file')} left out`);
  if (skipped.length > 0) notes.push(`${plural(skipped.length, 'place')} could not be read`);
  return [`${plural(files.length, 'file')}, ${bytesText(bytes)}`, ...notes].join('; ');
}

function cameBackText(sound: number, all: number): string {
  if (sound < all) return `${countText(sound)} of ${plural(all, 'file')} came back as on the disk.`;
  return `All ${plural(all, 'file')} came back as they are on the disk.`;
}

async function main(): Promise<number> {
  const screen = new Screen();
  try {
    const task = taskOf(process.argv.slice(2));
    if (task === undefined) screen.line(help);
    else await show(task, screen);
    return 0;
  } catch (error) {
    if (error instanceof Misuse) {
      process.stderr.write(`demo: ${error.message}\nTry: npm run demo -- --help\n`);
      return 2;
    }
    process.stderr.write(`\ndemo: ${describe(error)}\n`);
    return 1;
  }
}

/** A difference is said in a line; anything else with its stack, for whoever has to mend it. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.name === 'Difference' ? error.message : (error.stack ?? error.message);
}

process.exitCode = await main();
