/**
 * A process that takes the writer's lock on a file, for test/io/node-lock.test.ts: it says on
 * stdout what came of it, one word or error code a line, and then obeys lines on stdin. It ends
 * with its stdin, so that none outlives the tests. Runs the built library, for Node 20 runs no
 * TypeScript. With `--no-addons` it has the lock without native code.
 *
 * Arguments: the path, and optionally `leave`: end at once without letting go of the lock.
 */

import { spawn } from 'node:child_process';
import process from 'node:process';
import { createInterface } from 'node:readline';

const [path = '', leave] = process.argv.slice(2);

async function take() {
  const library = new URL('../../dist/index.js', import.meta.url).href;
  const { nodeFileSystem } = await import(library);
  const file = await nodeFileSystem.open(path, { create: true, exclusive: false, readOnly: false });
  return () => file.close();
}

/** Starts a process that lives until the stdin that it shares with this one ends. */
function startChild() {
  const program = "process.stdin.on('end', () => process.exit()).resume(); console.log('started');";
  spawn(process.execPath, ['-e', program], { stdio: ['inherit', 'inherit', 'inherit'] });
}

async function run() {
  const release = await take();
  console.log('held');
  if (leave !== undefined) return;
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === 'release') {
      await release();
      console.log('released');
    }
    if (line === 'start a child') startChild();
  }
  process.exit();
}

run().catch((error) => {
  console.log(error.code ?? error);
});
