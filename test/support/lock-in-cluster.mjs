/**
 * Two workers of one cluster that ask for the lock without native code on the same file, one after
 * the other, for test/io/node-lock.test.ts. Prints what came of each, a word or code a line, and
 * ends. A cluster's workers share the sockets that they listen on, unless told otherwise. They have
 * no addon, as those of a process without it.
 */

import cluster from 'node:cluster';
import { once } from 'node:events';
import process from 'node:process';

const path = process.argv[2] ?? '';

async function take() {
  const { nodeFileSystem } = await import(new URL('../../dist/index.js', import.meta.url).href);
  try {
    await nodeFileSystem.open(path, { create: false, exclusive: false, readOnly: false });
    return 'held';
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code;
  }
}

if (cluster.isPrimary) {
  cluster.setupPrimary({ execArgv: ['--no-addons'] });
  const workers = [];
  for (let count = 0; count < 2; count += 1) {
    const worker = cluster.fork();
    workers.push(worker);
    const [outcome] = await once(worker, 'message');
    console.log(outcome);
  }
  for (const worker of workers) worker.kill();
} else {
  process.send?.(await take());
}
