/**
 * A process that makes a store, or opens what another has made of it, and kills itself at a given
 * operation of the file system, for killed-creator.test.ts. It says `committed` where it comes as
 * far as that: there were not so many operations. It does not close the store.
 *
 * Arguments: the path, the number of the operation (opening the file is 0), and `before` it, `half`
 * way through what it writes, or `after` it. Runs the built library.
 */

import fs from 'node:fs';
import process from 'node:process';

const [path = '', number = '0', moment] = process.argv.slice(2);
const point = Number(number);
const { nodeFileSystem, Store } = await import(
  new URL('../../dist/index.js', import.meta.url).href
);
const sectorBytes = 512;
let operations = 0;

/** Never returns. */
function end() {
  process.kill(process.pid, 'SIGKILL');
}

/**
 * Makes one operation, or ends before, within or after it.
 *
 * @param {() => unknown} operation
 * @param {() => void} half
 */
function pass(operation, half) {
  const isPoint = operations === point;
  operations += 1;
  if (isPoint && moment === 'before') end();
  if (isPoint && moment === 'half') {
    half();
    end();
  }
  const result = operation();
  if (!isPoint) return result;
  return result instanceof Promise ? result.then(end) : end();
}

/**
 * The front half in whole sectors: a call that a signal ends has written no part of one.
 *
 * @param {readonly Uint8Array[]} chunks
 */
function frontHalf(chunks) {
  const bytes = Buffer.concat(chunks);
  const sectors = Math.floor(bytes.length / 2 / sectorBytes);
  return [bytes.subarray(0, sectors * sectorBytes)];
}

/**
 * @param {import('../../src/index.ts').StorageFile} file
 * @returns {import('../../src/index.ts').StorageFile}
 */
function passing(file) {
  const nothing = () => undefined;
  /** @param {readonly Uint8Array[]} chunks @param {number} position */
  const half = (chunks, position) => () => file.writeSync(frontHalf(chunks), position);
  return /** @type {import('../../src/index.ts').StorageFile} */ ({
    length: () => file.length(),
    readSync: (target, position) => file.readSync(target, position),
    read: (target, position) => file.read(target, position),
    writeSync: (chunks, position) =>
      pass(() => file.writeSync(chunks, position), half(chunks, position)),
    write: (chunks, position) => pass(() => file.write(chunks, position), half(chunks, position)),
    truncateSync: (length) => pass(() => file.truncateSync(length), nothing),
    truncate: (length) => pass(() => file.truncate(length), nothing),
    datasyncSync: () => pass(() => file.datasyncSync(), nothing),
    datasync: () => pass(() => file.datasync(), nothing),
    close: () => pass(() => file.close(), nothing),
  });
}

/** @type {import('../../src/index.ts').FileSystem} */
const fileSystem = {
  async open(name, options) {
    const opening = pass(
      () => nodeFileSystem.open(name, options),
      // As far as a process gets that makes the file and no more.
      () => fs.closeSync(fs.openSync(name, 'a')),
    );
    return passing(
      await /** @type {Promise<import('../../src/index.ts').StorageFile>} */ (opening),
    );
  },
};

const store = await Store.open(path, { fileSystem });
await store.put(new Uint8Array(10));
fs.writeSync(1, 'committed\n');
process.exit();
