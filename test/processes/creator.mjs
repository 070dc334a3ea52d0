/**
 * A process that makes a store and is killed at one operation of that, for
 * test/processes/kill.test.ts. Arguments: the path; which operation of the file; `before` or `after`
 * it. It ends by itself with `made` where there are not so many operations.
 */

import process from 'node:process';
import { nodeFileSystem, Store } from '../../dist/index.js';

const [path = '', at = '0', when = 'before'] = process.argv.slice(2);
const changes = new Set([
  'writeSync',
  'write',
  'truncateSync',
  'truncate',
  'datasyncSync',
  'datasync',
]);
let operation = -1;

function end() {
  process.kill(process.pid, 'SIGKILL');
}

/** @type {import('../../dist/index.js').FileSystem} */
const fileSystem = {
  async open(name, options) {
    const file = await nodeFileSystem.open(name, options);
    return new Proxy(file, {
      get(target, key) {
        const member = Reflect.get(target, key);
        if (typeof member !== 'function') return member;
        if (!changes.has(String(key))) return member.bind(target);
        return (/** @type {unknown[]} */ ...given) => {
          operation += 1;
          const here = operation === Number(at);
          if (here && when === 'before') end();
          const result = member.apply(target, given);
          if (!here) return result;
          if (!(result instanceof Promise)) return end();
          return result.then(end);
        };
      },
    });
  },
};

const store = await Store.open(path, { fileSystem });
await store.put(new Uint8Array(10));
await store.close();
console.log('made');
